package host

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// pkiFolder holds kubeadm's certificates, beside their keys, which are not read.
const pkiFolder = "/etc/kubernetes/pki"

// kubeadmCertificates are those that kubeadm makes, below pkiFolder.
// Source: https://kubernetes.io/docs/setup/best-practices/certificates/
var kubeadmCertificates = []string{"ca.crt", "apiserver.crt", "apiserver-kubelet-client.crt", "apiserver-etcd-client.crt", "front-proxy-ca.crt",
	"front-proxy-client.crt", "etcd/ca.crt", "etcd/server.crt", "etcd/peer.crt", "etcd/healthcheck-client.crt"}

// expiring are the certificates in the files that end within the horizon. What does not read as one is passed over: it is
// kubeadm's and the components' to complain.
func expiring(files map[string]string, now time.Time) []upgrade.Certificate {
	var found []upgrade.Certificate
	for _, file := range slices.Sorted(maps.Keys(files)) {
		name, ok := strings.CutPrefix(file, pkiFolder+"/")
		if !ok || !slices.Contains(kubeadmCertificates, name) {
			continue
		}
		c, ok := parseCertificate(files[file])
		if ok && c.Expires.Sub(now) <= upgrade.CertificateHorizon {
			c.File = name
			found = append(found, c)
		}
	}
	return found
}

// parseCertificate reads a file of certificates: while an authority is being replaced there are two, and the one that
// lives longer counts.
func parseCertificate(text string) (newest upgrade.Certificate, ok bool) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return newest, ok
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (!ok || c.NotAfter.After(newest.Expires)) {
			newest, ok = upgrade.Certificate{CA: c.IsCA, Expires: c.NotAfter}, true
		}
	}
}
