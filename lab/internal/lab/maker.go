package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/lab/internal/artefacts"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// maker makes nodes. Each step does what is left to do, so that an interrupted
// one is simply done again.
type maker struct {
	home    home.Home
	version string // of the packages
	access  sshx.Access
	disk    node.Disk
}

// prepare learns what disks are made of; a is the way in that they will have.
func (m *maker) prepare(ctx context.Context, a sshx.Access) error {
	pause, err := artefacts.Image(ctx, m.home, m.version, "pause")
	if err != nil {
		return err
	}
	m.access = a
	m.disk = node.Disk{
		Template: artefacts.Template(m.home), PauseImage: pause.String(),
		AuthorizedKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(a.Signer.PublicKey()))) + " pawl-lab",
	}
	return nil
}

// boot makes a node and waits until systemd in it has settled.
func (m maker) boot(ctx context.Context, n topology.Node) (*sshx.Client, error) {
	key, err := m.disk.Make(m.home, n)
	if err != nil {
		return nil, err
	}
	if err := know(ctx, m.home, n, key); err != nil {
		return nil, err
	}
	if err := node.Plug(n); err != nil {
		return nil, err
	}
	if err := node.EnsureOn(m.home, program(m.home), n); err != nil {
		return nil, err
	}
	c, err := m.access.Wait(ctx, string(n), n.Address(), sshPatience)
	if err != nil {
		return nil, fmt.Errorf("boot %s: %w; see %s", n, err, m.home.Node(string(n), "keeper.log"))
	}
	if _, err := c.Run(ctx, "systemctl is-system-running --wait || true"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

//go:embed files/install.sh
var installScript string

// install adds the package source and the packages, the way Kubernetes'
// documentation says.
func (m maker) install(ctx context.Context, c *sshx.Client) error {
	script := fmt.Sprintf("REPOSITORY=%s VERSION=%s\n%s", repositoryURL(m.version), debianVersion(m.version), installScript)
	if _, err := c.Run(ctx, script); err != nil {
		return fmt.Errorf("install packages: %w", err)
	}
	return nil
}

const kubeadmConfig = "/root/kubeadm.yaml"

//go:embed files/join.sh
var joinScript string

// join makes the node one of the cluster.
func (m maker) join(ctx context.Context, c *sshx.Client, config string) error {
	if err := c.Put(ctx, kubeadmConfig, []byte(config)); err != nil {
		return err
	}
	if _, err := c.Run(ctx, joinScript); err != nil {
		return fmt.Errorf("kubeadm join: %w", err)
	}
	return nil
}

// know makes key the node's only one among the known ones; without a key it
// has none.
func know(ctx context.Context, h home.Home, n topology.Node, key ssh.PublicKey) error {
	unlock, err := h.Await(ctx, "run/known_hosts")
	if err != nil {
		return err
	}
	defer unlock()
	file, err := os.ReadFile(knownHostsFile(h))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return home.WriteFile(knownHostsFile(h), sshx.WithHost(file, key, n.Address(), string(n)), 0o644)
}
