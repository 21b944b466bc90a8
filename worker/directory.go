package main

import (
	"fmt"
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
	user, address                            string
	port                                     int
	keyFile, certificateFile, knownHostsFile string
	via                                      string // the jump hosts before it
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

// TaskQueue implements activities.Directory.
func (d *directory) TaskQueue(cluster string) (string, error) {
	c, err := config.Load(d.folder, cluster)
	if err != nil {
		return "", err
	}
	return c.TaskQueue, nil
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
	way := append(jumpKeys(c), hostKeyOf(c, node, address))
	d.mu.Lock()
	defer d.mu.Unlock()
	var client *ssh.Client
	for i, key := range way {
		if i > 0 {
			key.via = fmt.Sprint(way[:i])
		}
		client = d.client(key, client)
	}
	return client, way[len(way)-1].address, nil
}

// client is the connection of that key, through the one before it where there is one.
func (d *directory) client(key hostKey, before *ssh.Client) *ssh.Client {
	client, ok := d.hosts[key]
	if !ok {
		cfg := ssh.Config{
			User: key.user, Address: key.address, Port: key.port, KeyFile: key.keyFile, CertificateFile: key.certificateFile,
			KnownHostsFile: key.knownHostsFile, AgentSocket: os.Getenv("SSH_AUTH_SOCK"),
		}
		if before != nil {
			cfg.Dial = before.DialContext
		}
		client = ssh.New(cfg)
		d.hosts[key] = client
	}
	return client
}

// jumpKeys say how to reach the hosts that connections go through, in their order.
func jumpKeys(c *config.Cluster) []hostKey {
	var keys []hostKey
	for _, j := range c.SSH.Jump {
		keys = append(keys, hostKey{
			user: j.User, address: j.Address, keyFile: j.KeyFile, certificateFile: j.CertificateFile, knownHostsFile: j.KnownHostsFile,
		})
	}
	return keys
}

// hostKeyOf says how to reach a node: by what the definition says of it, else as it says of all.
func hostKeyOf(c *config.Cluster, node, address string) hostKey {
	key := hostKey{
		user: c.SSH.User, address: address, port: c.SSH.Port, keyFile: c.SSH.KeyFile, certificateFile: c.SSH.CertificateFile,
		knownHostsFile: c.SSH.KnownHostsFile,
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
