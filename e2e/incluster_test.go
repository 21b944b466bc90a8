package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The image's name in the lab's registry, and where Temporal is: outside the cluster, where an upgrade does not reach it.
const (
	workerImage = "registry.k8s.io/lab/pawl:e2e"
	temporal    = "10.77.0.1:7233"
)

// TestInCluster: two workers, made by the image and the chart, upgrade the cluster that they run in. On the way both are
// killed inside kubeadm, and each is evicted with its node; the work goes on in the other, or in what replaces them.
func TestInCluster(t *testing.T) {
	l := newLab(t, 1, 2, from, to)
	l.show("image", "load", filepath.Join(l.bin, "image", "oci"), workerImage)
	t.Setenv("TEMPORAL_ADDRESS", temporal) // of the command line beside the cluster
	l.background(filepath.Join(l.bin, "pawl-temporal"), "server", "start-dev", "--ip", "10.77.0.1", "--db-filename", filepath.Join(l.data, "temporal.db"), "--headless")
	l.install()
	before := l.workerPods()
	require.Len(t, before, 2)
	require.Len(t, nodesOf(before), 2, "the workers are spread: %v", before)
	out := l.ssh("cp1", "kubectl", "-n", "pawl", "exec", "deploy/pawl-worker", "--", "pawl", "plan", "lab", "--to", to, "--waive", upgrade.EtcdVersion)
	require.Contains(t, out, "w2", "the command line is in the image, and finds its Temporal")

	probes := l.probe()
	l.start()
	// The API server is about to go, and with it the workers' way to their own cluster.
	l.awaitStep(1, "cp1", upgrade.UpgradeControlPlane)
	l.awaitUnit("cp1", applyUnit, "activating")
	l.ssh("cp1", "kubectl", "-n", "pawl", "delete", "pods", "--all", "--wait=false", "--grace-period=0", "--force")
	l.awaitStep(1, "w1", upgrade.DrainNode)
	before = l.workerPods()
	l.watch()
	l.requireUpgraded()
	l.requireAppliedOnce()
	after := l.workerPods()
	require.Len(t, after, 2)
	for name := range before {
		require.NotContains(t, after, name, "each worker was evicted on the way")
	}
	l.report(probes.stop(t))
}

// install brings the workers into the cluster as docs/install.md says.
func (l *lab) install() {
	l.t.Helper()
	l.ssh("cp1", "kubectl", "create", "namespace", "pawl")
	l.ssh("cp1", "kubectl", "label", "namespace", "pawl", "pod-security.kubernetes.io/enforce=restricted")
	l.apply(l.secret("pawl-ssh", "id_ed25519", "known_hosts"))
	render := exec.Command("go", "run", "-C", "../deploy", "./render", "--namespace", "pawl")
	render.Stdin = strings.NewReader(l.values())
	manifests, err := render.Output()
	require.NoError(l.t, err, stderr(err))
	l.apply(string(manifests))
	out, err := exec.Command(filepath.Join(l.bin, "pawl-lab"), "ssh", "cp1", "kubectl", "-n", "pawl", "rollout", "status", "deploy/pawl-worker", "--timeout=3m").CombinedOutput()
	if err != nil {
		l.t.Log(l.ssh("cp1", "kubectl", "-n", "pawl", "describe", "pods"))
		l.t.Log(l.ssh("cp1", "kubectl", "-n", "pawl", "logs", "deploy/pawl-worker", "--tail=50"))
	}
	require.NoError(l.t, err, string(out))
}

// values are the chart's for the lab: its own definition, with the workers' account in place of an administrator.
func (l *lab) values() string {
	l.t.Helper()
	definition, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	own := strings.Replace(string(definition), "kubeconfig: ./admin.conf", "kubeconfig: /etc/pawl/own-cluster/kubeconfig", 1)
	require.NotEqual(l.t, string(definition), own)
	own = regexp.MustCompile(`(repository: )([^\s"'{},]+:)`).ReplaceAllString(own, `$1"$2"`) // pawl reads it without quotes, others do not
	return fmt.Sprintf(`image: %s
temporal: {address: %q, namespace: default}
ownCluster: {enabled: true}
clusterFiles: [{secret: pawl-ssh}]
clusters:
  lab:
    %s
`, workerImage, temporal, strings.ReplaceAll(own, "\n", "\n    "))
}

// secret is a Secret of files of the folder of definitions.
func (l *lab) secret(name string, files ...string) string {
	l.t.Helper()
	var out bytes.Buffer
	fmt.Fprintf(&out, "apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: pawl}\nstringData:\n", name)
	for _, file := range files {
		text, err := os.ReadFile(l.file(file))
		require.NoError(l.t, err)
		fmt.Fprintf(&out, "  %s: |\n    %s\n", file, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    "))
	}
	return out.String()
}

func (l *lab) apply(manifests string) {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(l.bin, "pawl-lab"), "ssh", "cp1", "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, string(out))
}

// workerPods are the nodes of pawl's own pods that are not about to go, by the pods' names.
func (l *lab) workerPods() map[string]string {
	l.t.Helper()
	var pods struct {
		Items []struct {
			Metadata struct {
				Name              string
				DeletionTimestamp string
			}
			Spec struct{ NodeName string }
		}
	}
	l.kubectl(&pods, "-n", "pawl", "get", "pods")
	found := map[string]string{}
	for _, p := range pods.Items {
		if p.Metadata.DeletionTimestamp == "" {
			found[p.Metadata.Name] = p.Spec.NodeName
		}
	}
	return found
}

func nodesOf(pods map[string]string) map[string]bool {
	nodes := map[string]bool{}
	for _, node := range pods {
		nodes[node] = true
	}
	return nodes
}
