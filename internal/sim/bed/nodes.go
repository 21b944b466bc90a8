package bed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pawl-dev/pawl/internal/sim/network"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// AddNode makes a new worker of that version in a zone (a, b or c) and switches it on; that its node becomes Ready takes a
// while. One that is there already is left as it is. It returns the node's address.
func (b *Bed) AddNode(name string, v upgrade.Version, inZone string) (address string, err error) {
	n, fresh := b.reserve(name, v, inZone)
	if !fresh {
		return network.NodeAddress(n.number), nil
	}
	if err := b.makeMachine(n, ""); err != nil {
		return "", fmt.Errorf("make machine %s: %w", name, err)
	}
	n.switchOn()
	return network.NodeAddress(n.number), nil
}

// reserve finds the node of that name, or a place for it.
func (b *Bed) reserve(name string, v upgrade.Version, inZone string) (n *node, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.nodes {
		if n.name == name {
			return n, false
		}
	}
	number := max(b.last+1, len(b.nodes))
	for zone(number)[corev1.LabelTopologyZone] != inZone && inZone != "" {
		number++
	}
	b.last = number
	n = &node{name: name, number: number, version: v, role: upgrade.Worker}
	b.nodes = append(b.nodes, n)
	return n, true
}

// RemoveNode switches a machine off for good, as when its cloud ends it. Its node object is left for whoever deletes it.
func (b *Bed) RemoveNode(name string) {
	b.mu.Lock()
	i := slices.IndexFunc(b.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		b.mu.Unlock()
		return
	}
	n := b.nodes[i]
	b.nodes = slices.Delete(slices.Clone(b.nodes), i, i+1)
	b.mu.Unlock()
	n.end()
	_ = os.RemoveAll(filepath.Join(b.opts.Dir, "hosts", name))
}

// end switches the machine off.
func (n *node) end() {
	if n == nil {
		return
	}
	if n.ssh != nil {
		n.ssh.Close()
	}
	if n.machine != nil {
		n.machine.Stop()
		_ = n.machine.Close()
	}
}

// nodesNow are those that there are.
func (b *Bed) nodesNow() []*node {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.nodes)
}

// Tokens are the bootstrap tokens that there are, by their ids.
func (b *Bed) Tokens(ctx context.Context) ([]string, error) {
	secrets, err := b.client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=bootstrap.kubernetes.io/token"})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range secrets.Items {
		ids = append(ids, string(s.Data["token-id"]))
	}
	return ids, nil
}

// publicKubeconfig is what kubeadm publishes: where the API is, and its CA.
func (b *Bed) publicKubeconfig() (string, error) {
	authority, err := os.ReadFile(b.plane.Certificate)
	if err != nil {
		return "", err
	}
	text, err := clientcmd.Write(clientcmdapi.Config{Clusters: map[string]*clientcmdapi.Cluster{
		"": {Server: "https://" + b.balance.Address(), CertificateAuthorityData: authority},
	}})
	return string(text), err
}
