package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var v136, v137 = upgrade.MustVersion("v1.36.3"), upgrade.MustVersion("v1.37.2")

// world is what the fakes below have in common: what the next calls find and what was called.
type world struct {
	seen       upgrade.Cluster
	workloads  forecast.Workloads
	hosts      map[string]upgrade.Host
	minors     []upgrade.Version // whose repositories were looked into
	installed  []string          // by the last call
	configured upgrade.Version
	kubelets   map[string]upgrade.Version // that run
	measured   upgrade.Measured
	running    RunningUpgrade
	manifests  map[string]upgrade.Version
	watchers   []int               // what the next counts find
	passes     []upgrade.DrainPass // what the next drain passes find
	pause      time.Duration       // between two drain passes
	probe      func(context.Context) error
	locks      []upgrade.Lock // what the next calls find of the lock
	settings   upgrade.Settings
	hooks      map[string]Hook
	looks      [][]upgrade.CheckResult // what the next looks at a gate see
	ran        []string                // hooks
	joins      []upgrade.Join          // that providers were given
	byHand     map[string]upgrade.BinaryHost
	members    []upgrade.EtcdMember
	found      []upgrade.Finding  // by checks of binaries
	run        upgrade.Managed    // what a provider runs
	away       time.Duration      // for how long services were
	sent       []any              // to webhooks
	keys       []string           // under which it was sent
	errs       map[string][]error // what the next calls of a method return
	mu         sync.Mutex
	calls      []string
}

func (w *world) Settings(string) (upgrade.Settings, error) {
	return w.settings, w.next("Settings")
}
func (w *world) Measured(context.Context, string) (upgrade.Measured, error) {
	return w.measured, w.next("Measured")
}
func (w *world) Running(context.Context, string) (RunningUpgrade, error) {
	return w.running, w.next("Running")
}
func (w *world) Cordon(context.Context, string, string) error { return w.next("Cordon") }
func (w *world) EndpointWatchers(context.Context) (int, error) {
	n := w.watchers[0]
	if len(w.watchers) > 1 {
		w.watchers = w.watchers[1:]
	}
	return n, w.next("EndpointWatchers")
}
func (w *world) APIServerProbe(context.Context, string) (func(context.Context) error, error) {
	if w.probe == nil {
		return nil, errors.New("its address is not known")
	}
	return w.probe, nil
}
func (w *world) KubeletHealthy(context.Context) error     { return w.next("KubeletHealthy") }
func (w *world) ControlPlaneHealth(context.Context) error { return w.next("ControlPlaneHealth") }
func (w *world) KubeletAt(_ context.Context, node string, v upgrade.Version) (bool, error) {
	return w.kubelets[node] == v && !v.IsZero(), w.next("KubeletAt")
}
func (w *world) NodeReady(context.Context, string, upgrade.Version, time.Time) error {
	return w.next("NodeReady")
}
func (w *world) ControlPlaneSettled(context.Context, string, upgrade.Version) error {
	return w.next("ControlPlaneSettled")
}
func (w *world) ConfiguredVersion(context.Context) (upgrade.Version, error) {
	return w.configured, w.next("ConfiguredVersion")
}
func (w *world) KubeadmUpgradeApply(context.Context, upgrade.Version, []string) error {
	return w.next("KubeadmUpgradeApply")
}
func (w *world) KubeadmUpgradeNode(context.Context, upgrade.Version, bool, []string) error {
	return w.next("KubeadmUpgradeNode")
}
func (w *world) Install(_ context.Context, _ string, _ upgrade.Version, packages ...string) error {
	w.installed = packages
	return w.next("Install")
}
func (w *world) StaticPodVersions(context.Context) (map[string]upgrade.Version, error) {
	return w.manifests, w.next("StaticPodVersions")
}
func (w *world) Evict(context.Context, string) (upgrade.DrainPass, error) {
	if err := w.next("Evict"); err != nil {
		return upgrade.DrainPass{}, err
	}
	pass := w.passes[0]
	if len(w.passes) > 1 {
		w.passes = w.passes[1:]
	}
	return pass, nil
}
func (w *world) AwaitEviction(context.Context, string, upgrade.DrainPass, time.Duration) error {
	time.Sleep(w.pause)
	return w.next("AwaitEviction")
}

func (w *world) AcquireLock(_ context.Context, owner string) (upgrade.Lock, error) {
	return w.nextLock("AcquireLock", owner)
}
func (w *world) RenewLock(_ context.Context, owner string) (upgrade.Lock, error) {
	return w.nextLock("RenewLock", owner)
}
func (w *world) ReleaseLock(context.Context, string) error { return w.next("ReleaseLock") }

func (w *world) nextLock(method, owner string) (upgrade.Lock, error) {
	if err := w.next(method); err != nil {
		return upgrade.Lock{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.locks) == 0 {
		return upgrade.Lock{Holder: owner}, nil
	}
	lock := w.locks[0]
	w.locks = w.locks[1:]
	return lock, nil
}

func (w *world) next(method string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, method)
	errs := w.errs[method]
	if len(errs) == 0 {
		return nil
	}
	w.errs[method] = errs[1:]
	return errs[0]
}

// directory, api and host are a cluster in memory. Methods that no test needs are those of nil interfaces.
type directory struct{ *world }

func (d directory) TaskQueue(string) (string, error) { return "", nil }
func (d directory) API(string) (API, error)          { return api{world: d.world}, nil }
func (d directory) Host(_, node, _ string) (Host, error) {
	return host{world: d.world, node: node}, nil
}

func (d directory) Notification(_, name string) (Webhook, error) {
	return webhook{d.world, name}, d.next("Notification " + name)
}
func (d directory) Hook(_, name string) (Hook, error) { return d.hooks[name], d.next("Hook " + name) }
func (d directory) Gate(string) (Gate, error)         { return d.world, d.next("Gate") }

// webhook keeps what it is sent.
type webhook struct {
	*world
	name string
}

func (w webhook) Check() error { return w.next("Check " + w.name) }
func (w webhook) Send(_ context.Context, key string, body any) (string, error) {
	w.sent = append(w.sent, body)
	w.mu.Lock()
	w.keys = append(w.keys, key)
	w.mu.Unlock()
	return "thanks", w.next("Send " + w.name)
}

// Look implements Gate: what the next looks see.
func (w *world) Look(context.Context) []upgrade.CheckResult {
	_ = w.next("Look")
	results := w.looks[0]
	if len(w.looks) > 1 {
		w.looks = w.looks[1:]
	}
	return results
}
func (w *world) RunHook(_ context.Context, unit string, argv, env []string, most time.Duration) (string, error) {
	w.ran = append(w.ran, strings.Join(append(append([]string{unit, most.String()}, argv...), env...), " "))
	return "said", w.next("RunHook")
}
func (w *world) ForgetHook(_ context.Context, unit string) error { return w.next("ForgetHook " + unit) }
func (w *world) RunJob(_ context.Context, manifest []byte, name, key string, env []string, most time.Duration) (string, error) {
	w.ran = append(w.ran, strings.Join(append([]string{string(manifest), name, key, most.String()}, env...), " "))
	return "logged", w.next("RunJob")
}
func (w *world) CheckJob(context.Context, []byte) error { return w.next("CheckJob") }

type api struct {
	unneededAPI
	*world
}

func (a api) Observe(context.Context, upgrade.Settings) (upgrade.Cluster, error) {
	return a.seen, a.next("Observe")
}

func (a api) Workloads(context.Context) (forecast.Workloads, error) {
	return a.workloads, a.next("Workloads")
}

type host struct {
	unneededHost
	*world
	node string
}

func (h host) Observe(_ context.Context, _ string, minors []upgrade.Version) (upgrade.Host, error) {
	h.mu.Lock()
	h.minors = minors
	h.mu.Unlock()
	return h.hosts[h.node], h.next("Observe " + h.node)
}

// The methods of an embedded interface one level deeper give way to those of world.
type (
	unneededAPI  struct{ API }
	unneededHost struct{ Host }
)

// environment runs activities over the world, with the interceptor that they have in a worker.
func environment(t *testing.T, w *world) (*testsuite.TestActivityEnvironment, *Activities) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{NewInterceptor(nil)}})
	a := &Activities{Directory: directory{w}, Past: w}
	env.RegisterActivity(a)
	return env, a
}

// binaryHost is a machine that was installed by hand, in memory.
type binaryHost struct {
	*world
	BinaryHost
	node string
}

func (h binaryHost) Observe(_ context.Context, _ upgrade.BinarySource, _ []upgrade.BinaryChange) (upgrade.BinaryHost, error) {
	return h.byHand[h.node], h.next("Observe " + h.node)
}
func (h binaryHost) EtcdMembers(context.Context) ([]upgrade.EtcdMember, error) {
	return h.members, h.next("EtcdMembers " + h.node)
}
func (h binaryHost) BackUp(_ context.Context, id string, _ map[string]string) (string, error) {
	return "/backups/" + id, h.next("BackUp " + h.node)
}
func (h binaryHost) SnapshotEtcd(context.Context, string) (upgrade.Snapshot, error) {
	return upgrade.Snapshot{}, h.next("SnapshotEtcd " + h.node)
}
func (h binaryHost) Fetch(_ context.Context, _ upgrade.BinarySource, c upgrade.BinaryChange) error {
	return h.next("Fetch " + c.Component)
}
func (h binaryHost) Check(_ context.Context, c upgrade.BinaryChange) ([]upgrade.Finding, error) {
	return h.found, h.next("Check " + c.Component)
}
func (h binaryHost) Swap(_ context.Context, c upgrade.BinaryChange) error {
	return h.next("Swap " + c.Component)
}

// managed is what a provider runs, in memory.
type managed struct{ *world }

func (m managed) Observe(context.Context, upgrade.Version) (upgrade.Managed, error) {
	return m.run, m.next("Observe managed")
}
func (m managed) RefreshInsights(context.Context) ([]upgrade.ManagedInsight, error) {
	return m.run.Insights, m.next("RefreshInsights")
}
func (m managed) UpgradeControlPlane(_ context.Context, key string, v upgrade.Version, force bool) (upgrade.ManagedOutcome, error) {
	return m.did(fmt.Sprintf("UpgradeControlPlane %s force=%t", v, force), key)
}
func (m managed) RollBackControlPlane(_ context.Context, key string, v upgrade.Version, _ bool) (upgrade.ManagedOutcome, error) {
	return m.did("RollBackControlPlane "+v.String(), key)
}
func (m managed) UpgradeAddon(_ context.Context, key, name, version string) (upgrade.ManagedOutcome, error) {
	return m.did("UpgradeAddon "+name+" "+version, key)
}
func (m managed) UpgradeNodeGroup(_ context.Context, key, name string, v upgrade.Version, _ bool) (upgrade.ManagedOutcome, error) {
	return m.did("UpgradeNodeGroup "+name+" "+v.String(), key)
}
func (m managed) did(what, key string) (upgrade.ManagedOutcome, error) {
	m.mu.Lock()
	m.keys = append(m.keys, key)
	m.mu.Unlock()
	return upgrade.ManagedOutcome{Update: "u-1", Adopted: true}, m.next(what)
}

// provider is where new machines come from in memory: one for each key, until it is removed.
type provider struct{ *world }

func (d directory) BinaryHost(_, node, _ string) (BinaryHost, error) {
	return binaryHost{world: d.world, node: node}, d.next("BinaryHost " + node)
}
func (d directory) Managed(context.Context, string) (Managed, error) {
	return managed(d), d.next("Managed")
}
func (d directory) Provider(context.Context, string, string) (NodeProvider, error) {
	return provider(d), d.next("Provider")
}
func (p provider) TakesJoin() bool { return true }
func (p provider) Check(_ context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding {
	_ = p.next("Check")
	return []upgrade.Finding{{ID: upgrade.NodeProvider, Severity: upgrade.SeverityInfo, Message: fmt.Sprintf("%d of %s", len(old), r.Pool)}}
}
func (p provider) Begin(context.Context, upgrade.Replacement, []upgrade.Machine) (json.RawMessage, error) {
	return json.RawMessage(`{"max":3}`), p.next("Begin")
}
func (p provider) Add(_ context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (upgrade.Machine, error) {
	p.mu.Lock()
	p.joins = append(p.joins, j)
	p.mu.Unlock()
	return upgrade.Machine{ID: "m-" + r.Key(s), Zone: s.Old.Zone}, p.next("Add")
}
func (p provider) Withdraw(_ context.Context, _ upgrade.Replacement, m upgrade.Machine) error {
	return p.next("Withdraw machine " + m.Node)
}
func (p provider) Readmit(_ context.Context, _ upgrade.Replacement, m upgrade.Machine) error {
	return p.next("Readmit machine " + m.Node)
}
func (p provider) Remove(_ context.Context, _ upgrade.Replacement, m upgrade.Machine) error {
	return p.next("Remove machine " + m.Node + m.ID)
}
func (p provider) End(_ context.Context, _ upgrade.Replacement, snapshot json.RawMessage) error {
	return p.next("End " + string(snapshot))
}

func (w *world) Join(context.Context, string) (upgrade.Join, error) {
	return upgrade.Join{Endpoint: "10.0.0.1:6443", Token: "abcdef.0123456789abcdef", CACertHash: "sha256:00"}, w.next("Join")
}
func (w *world) EndJoin(context.Context, string) error { return w.next("EndJoin") }
func (w *world) NodeOf(context.Context, upgrade.Machine) (string, error) {
	err := w.next("NodeOf")
	if err != nil {
		return "", err
	}
	return "new1", nil
}
func (w *world) DeleteNode(_ context.Context, node, uid string) error {
	return w.next(strings.TrimSpace("DeleteNode " + node + " " + uid))
}
func (w *world) Withdraw(_ context.Context, node, _ string) error { return w.next("Withdraw " + node) }
func (w *world) Uncordon(_ context.Context, node, _ string) error { return w.next("Uncordon " + node) }
func (w *world) NodesBehind(context.Context, upgrade.Version) ([]string, error) {
	if w.next("NodesBehind") != nil {
		return []string{"ip-9"}, nil
	}
	return nil, nil
}
func (w *world) RestartFargate(_ context.Context, v upgrade.Version, since time.Time) (upgrade.Restart, error) {
	now := upgrade.Restart{Left: []string{"batch/once"}}
	if w.next(fmt.Sprintf("RestartFargate %s %s", v, since.Format(time.TimeOnly))) != nil {
		now.Waiting = []string{"shop/web"}
	}
	return now, nil
}
func (w *world) VolumesReleased(context.Context, string) error { return w.next("VolumesReleased") }
func (w *world) ServedOnlyBy(context.Context, []string) ([]string, error) {
	return []string{"web/shop"}, w.next("ServedOnlyBy")
}
func (w *world) ServedSince(_ context.Context, service string, began time.Time) (time.Time, error) {
	return began.Add(w.away), w.next("ServedSince " + service)
}
func (w *world) Stop(ctx context.Context, node string) (upgrade.DrainPass, error) {
	pass, err := w.Evict(ctx, node)
	w.mu.Lock()
	w.calls[len(w.calls)-1] = "Stop"
	w.mu.Unlock()
	return pass, err
}
