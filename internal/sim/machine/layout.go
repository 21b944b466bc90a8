package machine

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	stdpem "encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// components are the static pods of a control plane in the order in which kubeadm upgrades them.
var components = []string{"etcd", upgrade.APIServer, upgrade.ControllerManager, upgrade.Scheduler}

const (
	manifestFolder = "/etc/kubernetes/manifests"
	kubeadmFolder  = "/etc/kubernetes/tmp"
	etcdData       = "/var/lib/etcd"
	cgroupFolder   = "/sys/fs/cgroup"
	adminConf      = "/etc/kubernetes/admin.conf"
	kubeletConf    = "/etc/kubernetes/kubelet.conf"
)

func manifestPath(component string) string { return manifestFolder + "/" + component + ".yaml" }

// layOut writes the disk that an installation and `kubeadm init` or `kubeadm join` leave.
func (m *Machine) layOut() error {
	o := m.opts
	folders := []string{"/run", "/tmp", "/root", "/home/admin", "/var/log/apt", "/var/lib/pawl", "/var/lib/containerd",
		"/etc/kubernetes/pki", kubeadmFolder, cgroupFolder, "/var/lib/kubelet/pki", "/proc/sys/kernel/random", "/etc/systemd/system", "/usr/lib/systemd/system/kubelet.service.d"}
	if o.Distro == Debian {
		folders = append(folders, dpkgUpdates, "/etc/apt/preferences.d", "/var/lib/apt/lists/partial", archives+"/partial")
	}
	if o.Role.IsControlPlane() {
		folders = append(folders, manifestFolder, etcdData+"/member/snap", etcdData+"/member/wal", "/etc/kubernetes/pki/etcd")
	}
	for _, name := range folders {
		if err := m.root.MkdirAll(inside(name), 0o755); err != nil {
			return err
		}
	}
	for name, mode := range map[string]os.FileMode{"tmp": 0o777, "root": 0o700} {
		if err := m.root.Chmod(name, mode); err != nil {
			return err
		}
	}
	// os-release last: where it is, the disk is whole.
	files := m.packageFiles()
	for name, f := range m.kubernetesFiles() {
		files[name] = f
	}
	files["/etc/hostname"] = file0644(o.Name + "\n")
	files["/etc/machine-id"] = file0644(invocationID() + "\n")
	files["/etc/passwd"] = file0644("root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\nguest:x:1001:1001::/home/guest:/bin/bash\n")
	for name, f := range files {
		if err := m.WriteFile(name, f.content, f.mode); err != nil {
			return err
		}
	}
	release := "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"
	switch o.Distro {
	case SUSE:
		release = "NAME=\"openSUSE Leap\"\nVERSION=\"15.6\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n"
	case Rocky:
		release = "NAME=\"Rocky Linux\"\nVERSION=\"9.6 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.6\"\n"
	}
	// A node is older than the kubelet that is about to start: what is newer than that makes pawl restart it.
	long := time.Now().Add(-30 * 24 * time.Hour)
	for name := range files {
		if err := m.root.Chtimes(inside(name), long, long); err != nil {
			return err
		}
	}
	return m.WriteFile("/etc/os-release", []byte(release), 0o644)
}

type diskFile struct {
	content []byte
	mode    os.FileMode
}

func file0644(text string) diskFile { return diskFile{[]byte(text), 0o644} }

// kubernetesFiles are what kubeadm and the kubelet leave.
func (m *Machine) kubernetesFiles() map[string]diskFile {
	o := m.opts
	files := map[string]diskFile{
		kubeletConfig:                 file0644(KubeletConfiguration),
		kubeletInstance:               file0644("apiVersion: kubelet.config.k8s.io/v1beta1\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nkind: KubeletConfiguration\n"),
		kubeletFlags:                  file0644(flagsFor(o.Version)),
		kubeletConf:                   {kubeconfig(o.Endpoint, "system:node:"+o.Name), 0o600},
		"/etc/kubernetes/pki/ca.crt":  file0644(certificate("kubernetes", true)),
		"/var/lib/kubelet/pki/x.pem":  {[]byte(pem("CERTIFICATE", o.Name)), 0o600},
		kubeletDefaults:               file0644("KUBELET_EXTRA_ARGS=\n"),
		"/etc/containerd/config.toml": file0644("version = 3\n"),
	}
	if !o.Role.IsControlPlane() {
		return files
	}
	for _, component := range components {
		files[manifestPath(component)] = diskFile{Manifest(component, o.Version, o.Name, o.Endpoint), 0o600}
	}
	files[adminConf] = diskFile{kubeconfig(o.Endpoint, "kubernetes-admin"), 0o600}
	for _, name := range []string{"controller-manager", "scheduler"} {
		files["/etc/kubernetes/"+name+".conf"] = diskFile{kubeconfig(o.Endpoint, "system:kube-"+name), 0o600}
	}
	for _, name := range []string{"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd/ca", "etcd/server", "etcd/peer"} {
		files["/etc/kubernetes/pki/"+name+".crt"] = file0644(certificate(name, strings.HasSuffix(name, "ca")))
		files["/etc/kubernetes/pki/"+name+".key"] = diskFile{[]byte(pem("SIMULATED KEY", name)), 0o600}
	}
	files[etcdData+"/member/snap/db"] = diskFile{[]byte(strings.Repeat("etcd", 16<<10)), 0o600}
	files[etcdData+"/member/wal/0.wal"] = diskFile{[]byte(strings.Repeat("wal ", 4<<10)), 0o600}
	return files
}

// flagsFor are the flags that kubeadm of that version writes: the pause image up to 1.34.
func flagsFor(v upgrade.Version) string {
	flags := "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"
	if !v.AtLeastMinor(1, 35) {
		flags += " --pod-infra-container-image=" + registry + "/pause:" + imagesOf(v).pause
	}
	return "KUBELET_KUBEADM_ARGS=\"" + flags + "\"\n"
}

// KubeletConfiguration is what `kubeadm init` writes for the kubelet, and what belongs into the ConfigMap
// kube-system/kubelet-config under "kubelet".
const KubeletConfiguration = `apiVersion: kubelet.config.k8s.io/v1beta1
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
healthzBindAddress: 127.0.0.1
healthzPort: 10248
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
`

func kubeconfig(endpoint, user string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    server: https://%s
contexts:
- name: %[2]s@kubernetes
  context:
    cluster: kubernetes
    user: %[2]s
current-context: %[2]s@kubernetes
users:
- name: %[2]s
  user: {}
`, endpoint, user)
}

// certificate is one as kubeadm makes them, for ten years if it is an authority and one if not, but signed by itself.
func certificate(name string, authority bool) string {
	years := 1
	if authority {
		years = 10
	}
	made := time.Now().Add(-30 * 24 * time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: made, NotAfter: made.AddDate(years, 0, 0),
		IsCA: authority, BasicConstraintsValid: true}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // there is no randomness
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err) // the template above is at fault
	}
	return string(stdpem.EncodeToMemory(&stdpem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// pem looks like a key or a certificate and is none.
func pem(kind, text string) string {
	return "-----BEGIN " + kind + "-----\n" + base64.StdEncoding.EncodeToString([]byte("simulated: "+text)) + "\n-----END " + kind + "-----\n"
}

const registry = "registry.k8s.io"

// images are the versions that a kubeadm brings besides its own.
type images struct{ etcd, coreDNS, pause string }

// imagesOf is from cmd/kubeadm/app/constants/constants.go of each minor.
func imagesOf(v upgrade.Version) images {
	switch {
	case v.AtLeastMinor(1, 37):
		return images{"3.7.0-0", "v1.14.6", "3.10.2"}
	case v.AtLeastMinor(1, 36):
		return images{"3.6.8-0", "v1.14.2", "3.10.2"}
	case v.AtLeastMinor(1, 35):
		return images{"3.6.6-0", "v1.13.1", "3.10.1"}
	case v.AtLeastMinor(1, 34):
		return images{"3.6.5-0", "v1.12.1", "3.10.1"}
	case v.AtLeastMinor(1, 33):
		return images{"3.5.24-0", "v1.12.0", "3.10"}
	}
	return images{"3.5.24-0", "v1.11.3", "3.10"}
}

// Images are what `kubeadm config images list` prints for a version.
func Images(v upgrade.Version) []string {
	var names []string
	for _, component := range []string{upgrade.APIServer, upgrade.ControllerManager, upgrade.Scheduler, "kube-proxy"} {
		names = append(names, registry+"/"+component+":"+v.String())
	}
	i := imagesOf(v)
	return append(names, registry+"/coredns/coredns:"+i.coreDNS, registry+"/pause:"+i.pause, registry+"/etcd:"+i.etcd)
}

// Manifest is the static pod manifest of a component as kubeadm of version v writes it, cut to what is read of it.
func Manifest(component string, v upgrade.Version, node, endpoint string) []byte {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host, port = endpoint, "6443"
	}
	image := registry + "/" + component + ":" + v.String()
	var annotations, command string
	switch component {
	case "etcd":
		image = registry + "/etcd:" + imagesOf(v).etcd
		annotations = "    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://" + net.JoinHostPort(host, "2379") + "\n"
		command = "    - --advertise-client-urls=https://" + net.JoinHostPort(host, "2379") + "\n    - --data-dir=" + etcdData + "\n    - --name=" + node + "\n"
	case upgrade.APIServer:
		annotations = "    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: " + endpoint + "\n"
		command = "    - --advertise-address=" + host + "\n    - --etcd-servers=https://127.0.0.1:2379\n    - --secure-port=" + port + "\n"
	default:
		command = "    - --kubeconfig=/etc/kubernetes/" + strings.TrimPrefix(component, "kube-") + ".conf\n    - --leader-elect=true\n"
	}
	if annotations != "" {
		annotations = "  annotations:\n" + annotations
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata:
%s  labels:
    component: %[2]s
    tier: control-plane
  name: %[2]s
  namespace: kube-system
spec:
  containers:
  - command:
    - %[2]s
%[3]s    image: %[4]s
    imagePullPolicy: IfNotPresent
    name: %[2]s
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
`, annotations, component, command, image)
}

// ClusterConfiguration is what belongs into the ConfigMap kube-system/kubeadm-config under "ClusterConfiguration".
func ClusterConfiguration(v upgrade.Version) string {
	return `apiServer: {}
apiVersion: kubeadm.k8s.io/v1beta4
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {}
dns: {}
etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: ` + v.String() + `
networking:
  dnsDomain: cluster.local
  serviceSubnet: 10.96.0.0/12
proxy: {}
scheduler: {}
`
}

// bootDisk empties what is in memory. The caller holds m.mu.
func (m *Machine) bootDisk() {
	_ = m.root.RemoveAll("run")
	_ = m.root.MkdirAll("run/lock", 0o755)
	_ = m.root.MkdirAll("proc/sys/kernel/random", 0o755)
	_ = m.root.WriteFile("proc/sys/kernel/random/boot_id", []byte(m.bootID+"\n"), 0o444)
}
