package hardway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// validity of what the authority issues; no lab lives that long.
const validity = 365 * 24 * time.Hour

// pair is a certificate and its private key, as PEM.
type pair struct {
	cert, key string
}

// authority issues the cluster's certificates.
type authority struct {
	pair
	issuer *x509.Certificate
	signer *ecdsa.PrivateKey
}

func newAuthority(name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template, err := unsigned(pkix.Name{CommonName: name})
	if err != nil {
		return authority{}, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	p, issuer, err := sign(template, template, key, key)
	return authority{pair: p, issuer: issuer, signer: key}, err
}

// issue makes a certificate for a client, and for a server under the given
// names and addresses.
func (a authority) issue(user, group string, hosts ...string) (pair, error) {
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	template, err := unsigned(subject)
	if err != nil {
		return pair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	p, _, err := sign(template, a.issuer, key, a.signer)
	return p, err
}

func unsigned(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

// sign makes the pair of a key whose certificate the parent signs.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (pair, *x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return pair{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, nil, err
	}
	return pair{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})),
	}, cert, nil
}
