// Package kubeadm renders kubeadm's configuration files and the secrets that
// join nodes to a cluster.
package kubeadm

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"github.com/pawl-dev/pawl/lab/internal/topology"
)

var (
	//go:embed files/init.yaml
	initText string
	//go:embed files/join.yaml
	joinText string

	initTemplate = template.Must(template.New("init").Parse(initText))
	joinTemplate = template.Must(template.New("join").Parse(joinText))
)

// Cluster is what all nodes of a cluster have in common.
type Cluster struct {
	Version        string
	CgroupV1       bool
	Token          string // admits nodes
	CertificateKey string // hands the authorities to further control planes
	CAHash         string // known once the first control plane is up
	Endpoint       string // of the API, host:port; empty for the lab's own name

	// Etcd are the nodes on which it runs as a unit of its own; none if it is kubeadm's.
	Etcd []topology.Node
}

// NewCluster makes the secrets of a new cluster.
func NewCluster(version string, cgroupV1 bool) (Cluster, error) {
	token, err := randomHex(11)
	if err != nil {
		return Cluster{}, err
	}
	key, err := randomHex(32)
	if err != nil {
		return Cluster{}, err
	}
	return Cluster{Version: version, CgroupV1: cgroupV1, Token: token[:6] + "." + token[6:22], CertificateKey: key}, nil
}

// Init is the configuration of the first control plane.
func (c Cluster) Init(n topology.Node) (string, error) { return c.render(initTemplate, n, "") }

// Join is the configuration of any other node, in a zone if one is named.
func (c Cluster) Join(n topology.Node, zone string) (string, error) {
	return c.render(joinTemplate, n, zone)
}

func (c Cluster) render(t *template.Template, n topology.Node, zone string) (string, error) {
	endpoint := cmp.Or(c.Endpoint, fmt.Sprintf("%s:%d", topology.APIName, topology.APIPort))
	var etcd []string
	for _, n := range c.Etcd {
		etcd = append(etcd, n.Etcd())
	}
	var b strings.Builder
	err := t.Execute(&b, map[string]any{
		"Etcd":    strings.Join(etcd, ", "),
		"Cluster": c, "Node": n, "Zone": zone, "Endpoint": endpoint, "Port": topology.APIPort,
		"APIName": topology.APIName, "Gateway": topology.Gateway, "PodCIDR": topology.PodCIDR, "ServiceCIDR": topology.ServiceCIDR,
	})
	return b.String(), err
}

var (
	authority = regexp.MustCompile(`certificate-authority-data:\s*(\S+)`)
	server    = regexp.MustCompile(`(?m)^(\s*server:).*$`)
)

// CAHash is the fingerprint of the authority in a kubeconfig, as kubeadm join
// wants it.
func CAHash(kubeconfig string) (string, error) {
	m := authority.FindStringSubmatch(kubeconfig)
	if m == nil {
		return "", fmt.Errorf("kubeconfig: no certificate authority in it")
	}
	data, err := base64.StdEncoding.DecodeString(m[1])
	if err != nil {
		return "", fmt.Errorf("kubeconfig: certificate authority: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", fmt.Errorf("kubeconfig: certificate authority: not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("kubeconfig: certificate authority: %w", err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// WithServer is the kubeconfig with another server: the name that the nodes
// use means nothing outside them.
func WithServer(kubeconfig, url string) string {
	return server.ReplaceAllString(kubeconfig, "${1} "+url)
}

func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
