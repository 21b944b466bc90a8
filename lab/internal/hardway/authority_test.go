package hardway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func TestIssue(t *testing.T) {
	ca, err := newAuthority("lab")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAuthority("lab")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user, group string
		hosts             []string
	}{
		{"client", "admin", "system:masters", nil},
		{"server and client", "system:node:w1", "system:nodes", []string{"w1", "10.77.0.21"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ca.issue(c.user, c.group, c.hosts...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair([]byte(p.cert), []byte(p.key)); err != nil {
				t.Errorf("certificate and key are no pair: %v", err)
			}
			cert := parsed(t, p.cert)
			if cert.Subject.CommonName != c.user || len(cert.Subject.Organization) != 1 || cert.Subject.Organization[0] != c.group {
				t.Errorf("subject is %s, want user %s of group %s", cert.Subject, c.user, c.group)
			}
			verify := func(roots string, usage x509.ExtKeyUsage) error {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM([]byte(roots))
				_, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{usage}})
				return err
			}
			if err := verify(ca.cert, x509.ExtKeyUsageClientAuth); err != nil {
				t.Errorf("as a client: %v", err)
			}
			if err := verify(ca.cert, x509.ExtKeyUsageServerAuth); (err == nil) != (len(c.hosts) > 0) {
				t.Errorf("as a server under %v: %v", c.hosts, err)
			}
			if verify(other.cert, x509.ExtKeyUsageClientAuth) == nil {
				t.Error("another authority's is taken")
			}
			for _, h := range c.hosts {
				if err := cert.VerifyHostname(h); err != nil {
					t.Error(err)
				}
			}
			if cert.IsCA {
				t.Error("it may issue certificates itself")
			}
		})
	}
}

func parsed(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM: %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
