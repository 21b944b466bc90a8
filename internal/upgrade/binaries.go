package upgrade

// The components that run beside those of the skew policy, from binaries of their own, and the tools that go with them.
const (
	Etcd       = etcd
	Etcdctl    = "etcdctl"
	Etcdutl    = "etcdutl"
	Containerd = "containerd"
	Runc       = "runc"
	CNIPlugins = "cni-plugins"
)

// BinaryHost is what was observed of a host whose components were installed by hand: binaries that systemd's units start,
// without kubeadm. It holds no values of flags, which may be secret.
type BinaryHost struct {
	Node    string `json:"node"`
	Address string `json:"address,omitempty"`
	// Arch is the architecture as releases name it: amd64, arm64. Empty: none is known for what Machine says.
	Arch     string   `json:"arch,omitempty"`
	Machine  string   `json:"machine,omitempty"` // uname -m
	Binaries []Binary `json:"binaries,omitempty"`
	// CloudControllers are units that start a cloud-controller-manager.
	CloudControllers []string `json:"cloudControllers,omitempty"`
	// Missing are versions that the source has not for this host.
	Missing []MissingBinary `json:"missing,omitempty"`
	// Problem is why the host could not be looked at. One line.
	Problem string `json:"problem,omitempty"`
	// NotObserved is what else could not be looked at, and why, each in one line.
	NotObserved []string `json:"notObserved,omitempty"`
}

// Binary is one component of a host.
type Binary struct {
	Component string `json:"component"`
	// Path is where the unit starts it from; of a tool, where it was found; of CNI plugins, their folder.
	Path string `json:"path,omitempty"`
	// LinksTo is where Path leads, if it is a link or below one.
	LinksTo string     `json:"linksTo,omitempty"`
	OnDisk  Version    `json:"onDisk,omitzero"`
	Unit    BinaryUnit `json:"unit,omitzero"` // empty of a tool
	// Flags are the names of the flags that the unit gives it, with their dashes, in order.
	Flags []string `json:"flags,omitempty"`
	// Gates are the feature gates that flags and files set.
	Gates map[string]bool `json:"gates,omitempty"`
	// Config are the configuration files that flags name.
	Config []string `json:"config,omitempty"`
	// Problem is what is the matter with the binary, in one line: it is not where the unit says, or does not say its version.
	Problem string `json:"problem,omitempty"`
}

// BinaryUnit is the unit of systemd that starts a binary.
type BinaryUnit struct {
	Name string `json:"name"` // kube-apiserver.service
	// Files are those that make the unit: its own, its drop-ins, its environment files.
	Files  []string `json:"files,omitempty"`
	Active string   `json:"active,omitempty"` // systemd's word: active, failed, ...
	// Running is the version of the process, of whatever file it was started from; zero while there is none.
	Running Version `json:"running,omitzero"`
	// Stale: the files changed since systemd read them.
	Stale bool `json:"stale,omitempty"`
}

// MissingBinary is a release that the source has not.
type MissingBinary struct {
	Component string  `json:"component"`
	Version   Version `json:"version"`
	Problem   string  `json:"problem"`
}

// EtcdMember is one member of etcd, as etcd tells.
type EtcdMember struct {
	Node     string  `json:"node,omitempty"` // empty where no host is known to be the member's
	Name     string  `json:"name,omitempty"`
	Endpoint string  `json:"endpoint"`
	Version  Version `json:"version,omitzero"` // zero: it did not answer
	Leader   bool    `json:"leader,omitempty"`
	Learner  bool    `json:"learner,omitempty"`
}

// BinarySource is where new binaries come from. Each is a URL (https, http, or file:/// for a folder on the host itself)
// below which the releases lie as their projects lay them out. Empty stands for the project's own.
type BinarySource struct {
	// Kubernetes has v1.37.2/bin/linux/amd64/kube-apiserver and, beside it, .sha256.
	Kubernetes string `json:"kubernetes,omitempty"`
	// Etcd has v3.6.11/etcd-v3.6.11-linux-amd64.tar.gz and, beside it, SHA256SUMS.
	Etcd string `json:"etcd,omitempty"`
	// Containerd has v2.3.7/containerd-2.3.7-linux-amd64.tar.gz and, beside it, .sha256sum.
	Containerd string `json:"containerd,omitempty"`
	// Runc has v1.3.3/runc.amd64 and runc.sha256sum.
	Runc string `json:"runc,omitempty"`
	// CNI has v1.8.0/cni-plugins-linux-amd64-v1.8.0.tgz and, beside it, .sha256.
	CNI string `json:"cni,omitempty"`
}

// ComponentVersion is a component and a version of it.
type ComponentVersion struct {
	Component string  `json:"component"`
	Version   Version `json:"version"`
}

// BinaryTargets are where the components of hosts go.
type BinaryTargets struct {
	Kubernetes Version
	Etcd       []Version // that it goes through; empty: it stays
	// Runtime are the container runtime's parts and the CNI plugins, on hosts with a kubelet. What is not named stays.
	Runtime []ComponentVersion
}

// on is what of the targets concerns a host: without a kubelet there is nobody who could be drained for the runtime's sake.
func (t BinaryTargets) on(h BinaryHost) BinaryTargets {
	if _, node := h.Binary(Kubelet); !node {
		t.Runtime = nil
	}
	return t
}

// of is where a component goes in the end; zero: it stays.
func (t BinaryTargets) of(component string) Version {
	switch component {
	case etcd, Etcdctl, Etcdutl:
		return last(t.Etcd)
	case Containerd, Runc, CNIPlugins:
		return versionOf(t.Runtime, component)
	}
	return t.Kubernetes
}

func versionOf(all []ComponentVersion, component string) Version {
	for _, c := range all {
		if c.Component == component {
			return c.Version
		}
	}
	return Version{}
}

// last is the last version; zero where there is none.
func last(versions []Version) Version {
	if len(versions) == 0 {
		return Version{}
	}
	return versions[len(versions)-1]
}

// BinaryChange is the change of one component of a host to another version.
type BinaryChange struct {
	Component string  `json:"component"`
	From      Version `json:"from"`
	To        Version `json:"to"`
}

// Binary finds a component of the host.
func (h BinaryHost) Binary(component string) (Binary, bool) {
	for _, b := range h.Binaries {
		if b.Component == component {
			return b, true
		}
	}
	return Binary{}, false
}

// settings are what the unit sets, as far as some minor takes it away.
func (b Binary) settings() []Setting {
	file := b.Unit.Name
	var all []Setting
	for _, flag := range b.Flags {
		all = append(all, Setting{File: file, Component: b.Component, Flag: flag})
	}
	if b.Component != etcd { // of whose gates nothing is known
		for gate, on := range b.Gates {
			all = append(all, Setting{File: file, Component: b.Component, Gate: gate, On: on})
		}
	}
	return all
}
