package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Binaries says what a cluster that was installed by hand consists of, and where its new binaries come from.
type Binaries struct {
	ControlPlane []string `json:"controlPlane"` // hosts, by their names under ssh.hosts
	Mirror       string   `json:"mirror"`       // of Kubernetes
	Containerd   Release  `json:"containerd"`
	Runc         Release  `json:"runc"`
	CNI          Release  `json:"cni"`

	// What etcd.mirror and etcd.versions were called first.
	EtcdMirror   string   `json:"etcdMirror"`
	EtcdVersions []string `json:"etcdVersions"`
}

// Release is where a part goes that has versions of its own. It stays where none is given.
type Release struct {
	Version string `json:"version"`
	Mirror  string `json:"mirror"`
}

// Etcd is one whose members units of systemd start.
type Etcd struct {
	Hosts    []string `json:"hosts"`    // by their names under ssh.hosts; empty: those of binaries.controlPlane
	Versions []string `json:"versions"` // that the mirror has; the last is where etcd goes. It stays where none is given
	Mirror   string   `json:"mirror"`
}

// runtime are the parts of a node that have versions of their own, in the order in which they are changed.
func (b Binaries) runtime() []struct {
	field, component string
	Release
} {
	return []struct {
		field, component string
		Release
	}{{"containerd", upgrade.Containerd, b.Containerd}, {"runc", upgrade.Runc, b.Runc}, {"cni", upgrade.CNIPlugins, b.CNI}}
}

// checkBinaries says what is wrong with what is said of binaries.
func (c *Cluster) checkBinaries() error {
	b := c.Binaries
	if c.Provider != ProviderBinaries {
		if len(b.ControlPlane) > 0 || b.Mirror+b.EtcdMirror != "" || len(b.EtcdVersions) > 0 || b.Containerd != (Release{}) || b.Runc != (Release{}) || b.CNI != (Release{}) {
			return fmt.Errorf("binaries: is for provider: %s", ProviderBinaries)
		}
		return c.checkEtcd()
	}
	if len(b.ControlPlane) == 0 {
		return fmt.Errorf("binaries.controlPlane: is missing, wanted the names of the control plane's hosts")
	}
	if err := c.checkHosts("the control plane", b.ControlPlane); err != nil {
		return err
	}
	if err := checkMirror("binaries.mirror", b.Mirror, "https://dl.k8s.io"); err != nil {
		return err
	}
	for _, part := range b.runtime() {
		field := "binaries." + part.field
		if part.Version == "" && part.Mirror != "" {
			return fmt.Errorf("%s.version: is missing, wanted the version that it goes to", field)
		}
		if err := checkMirror(field+".mirror", part.Mirror, "https://mirror.example.com/"+part.field); err != nil {
			return err
		}
		if part.Version == "" {
			continue
		}
		if err := checkVersions(field+".version", "v2.3.7", part.Version); err != nil {
			return err
		}
	}
	return c.checkEtcd()
}

// checkEtcd says what is wrong with what is said of etcd.
func (c *Cluster) checkEtcd() error {
	e, b := c.Etcd, c.Binaries
	said := len(e.Hosts)+len(e.Versions) > 0 || e.Mirror != ""
	switch {
	case said && c.Provider != ProviderKubeadm && c.Provider != ProviderBinaries:
		return fmt.Errorf("etcd: is for provider: %s or %s", ProviderKubeadm, ProviderBinaries)
	case said && c.Provider == ProviderKubeadm && len(e.Hosts) == 0:
		return fmt.Errorf("etcd.hosts: is missing, wanted the hosts of an external etcd: kubeadm upgrades its own")
	case e.Mirror != "" && b.EtcdMirror != "":
		return fmt.Errorf("binaries.etcdMirror: is what etcd.mirror says, too; leave it out")
	case len(e.Versions) > 0 && len(b.EtcdVersions) > 0:
		return fmt.Errorf("binaries.etcdVersions: is what etcd.versions says, too; leave it out")
	}
	if err := c.checkHosts("etcd", e.Hosts); err != nil {
		return err
	}
	for field, mirror := range map[string]string{"etcd.mirror": e.Mirror, "binaries.etcdMirror": b.EtcdMirror} {
		if err := checkMirror(field, mirror, "https://mirror.example.com/etcd"); err != nil {
			return err
		}
	}
	for field, versions := range map[string][]string{"etcd.versions": e.Versions, "binaries.etcdVersions": b.EtcdVersions} {
		if err := checkVersions(field, "v3.7.0", versions...); err != nil {
			return err
		}
	}
	return nil
}

func checkVersions(field, like string, texts ...string) error {
	for _, text := range texts {
		if _, err := upgrade.ParseVersion(text); err != nil {
			return fmt.Errorf("%s: is %q, wanted one like %s", field, text, like)
		}
	}
	return nil
}

// checkHosts says which of the hosts has no address.
func (c *Cluster) checkHosts(of string, names []string) error {
	for _, name := range names {
		if c.SSH.Hosts[name].Address == "" {
			return fmt.Errorf("ssh.hosts.%s.address: is missing, wanted the address of a host of %s, which the API does not know", name, of)
		}
	}
	return nil
}

func checkMirror(field, url, like string) error {
	if url != "" && !strings.Contains(url, "://") {
		return fmt.Errorf("%s: is %q, wanted a URL like %s or file:///srv/mirror", field, url, like)
	}
	return nil
}

// binarySettings are those of a definition that was checked.
func (c *Cluster) binarySettings() upgrade.BinarySettings {
	b := c.Binaries
	s := upgrade.BinarySettings{ControlPlane: b.ControlPlane, EtcdHosts: c.Etcd.Hosts, Source: upgrade.BinarySource{
		Kubernetes: b.Mirror, Etcd: cmp.Or(c.Etcd.Mirror, b.EtcdMirror), Containerd: b.Containerd.Mirror, Runc: b.Runc.Mirror, CNI: b.CNI.Mirror}}
	s.Etcd, _ = upgrade.ParseVersions(slices.Concat(b.EtcdVersions, c.Etcd.Versions))
	for _, part := range b.runtime() {
		if v, err := upgrade.ParseVersion(part.Version); err == nil {
			s.Runtime = append(s.Runtime, upgrade.ComponentVersion{Component: part.component, Version: v})
		}
	}
	return s
}
