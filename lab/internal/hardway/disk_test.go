package hardway

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/rootfs"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

func testCluster(t *testing.T, controlPlanes int, cgroupV1 bool) *Cluster {
	t.Helper()
	cni := t.TempDir()
	if err := os.WriteFile(filepath.Join(cni, "bridge"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := New(Programs{Kubernetes: "/k", Etcd: "/e", CNI: cni}, topology.Nodes(controlPlanes, 0), cgroupV1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func filesOf(t *testing.T, c *Cluster, n topology.Node) map[string]rootfs.File {
	t.Helper()
	list, err := c.Files(n)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]rootfs.File{}
	for _, f := range list {
		if _, ok := files[f.Path]; ok {
			t.Errorf("%s: %s is written twice", n, f.Path)
		}
		files[f.Path] = f
	}
	return files
}

func TestWhatUnitsAndConfigurationsSay(t *testing.T) {
	c := testCluster(t, 3, true)
	cp, w := filesOf(t, c, "cp2"), filesOf(t, c, "w1")
	v2 := filesOf(t, testCluster(t, 1, false), "w1")
	const units, want, no = "etc/systemd/system/", true, false
	for _, x := range []struct {
		files map[string]rootfs.File
		path  string
		part  string
		want  bool
	}{
		{cp, units + "etcd.service", "--name=cp2 \\\n", want},
		{cp, units + "etcd.service", "--initial-cluster=cp1=https://10.77.0.11:2380,cp2=https://10.77.0.12:2380,cp3=https://10.77.0.13:2380 \\\n", want},
		{cp, units + "etcd.service", "--advertise-client-urls=https://10.77.0.12:2379 \\\n", want},
		{cp, units + "kube-apiserver.service", "--advertise-address=10.77.0.12 \\\n", want},
		{cp, units + "kube-apiserver.service", "--etcd-servers=https://10.77.0.11:2379,https://10.77.0.12:2379,https://10.77.0.13:2379 \\\n", want},
		{cp, "var/lib/kubernetes/kube-scheduler.kubeconfig", "server: https://127.0.0.1:6443\n", want},
		{cp, "root/.kube/config", "server: https://127.0.0.1:6443\n", want},
		{cp, "var/lib/kubernetes/encryption-config.yaml", "secret: " + c.encryptionKey + "}", want},
		{w, "var/lib/kubelet/kubeconfig", "server: https://k8s-api.lab:6443\n", want},
		{w, units + "kubelet.service", "--node-ip=10.77.0.21 \\\n", want},
		{w, "var/lib/kubelet/kubelet-config.yaml", "clusterDNS: [10.96.0.10]\nfailCgroupV1: false\n", want},
		{v2, "var/lib/kubelet/kubelet-config.yaml", "failCgroupV1", no},
	} {
		if got := x.files[x.path].Content; strings.Contains(got, x.part) != x.want {
			t.Errorf("%s: contains %q is %t, want %t:\n%s", x.path, x.part, !x.want, x.want, got)
		}
	}
}

// absolute is a path below a folder that the cluster's files are in.
var absolute = regexp.MustCompile(`/(?:etc/etcd|etc/kubernetes|var/lib/kube[-a-z]*|usr/local/bin)/[-a-z./]+[a-z]`)

func TestEveryFileThatIsNamedIsThere(t *testing.T) {
	c := testCluster(t, 1, true)
	for _, n := range []topology.Node{"cp1", "w1"} {
		files := filesOf(t, c, n)
		for path, f := range files {
			for _, named := range absolute.FindAllString(f.Content, -1) {
				if _, ok := files[strings.TrimPrefix(named, "/")]; !ok {
					t.Errorf("%s: %s names %s, which is not there", n, path, named)
				}
			}
		}
	}
}

func TestUnitsStartAtBootAndHaveTheirProgram(t *testing.T) {
	c := testCluster(t, 1, true)
	for n, units := range map[topology.Node][]string{"cp1": ControlPlaneUnits, "w1": WorkerUnits} {
		files := filesOf(t, c, n)
		for _, u := range units {
			unit := "/etc/systemd/system/" + u + ".service"
			if got := files["etc/systemd/system/multi-user.target.wants/"+u+".service"].Link; got != unit {
				t.Errorf("%s: %s is started by a link to %q", n, u, got)
			}
			if program := files["usr/local/bin/"+u]; program.Source == "" || program.Mode != 0o755 {
				t.Errorf("%s: program of %s is %+v", n, u, program)
			}
			if !strings.Contains(files[unit[1:]].Content, "ExecStart=/usr/local/bin/"+u+" ") {
				t.Errorf("%s: unit of %s:\n%s", n, u, files[unit[1:]].Content)
			}
		}
	}
}

func TestSecretsAreForRootAndWhereTheyBelong(t *testing.T) {
	c := testCluster(t, 1, true)
	for _, n := range []topology.Node{"cp1", "w1"} {
		for path, f := range filesOf(t, c, n) {
			secret := strings.Contains(f.Content, "PRIVATE KEY") || strings.Contains(f.Content, "client-key-data") || strings.Contains(f.Content, c.encryptionKey)
			if secret && f.Mode != 0o600 {
				t.Errorf("%s: mode of %s is %v", n, path, f.Mode)
			}
			if n == "w1" && (strings.Contains(f.Content, c.ca.key) || strings.Contains(f.Content, c.serviceAccounts.key)) {
				t.Errorf("%s has a key of the cluster in %s", n, path)
			}
		}
	}
}

func TestServingCertificates(t *testing.T) {
	c := testCluster(t, 3, true)
	cp, w := filesOf(t, c, "cp2"), filesOf(t, c, "w1")
	for _, x := range []struct {
		file  rootfs.File
		hosts []string
	}{
		{cp["var/lib/kubernetes/kube-api-server.crt"], []string{"10.77.0.1", "k8s-api.lab", "127.0.0.1", "10.96.0.1", "kubernetes.default.svc", "cp1", "10.77.0.13"}},
		{cp["etc/etcd/etcd.crt"], []string{"cp2", "10.77.0.12", "127.0.0.1"}},
		{w["var/lib/kubelet/kubelet.crt"], []string{"w1", "10.77.0.21"}},
	} {
		cert := parsed(t, x.file.Content)
		for _, h := range x.hosts {
			if err := cert.VerifyHostname(h); err != nil {
				t.Errorf("%s: %v", x.file.Path, err)
			}
		}
	}
}

func TestKubeconfigs(t *testing.T) {
	c := testCluster(t, 1, true)
	cp, w := filesOf(t, c, "cp1"), filesOf(t, c, "w1")
	certificate := regexp.MustCompile(`client-certificate-data: (\S+)`)
	for _, x := range []struct {
		file        rootfs.File
		user, group string
	}{
		{cp["root/.kube/config"], "admin", "system:masters"},
		{cp["var/lib/kubernetes/kube-controller-manager.kubeconfig"], "system:kube-controller-manager", "system:kube-controller-manager"},
		{cp["var/lib/kubernetes/kube-scheduler.kubeconfig"], "system:kube-scheduler", "system:kube-scheduler"},
		{w["var/lib/kubelet/kubeconfig"], "system:node:w1", "system:nodes"},
		{w["var/lib/kube-proxy/kubeconfig"], "system:kube-proxy", "system:node-proxier"},
	} {
		m := certificate.FindStringSubmatch(x.file.Content)
		if m == nil {
			t.Errorf("%s: no certificate:\n%s", x.file.Path, x.file.Content)
			continue
		}
		text, err := base64.StdEncoding.DecodeString(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed(t, string(text)).Subject; got.CommonName != x.user || got.Organization[0] != x.group {
			t.Errorf("%s is for %s, want %s of %s", x.file.Path, got, x.user, x.group)
		}
	}
}

func TestEtcdFilesAreOfEtcdAlone(t *testing.T) {
	c := testCluster(t, 3, true)
	files, err := c.EtcdFiles("cp2")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	want := "etc/etcd/ca.crt etc/etcd/etcd.crt etc/etcd/etcd.key etc/kubernetes/pki/apiserver-etcd-client.crt etc/kubernetes/pki/apiserver-etcd-client.key" +
		" etc/kubernetes/pki/etcd/ca.crt etc/systemd/system/etcd.service etc/systemd/system/multi-user.target.wants/etcd.service" +
		" usr/local/bin/etcd usr/local/bin/etcdctl usr/local/bin/etcdutl"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if files, err := c.EtcdFiles("w1"); err != nil || len(files) > 0 {
		t.Errorf("a worker has %v, %v", files, err)
	}
}

func TestControlPlaneRunsNoContainers(t *testing.T) {
	c := testCluster(t, 1, true)
	cp, w := filesOf(t, c, "cp1"), filesOf(t, c, "w1")
	const unit = "etc/systemd/system/containerd.service"
	if cp[unit].Link != "/dev/null" || w[unit].Path != "" {
		t.Errorf("containerd's unit: control plane %+v, worker %+v", cp[unit], w[unit])
	}
	for _, name := range []string{"kubelet", "kube-proxy"} {
		if _, ok := cp["usr/local/bin/"+name]; ok {
			t.Errorf("the control plane has %s", name)
		}
	}
}

func TestFilesWantThePlugins(t *testing.T) {
	c := testCluster(t, 1, true)
	c.Programs.CNI = filepath.Join(t.TempDir(), "missing")
	if _, err := c.Files("w1"); err == nil {
		t.Error("no error")
	}
}

func TestSystemNamesTheImage(t *testing.T) {
	got, err := testCluster(t, 1, true).System("registry.k8s.io/coredns/coredns:v1.14.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"image: registry.k8s.io/coredns/coredns:v1.14.2\n", "clusterIP: 10.96.0.10\n", "name: " + apiServerUser + "}"} {
		if !strings.Contains(got, part) {
			t.Errorf("lacks %q:\n%s", part, got)
		}
	}
}
