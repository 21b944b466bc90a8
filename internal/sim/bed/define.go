package bed

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// file is one of the files beside the cluster's definition; their names begin with the cluster's, so that several
// clusters may share a folder.
func (b *Bed) file(suffix string) string { return filepath.Join(b.opts.Clusters, b.opts.Name+suffix) }

// sshKey is the key that opens all machines.
type sshKey struct{ public ssh.PublicKey }

func (k sshKey) authorized(users ...string) map[string][]ssh.PublicKey {
	keys := map[string][]ssh.PublicKey{}
	for _, user := range users {
		keys[user] = []ssh.PublicKey{k.public}
	}
	return keys
}

func (b *Bed) makeKey() (sshKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return sshKey{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, "pawl-sim")
	if err != nil {
		return sshKey{}, err
	}
	if err := os.WriteFile(b.file(".key"), pem.EncodeToMemory(block), 0o600); err != nil {
		return sshKey{}, err
	}
	key, err := ssh.NewPublicKey(public)
	return sshKey{key}, err
}

// define writes the cluster's definition, as a person would write it, with the files that it names.
func (b *Bed) define(context.Context) error {
	var hosts, known strings.Builder
	for _, n := range b.nodesNow() {
		host, port, err := net.SplitHostPort(n.ssh.Address())
		if err != nil {
			return err
		}
		fmt.Fprintf(&hosts, "    %s: {address: %s, port: %s}\n", n.name, host, port)
		fmt.Fprintln(&known, knownhosts.Line([]string{knownhosts.Normalize(n.ssh.Address())}, n.ssh.HostKey()))
	}
	if err := b.writeKubeconfig(b.file(".conf"), b.plane.UserToken); err != nil {
		return err
	}
	name := b.opts.Name
	definition := fmt.Sprintf("name: %s\nprovider: %s\nkubeconfig: ./%s.conf\nssh:\n  user: admin\n  keyFile: ./%s.key\n  knownHostsFile: ./%s.known_hosts\n  hosts:\n%s%s",
		name, cmp.Or(b.opts.Provider, "kubeadm"), name, name, name, hosts.String(), b.opts.Definition)
	for suffix, text := range map[string]string{".known_hosts": known.String(), ".yaml": definition} {
		if err := os.WriteFile(b.file(suffix), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
