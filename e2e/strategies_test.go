package e2e

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestStrategies: one worker is replaced by a fresh one that really joins, pawl being killed while it boots and while the old
// one is emptied; then three are upgraded at the same time, and their application is down for as long as the report says.
func TestStrategies(t *testing.T) {
	l := newLab(t, 1, 4, from, to)
	for node, pool := range map[string]string{"w1": "batch", "w2": "batch", "w3": "batch", "w4": "cattle"} {
		l.ssh("cp1", "kubectl", "label", "node", node, "pool="+pool)
	}
	l.pools(`workers:
  pools:
    - name: cattle
      selector: pool=cattle
      strategy: addNewNodes
      provider: {command: {add: [` + filepath.Join(l.bin, "pawl-lab") + `, provider], remove: [` + filepath.Join(l.bin, "pawl-lab") + `, provider]}}
    - {name: batch, selector: pool=batch, strategy: allAtOnce}
`)
	l.deployNightly()
	dev := l.startDev()
	out, err := l.pawl("plan", "lab", "--to", to, "--waive", upgrade.EtcdVersion)
	require.NoError(t, err, out)
	t.Log("\n" + out)
	require.Contains(t, out, "Pool cattle, replaced by new nodes (command), at most 1 at a time")
	require.Contains(t, out, "batch: all 3 nodes are upgraded at the same time")

	l.workers = 3 // w4 will be gone
	service := l.probe()
	out, err = l.pawl("start", "lab", "--to", to, "--waive", upgrade.EtcdVersion)
	require.NoError(t, err, out)
	l.awaitStep(1, "w4", upgrade.AddNode)
	dev = l.killAndRestart(dev, "while the new machine boots")
	l.awaitStep(1, "w4", upgrade.DrainNode)
	dev = l.killAndRestart(dev, "inside the drain of w4")
	out, err = l.pawl("watch", "lab")
	require.Equal(t, 12, exitCode(err), out)
	require.Contains(t, out, "before all 3 workers of pool batch are upgraded at the same time")
	l.report(service.stop(t)) // until here nobody has noticed

	l.probeFile = filepath.Join(l.keep(), "nightly.jsonl")
	asking := l.background(filepath.Join(l.bin, "pawl-lab"), "probe", "--out", l.probeFile, "http://10.77.0.11:30081/")
	out, err = l.pawl("approve", "lab", "--reason", "the night is theirs")
	require.NoError(t, err, out)
	l.watch()
	time.Sleep(3 * time.Second) // for the probe to see that it is served again
	t.Log(asking.stop(t))
	probed, err := outage(l.probeFile)
	require.NoError(t, err)
	s := l.status()
	require.Len(t, s.Outages, 1)
	require.Equal(t, "default/nightly", s.Outages[0].Services[0].Service)
	away := s.Outages[0].Services[0].Down.Std()
	t.Logf("nightly was away for %s by the report, %s by the probe", away, probed.Round(time.Millisecond))
	require.Positive(t, probed)
	require.InDelta(t, probed.Seconds(), away.Seconds(), max(5, probed.Seconds()/3))

	l.workers = 4 // with the new one
	l.requireUpgraded()
	var nodes struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	l.kubectl(&nodes, "get", "nodes")
	var names []string
	for _, n := range nodes.Items {
		names = append(names, n.Metadata.Name)
	}
	require.NotContains(t, names, "w4")
	var secrets struct {
		Items []struct{ Data map[string]string }
	}
	l.kubectl(&secrets, "get", "secrets", "-n", "kube-system", "--field-selector", "type=bootstrap.kubernetes.io/token")
	for _, s := range secrets.Items {
		description, err := base64.StdEncoding.DecodeString(s.Data["description"])
		require.NoError(t, err)
		require.NotContains(t, string(description), "pawl", "no join token of pawl's is left")
	}
	require.NotContains(t, l.ssh("cp1", "kubectl", "get", "nodes", "-o", "jsonpath='{.items[*].spec.taints[*].key}'"), "pawl.dev")
	out, err = l.pawl("report", "lab")
	require.NoError(t, err)
	t.Log("\n" + out)
	dev.stop(t)
}

// pools replaces what the lab's own definition says of workers.
func (l *lab) pools(workers string) {
	l.t.Helper()
	definition, err := os.ReadFile(l.file("lab.yaml"))
	require.NoError(l.t, err)
	before, _, found := strings.Cut(string(definition), "workers:")
	require.True(l.t, found)
	l.write("lab.yaml", before+workers)
}

// nightly is an application that only the pool batch may run, with a service on a port of every node.
const nightly = `apiVersion: apps/v1
kind: Deployment
metadata: {name: nightly}
spec:
  replicas: 4
  selector: {matchLabels: {app: nightly}}
  template:
    metadata: {labels: {app: nightly}}
    spec:
      nodeSelector: {pool: batch}
      terminationGracePeriodSeconds: 10
      containers:
        - name: nightly
          image: registry.k8s.io/lab/web:1
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
---
apiVersion: v1
kind: Service
metadata: {name: nightly}
spec:
  type: NodePort
  selector: {app: nightly}
  ports: [{port: 80, targetPort: 8080, nodePort: 30081}]
`

func (l *lab) deployNightly() {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(l.bin, "pawl-lab"), "ssh", "cp1", "kubectl", "create", "-f", "-")
	cmd.Stdin = strings.NewReader(nightly)
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, string(out))
	l.ssh("cp1", "kubectl", "rollout", "status", "deployment/nightly", "--timeout=3m")
}

// outage is the longest time from a request that failed to the next one that did not.
func outage(file string) (longest time.Duration, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var since time.Time
	for line := range strings.Lines(string(text)) {
		var p struct {
			Time time.Time
			OK   bool
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return 0, err
		}
		switch {
		case !p.OK && since.IsZero():
			since = p.Time
		case p.OK && !since.IsZero():
			longest, since = max(longest, p.Time.Sub(since)), time.Time{}
		}
	}
	return longest, nil
}
