package main

import (
	"os"
	"sync"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/binaries"
	"github.com/pawl-dev/pawl/internal/config"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/kube"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// directory opens clusters from a folder of definitions. Definitions are read anew each time, so that an edit takes
// effect at the next attempt; connections are kept for as long as what they depend on stays the same.
type directory struct {
	folder string

	mu    sync.Mutex
	apis  map[apiKey]*kube.Cluster
	hosts map[hostKey]*ssh.Client
}

// apiKey changes when the kubeconfig does.
type apiKey struct {
	kubeconfig string
	provider   string
	modified   int64
	size       int64
}

// hostKey is all that a connection depends on.
type hostKey struct {
	user, address           string
	port                    int
	keyFile, knownHostsFile string
}

func newDirectory(folder string) *directory {
	return &directory{folder: folder, apis: map[apiKey]*kube.Cluster{}, hosts: map[hostKey]*ssh.Client{}}
}

// Settings implements activities.Directory.
func (d *directory) Settings(cluster string) (upgrade.Settings, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return upgrade.Settings{}, err
	}
	return c.Settings(), nil
}

// API implements activities.Directory.
func (d *directory) API(cluster string) (activities.API, error) { return d.kube(cluster) }

func (d *directory) kube(cluster string) (*kube.Cluster, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, err
	}
	key := apiKey{kubeconfig: c.Kubeconfig, provider: c.Provider}
	if info, err := os.Stat(c.Kubeconfig); err == nil {
		key.modified, key.size = info.ModTime().UnixNano(), info.Size()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if api, ok := d.apis[key]; ok {
		return api, nil
	}
	api, err := kube.Open(cluster, c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	switch s := c.Settings(); {
	case s.Managed():
		api.RunByProvider()
	case s.ByHand():
		api.InstalledByHand()
	}
	d.apis[key] = api
	return api, nil
}

// Host implements activities.Directory.
func (d *directory) Host(cluster, node, address string) (activities.Host, error) {
	client, _, err := d.ssh(cluster, node, address)
	if err != nil {
		return nil, err
	}
	return host.New(node, client), nil
}

// BinaryHost implements activities.Directory.
func (d *directory) BinaryHost(cluster, node, address string) (activities.BinaryHost, error) {
	client, address, err := d.ssh(cluster, node, address)
	if err != nil {
		return nil, err
	}
	return binaries.New(node, address, client), nil
}

// ssh is the connection to a machine, and the address that it is reached at.
func (d *directory) ssh(cluster, node, address string) (*ssh.Client, string, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return nil, "", err
	}
	key := hostKeyOf(c, node, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	client, ok := d.hosts[key]
	if !ok {
		client = ssh.New(ssh.Config{
			User: key.user, Address: key.address, Port: key.port, KeyFile: key.keyFile,
			KnownHostsFile: key.knownHostsFile, AgentSocket: os.Getenv("SSH_AUTH_SOCK"),
		})
		d.hosts[key] = client
	}
	return client, key.address, nil
}

// hostKeyOf says how to reach a node: by what the definition says of it, else as it says of all.
func hostKeyOf(c *config.Cluster, node, address string) hostKey {
	key := hostKey{
		user: c.SSH.User, address: address, port: c.SSH.Port, keyFile: c.SSH.KeyFile, knownHostsFile: c.SSH.KnownHostsFile,
	}
	own := c.SSH.Hosts[node]
	if own.Address != "" {
		key.address = own.Address
	}
	if own.Port != 0 {
		key.port = own.Port
	}
	if own.User != "" {
		key.user = own.User
	}
	return key
}
