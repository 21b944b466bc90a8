package kube

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// forecastWorkers is how many workers are drained for each set of workloads.
const forecastWorkers = 5

// TestForecastComesTrue forecasts drains of generated workloads on a cluster whose API, scheduler and controllers are the
// real ones, then drains the nodes and requires that just what was said to block did block, and by the same.
func TestForecastComesTrue(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 1, Workers: forecastWorkers})
	s := &drainStage{t: t, c: c, admin: b.Client()}

	t.Run("clean", func(t *testing.T) {
		s.t = t
		f, found := s.forecast("w1", "w2", "w3", "w4", "w5")
		require.Empty(t, found)
		require.Len(t, f.Drains, forecastWorkers)
	})
	t.Run("a budget is spent by an earlier drain", func(t *testing.T) {
		s.t = t
		s.namespace("earlier")
		s.pool("earlier", "w1", "w2")
		s.deploy("big", 2, budgetOf(nil, intstr.FromInt32(1)), func(p *corev1.PodTemplateSpec) {
			p.Spec.NodeSelector = map[string]string{"pool": "earlier"}
			apartByHost(p)
		})
		s.settle()
		s.cordon("w1", true) // by somebody else, so that what leaves it never comes back
		f, found := s.forecast("w1", "w2", "w3")
		require.Equal(t, []string{"", "PodDisruptionBudget earlier/big", ""}, []string{blockers(f.Drains[0]), blockers(f.Drains[1]), blockers(f.Drains[2])})
		require.Equal(t, "PodDisruptionBudget earlier/big: will block the drain of w2: needs 1 healthy, has 1, 1 found no room; make room for its pods, or relax the budget", found[0].String())
		for i, n := range []string{"w1", "w2", "w3"} {
			require.Equal(t, blockers(f.Drains[i]), s.drain(n), n)
			if n != "w1" {
				s.cordon(n, false)
			}
		}
		s.cordon("w1", false)
		s.clear()
	})
	drains, blocked, same := 0, 0, 0
	for seed := range uint64(5) {
		passed := t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s.t = t
			s.namespace(fmt.Sprintf("seed-%d", seed))
			s.generate(rand.New(rand.NewPCG(seed, 7)))
			s.settle()
			names := []string{"w1", "w2", "w3", "w4", "w5"}
			whole, _ := s.forecast(names...)
			for i, n := range names {
				// Which of several nodes a scheduler chooses cannot be told, so each drain is forecast from what is then.
				f, _ := s.forecast(names[i:]...)
				want := blockers(f.Drains[0])
				got := s.drain(n)
				require.Equal(t, want, got, "what blocks the drain of %s", n)
				s.cordon(n, false)
				s.settle()
				drains++
				if got != "" {
					blocked++
				}
				if got == blockers(whole.Drains[i]) {
					same++
				}
			}
			s.clear()
		})
		if !passed {
			return
		}
	}
	t.Logf("%d drains, of which %d were blocked; of %d the forecast of the whole plan, made before the first, came true", drains, blocked, same)
}

// drainStage is a cluster on which drains are forecast and done.
type drainStage struct {
	t     *testing.T
	c     *Cluster
	admin kubernetes.Interface
	ns    string
	undo  []func()
}

// forecast forecasts the drains of workers, one at a time, as pawl would.
func (s *drainStage) forecast(nodes ...string) (*upgrade.Forecast, []upgrade.Finding) {
	s.t.Helper()
	w, err := s.c.Workloads(s.t.Context())
	require.NoError(s.t, err)
	require.Empty(s.t, w.Unseen)
	seen, err := s.c.Observe(s.t.Context(), upgrade.Settings{})
	require.NoError(s.t, err)
	hop := upgrade.Hop{}
	for _, n := range nodes {
		hop.Workers = append(hop.Workers, upgrade.NodePlan{Node: n, Steps: upgrade.KubeadmSteps(upgrade.Worker, false)})
	}
	return forecast.Make(upgrade.Plan{Nodes: seen.Nodes, Hops: []upgrade.Hop{hop}, Settings: upgrade.Settings{MaxUnavailable: upgrade.AtMost(1)}}, w)
}

// blockers names what a forecast says to block a drain, sorted.
func blockers(d upgrade.DrainForecast) string {
	var all []string
	for _, p := range d.Blocked {
		if p.Budget != "" {
			all = append(all, "PodDisruptionBudget "+p.Budget)
		} else {
			all = append(all, p.Of)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// drain drains a node as pawl does and returns what blocks it when nothing moves any more, by the names that forecasts
// use. What is blocked is then deleted, as a person might.
func (s *drainStage) drain(node string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	s.cordon(node, true)
	blocked, forced, settled := "", false, false
	for {
		pass, err := s.c.Evict(ctx, node)
		require.NoError(s.t, err, "drain %s: %v", node, pass)
		if pass.Done() {
			return blocked
		}
		if pass.Evicted > 0 || pass.Terminating > 0 {
			settled = false
			require.NoError(s.t, s.c.AwaitEviction(ctx, node, pass, 300*time.Millisecond))
			continue
		}
		if !settled && !forced {
			s.settle()
			settled = true
			continue
		}
		if !forced {
			blocked, forced = s.namesOf(pass.Blocked), true
		}
		s.force(node)
	}
}

// namesOf are the names of what blocks, sorted.
func (s *drainStage) namesOf(pods []upgrade.BlockedPod) string {
	var all []string
	for _, b := range pods {
		_, loose, ok := strings.Cut(b.Reason, "declare no controller (use --force to override): ")
		switch {
		case b.Budget != "":
			all = append(all, "PodDisruptionBudget "+b.Budget)
		case ok:
			for _, p := range strings.Split(loose, ", ") {
				all = append(all, "Pod "+p)
			}
		default:
			namespace, name, _ := strings.Cut(b.Pod, "/")
			p, err := s.admin.CoreV1().Pods(namespace).Get(s.t.Context(), name, metav1.GetOptions{})
			require.NoError(s.t, err, b)
			require.Contains(s.t, b.Reason, "more than one PodDisruptionBudget")
			owner := controllerOf(p)
			all = append(all, owner.Kind+" "+namespace+"/"+owner.Name)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// force deletes what is left on a node.
func (s *drainStage) force(node string) {
	pods, err := s.admin.CoreV1().Pods("").List(s.t.Context(), onNode(node))
	require.NoError(s.t, err)
	for _, p := range pods.Items {
		if k := controllerOf(&p).Kind; k != "DaemonSet" && k != "Node" && p.DeletionTimestamp == nil {
			_ = s.admin.CoreV1().Pods(p.Namespace).Delete(s.t.Context(), p.Name, metav1.DeleteOptions{})
		}
	}
}

func (s *drainStage) cordon(node string, cordoned bool) {
	s.t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, cordoned)
	_, err := s.admin.CoreV1().Nodes().Patch(s.t.Context(), node, "application/merge-patch+json", patch, metav1.PatchOptions{})
	require.NoError(s.t, err)
}

// settle returns when the controllers have caught up, no scheduler has anything to do, and nothing has changed for a while.
func (s *drainStage) settle() {
	s.t.Helper()
	const quiet = 600 * time.Millisecond
	var last string
	var since time.Time
	deadline := time.Now().Add(3 * time.Minute)
	for {
		state, busy := s.state()
		switch {
		case busy != "" || state != last:
			last, since = state, time.Now()
		case time.Since(since) >= quiet:
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not settled: %s", busy)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// state is a fingerprint of pods and budgets, and who still has something to do.
func (s *drainStage) state() (state, busy string) {
	ctx := s.t.Context()
	pods, err := s.admin.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	require.NoError(s.t, err)
	budgets, err := s.admin.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	require.NoError(s.t, err)
	owned := map[string]int32{}
	for i := range pods.Items {
		p := &pods.Items[i]
		state += p.ResourceVersion + " "
		scheduled := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
		})
		switch {
		case p.DeletionTimestamp != nil:
			busy = p.Name + " ends"
		case p.Spec.NodeName == "" && !scheduled:
			busy = p.Name + " is not scheduled"
		case p.Spec.NodeName != "" && p.Status.Phase == corev1.PodPending, p.Status.Phase == corev1.PodRunning && !podReady(p) && len(p.Spec.ReadinessGates) == 0:
			busy = p.Name + " starts"
		}
		if o := controllerOf(p); p.DeletionTimestamp == nil {
			owned[o.Kind+" "+p.Namespace+"/"+o.Name]++
		}
	}
	for i := range budgets.Items {
		b := &budgets.Items[i]
		state += b.ResourceVersion + " "
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		require.NoError(s.t, err)
		healthy := int32(0)
		for j := range pods.Items {
			if p := &pods.Items[j]; p.Namespace == b.Namespace && podReady(p) && selector.Matches(labels.Set(p.Labels)) {
				healthy++
			}
		}
		// Of two budgets of one pod the controller keeps only one up to date, whichever it comes upon.
		twin := strings.HasSuffix(b.Name, second) || slices.ContainsFunc(budgets.Items, func(o policyv1.PodDisruptionBudget) bool {
			return o.Namespace == b.Namespace && o.Name == b.Name+second
		})
		if b.Status.ObservedGeneration != b.Generation || b.Status.CurrentHealthy != healthy && !twin {
			busy = "budget " + b.Name
		}
	}
	deployments, err := s.admin.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	require.NoError(s.t, err)
	for _, d := range deployments.Items {
		if owned["Deployment "+d.Namespace+"/"+d.Name] != *d.Spec.Replicas {
			busy = "Deployment " + d.Name
		}
	}
	sets, err := s.admin.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	require.NoError(s.t, err)
	for _, d := range sets.Items {
		if owned["StatefulSet "+d.Namespace+"/"+d.Name] != *d.Spec.Replicas {
			busy = "StatefulSet " + d.Name
		}
	}
	return state, busy
}

func (s *drainStage) namespace(name string) {
	s.t.Helper()
	s.ns = name
	_, err := s.admin.CoreV1().Namespaces().Create(s.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// clear deletes everything that was made since.
func (s *drainStage) clear() {
	s.t.Helper()
	ctx := s.t.Context()
	require.NoError(s.t, s.admin.CoreV1().Namespaces().Delete(ctx, s.ns, metav1.DeleteOptions{}))
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
	require.Eventually(s.t, func() bool {
		pods, err := s.admin.CoreV1().Pods(s.ns).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == 0
	}, time.Minute, 100*time.Millisecond)
	s.settle()
}

// pool labels nodes.
func (s *drainStage) pool(name string, nodes ...string) {
	s.t.Helper()
	for _, n := range nodes {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"pool":%q}}}`, name)
		_, err := s.admin.CoreV1().Nodes().Patch(s.t.Context(), n, "application/merge-patch+json", patch, metav1.PatchOptions{})
		require.NoError(s.t, err)
	}
}

// budgetOf makes budgets; what is nil or zero is left out.
func budgetOf(unavailable *intstr.IntOrString, available intstr.IntOrString) *policyv1.PodDisruptionBudgetSpec {
	spec := &policyv1.PodDisruptionBudgetSpec{MaxUnavailable: unavailable}
	if unavailable == nil {
		spec.MinAvailable = &available
	}
	return spec
}

func (s *drainStage) template(name string, change func(*corev1.PodTemplateSpec)) corev1.PodTemplateSpec {
	grace := int64(5)
	p := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: name, Image: "registry.k8s.io/pause:3.10.2"}}},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func (s *drainStage) deploy(name string, replicas int32, budget *policyv1.PodDisruptionBudgetSpec, change func(*corev1.PodTemplateSpec)) {
	s.t.Helper()
	p := s.template(name, change)
	_, err := s.admin.AppsV1().Deployments(s.ns).Create(s.t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: metav1.SetAsLabelSelector(p.Labels), Template: p}}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	s.budget(name, name, budget)
}

func (s *drainStage) budget(name, app string, spec *policyv1.PodDisruptionBudgetSpec) {
	s.t.Helper()
	if spec == nil {
		return
	}
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	_, err := s.admin.PolicyV1().PodDisruptionBudgets(s.ns).Create(s.t.Context(),
		&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: *spec}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// database is a StatefulSet with a local volume for each pod, on the nodes named.
func (s *drainStage) database(name string, budget *policyv1.PodDisruptionBudgetSpec, nodes ...string) {
	s.t.Helper()
	ctx, none, size := s.t.Context(), "", corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	claim := corev1.PersistentVolumeClaimSpec{StorageClassName: &none, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: size}}
	for i, n := range nodes {
		volume := fmt.Sprintf("%s-%s-%d", s.ns, name, i)
		_, err := s.admin.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume},
			Spec: corev1.PersistentVolumeSpec{Capacity: size, AccessModes: claim.AccessModes,
				ClaimRef:               &corev1.ObjectReference{Namespace: s.ns, Name: fmt.Sprintf("data-%s-%d", name, i)},
				PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/data"}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{n}}}}}}},
			}}, metav1.CreateOptions{})
		require.NoError(s.t, err)
		s.undo = append(s.undo, func() { _ = s.admin.CoreV1().PersistentVolumes().Delete(ctx, volume, metav1.DeleteOptions{}) })
	}
	replicas, p := int32(len(nodes)), s.template(name, nil)
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	_, err := s.admin.AppsV1().StatefulSets(s.ns).Create(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: metav1.SetAsLabelSelector(p.Labels), Template: p, ServiceName: name,
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claim}}}}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	s.budget(name, name, budget)
}

func apartByHost(p *corev1.PodTemplateSpec) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}}}
}

// second is how the name of an application's second budget ends.
const second = "-too"

// generate makes a handful of applications, each of a kind that chance chooses.
func (s *drainStage) generate(r *rand.Rand) {
	s.t.Helper()
	one, none, half := intstr.FromInt32(1), intstr.FromInt32(0), intstr.FromString("50%")
	zero := intstr.IntOrString{}
	worker := func() string { return fmt.Sprintf("w%d", 1+r.IntN(forecastWorkers)) }
	host := func(p *corev1.PodTemplateSpec) {
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: worker()}
	}
	gated := func(p *corev1.PodTemplateSpec) {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/never"}}
	}
	kinds := []func(name string){
		func(name string) { s.deploy(name, 2+r.Int32N(4), budgetOf(&one, zero), nil) },
		func(name string) { s.deploy(name, 1+r.Int32N(3), budgetOf(&none, zero), nil) },
		func(name string) { n := 1 + r.Int32N(2); s.deploy(name, n, budgetOf(nil, intstr.FromInt32(n)), nil) },
		func(name string) { s.deploy(name, 3+r.Int32N(4), budgetOf(nil, half), nil) },
		func(name string) { s.deploy(name, 2, nil, nil) },
		func(name string) { s.deploy(name, forecastWorkers, budgetOf(&one, zero), apartByHost) },
		func(name string) { s.deploy(name, 1+r.Int32N(3), budgetOf(nil, one), host) },
		func(name string) { s.deploy(name, 3, budgetOf(&one, zero), host) },
		func(name string) {
			s.deploy(name, 2, budgetOf(&one, zero), nil)
			s.budget(name+second, name, budgetOf(&one, zero))
		},
		func(name string) { // never ready, and may always go
			b := budgetOf(nil, one)
			always := policyv1.AlwaysAllow
			b.UnhealthyPodEvictionPolicy = &always
			s.deploy(name, 2, b, gated)
		},
		func(name string) { s.deploy(name, 2, budgetOf(nil, one), gated) }, // never ready, and may never go
		func(name string) { // on every node more than half of the CPUs
			s.deploy(name, forecastWorkers, budgetOf(&one, zero), func(p *corev1.PodTemplateSpec) {
				p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2100m")}
			})
		},
		func(name string) {
			s.deploy(name, forecastWorkers, budgetOf(&one, zero), func(p *corev1.PodTemplateSpec) {
				p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelHostname,
					WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}
			})
		},
		func(name string) {
			s.deploy(name, 2, budgetOf(nil, one), func(p *corev1.PodTemplateSpec) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8000 + r.Int32N(2)}}
				p.Spec.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			})
		},
		func(name string) { s.database(name, budgetOf(&one, zero), worker(), worker()) },
		func(name string) { s.database(name, budgetOf(nil, intstr.FromInt32(2)), worker(), worker()) },
		func(name string) { // bare
			p := s.template(name, nil)
			_, err := s.admin.CoreV1().Pods(s.ns).Create(s.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: p.Labels}, Spec: p.Spec}, metav1.CreateOptions{})
			require.NoError(s.t, err)
		},
	}
	for i, kind := range r.Perm(len(kinds))[:5] {
		kinds[kind](fmt.Sprintf("app%d", i))
	}
}
