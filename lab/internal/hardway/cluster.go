// Package hardway lays out a cluster that is installed by hand: programs in
// /usr/local/bin, systemd units with all their flags, certificates and
// kubeconfigs beside them. Rule: a node's files say all that the node needs;
// once it has them, it only has to be switched on.
package hardway

import (
	"crypto/rand"
	"embed"
	"encoding/base64"
	"fmt"
	"strings"
	"text/template"

	"github.com/pawl-dev/pawl/lab/internal/topology"
)

//go:embed files
var texts embed.FS

var templates = template.Must(template.ParseFS(texts, "files/*"))

// Cluster is what all nodes of a cluster have in common.
type Cluster struct {
	Programs      Programs
	ControlPlanes []topology.Node
	CgroupV1      bool

	ca              authority
	apiServer       pair
	serviceAccounts pair
	encryptionKey   string
}

// Programs are the folders with what the nodes run.
type Programs struct {
	Kubernetes, Etcd, CNI string
}

// New makes the secrets of a new cluster.
func New(programs Programs, controlPlanes []topology.Node, cgroupV1 bool) (*Cluster, error) {
	c := &Cluster{Programs: programs, ControlPlanes: controlPlanes, CgroupV1: cgroupV1}
	var err error
	if c.ca, err = newAuthority("lab"); err != nil {
		return nil, err
	}
	hosts := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", topology.APIService,
		topology.APIName, topology.Gateway, "localhost", "127.0.0.1",
	}
	for _, n := range controlPlanes {
		hosts = append(hosts, string(n), n.Address())
	}
	if c.apiServer, err = c.ca.issue(apiServerUser, "", hosts...); err != nil {
		return nil, err
	}
	if c.serviceAccounts, err = c.ca.issue("service-accounts", ""); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	c.encryptionKey = base64.StdEncoding.EncodeToString(key)
	return c, nil
}

// apiServerUser is who the API servers are to the kubelets.
const apiServerUser = "kubernetes"

// Admin is the administrator's kubeconfig for the API at host:port.
func (c *Cluster) Admin(endpoint string) (string, error) {
	return c.kubeconfig("admin", "system:masters", endpoint)
}

// System is the manifest of what a cluster needs before it runs pods: the API
// servers' rights and CoreDNS, whose image is given.
func (c *Cluster) System(coreDNS string) (string, error) {
	return render("system.yaml", map[string]string{"Image": coreDNS, "DNS": topology.DNSService})
}

// kubeconfig is a new client's.
func (c *Cluster) kubeconfig(user, group, endpoint string) (string, error) {
	p, err := c.ca.issue(user, group)
	if err != nil {
		return "", err
	}
	return c.kubeconfigOf(p, user, endpoint)
}

// kubeconfigOf is that of a client that has its certificate.
func (c *Cluster) kubeconfigOf(p pair, user, endpoint string) (string, error) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return render("kubeconfig", map[string]string{
		"Server": "https://" + endpoint, "User": user, "CA": encode(c.ca.cert), "Cert": encode(p.cert), "Key": encode(p.key),
	})
}

// text renders one of the nodes' files.
func (c *Cluster) text(name string, n topology.Node) (string, error) {
	var members, servers []string
	for _, cp := range c.ControlPlanes {
		members = append(members, fmt.Sprintf("%s=https://%s:2380", cp, cp.Address()))
		servers = append(servers, cp.Etcd())
	}
	return render(name, map[string]any{
		"Node": n, "CgroupV1": c.CgroupV1, "EncryptionKey": c.encryptionKey,
		"EtcdMembers": strings.Join(members, ","), "EtcdServers": strings.Join(servers, ","),
		"APIName": topology.APIName, "Port": topology.APIPort, "DNS": topology.DNSService,
		"PodCIDR": topology.PodCIDR, "ServiceCIDR": topology.ServiceCIDR,
	})
}

func render(name string, data any) (string, error) {
	var b strings.Builder
	err := templates.ExecuteTemplate(&b, name, data)
	return b.String(), err
}
