package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// provocations are things that are wrong with a real cluster: what makes them so, what undoes it, and what the plan says.
var provocations = []struct {
	name       string
	node       string
	make, undo string
	want       []string
}{
	{"a flag that goes", "w1", "cp /etc/default/kubelet /root/kubelet.before 2>/dev/null || touch /root/kubelet.before; echo KUBELET_EXTRA_ARGS=--containerd=/x >/etc/default/kubelet",
		"cp /root/kubelet.before /etc/default/kubelet", []string{"w1: /etc/default/kubelet sets --containerd, which kubelet does not know from v1.37 on"}},
	{"a hold", "w2", "apt-mark hold kubernetes-cni", "apt-mark unhold kubernetes-cni", []string{"w2: the package kubernetes-cni", "is on hold"}},
	{"a webhook without anybody", "cp1", "kubectl create -f - <<'END'\n" + `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: nobody}
webhooks:
- name: nobody.example.com
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {service: {name: nobody, namespace: default}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
END`, "kubectl delete validatingwebhookconfiguration nobody", []string{"nobody", "it must answer before the API server lets through"}},
	{"a pod without a controller, and no room in a budget", "cp1",
		`kubectl run alone --image=registry.k8s.io/lab/web:1 --overrides='{"spec":{"nodeName":"w1"}}' && kubectl patch pdb web --type merge -p '{"spec":{"minAvailable":6}}'`,
		`kubectl delete pod alone --now && kubectl patch pdb web --type merge -p '{"spec":{"minAvailable":4}}'`,
		[]string{"Pod default/alone", "PodDisruptionBudget default/web: will block the drain"}},
	{"a gate that goes", "cp1", "kubectl -n kube-system get cm kubelet-config -o yaml >/root/kubelet-config.yaml && " +
		"kubectl -n kube-system get cm kubelet-config -o yaml | sed 's/^    kind: KubeletConfiguration/&\\n    featureGates: {SidecarContainers: true}/' | kubectl replace -f -",
		"kubectl replace --force -f /root/kubelet-config.yaml", []string{"kubelet is given the feature gate SidecarContainers, which v1.37 does not know"}},
}

// provokeFindings makes one thing after another wrong and requires that a plan says so.
func (l *lab) provokeFindings() {
	l.t.Helper()
	for _, p := range provocations {
		l.t.Run(p.name, func(t *testing.T) {
			l.ssh(p.node, p.make)
			defer func() { l.ssh(p.node, p.undo) }()
			deadline := time.Now().Add(time.Minute) // a budget's controller needs a moment
			out := l.plan()
			for !containsAll(out, p.want) && time.Now().Before(deadline) {
				out = l.plan()
			}
			for _, want := range p.want {
				require.Contains(t, out, want)
			}
		})
	}
}

// plan is what a plan says, whether it is refused or not.
func (l *lab) plan() string {
	out, _ := l.pawl("plan", "lab", "--to", to, "--waive", upgrade.EtcdVersion)
	return out
}

func containsAll(s string, all []string) bool {
	for _, one := range all {
		if !strings.Contains(s, one) {
			return false
		}
	}
	return true
}
