package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pawl-dev/pawl/internal/metrics"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/internal/visibility"
)

// Look asks for the newest upgrade of every cluster.
type Look func(context.Context) ([]visibility.Upgrade, error)

const (
	// lookPatience bounds one look: a scrape must not wait for a Temporal that does not answer. Prometheus' own time-out
	// is 10 s by default.
	lookPatience = 3 * time.Second
	// lookAgain is for how long an answer is good, so that several who scrape cost no more than one.
	lookAgain = 5 * time.Second
)

// states are those that an upgrade can be in.
var states = []upgrade.State{
	upgrade.Pending, upgrade.Running, upgrade.Held, upgrade.Paused, upgrade.Waiting, upgrade.Done, upgrade.Failed, upgrade.Aborted,
}

// upgrades tells of all upgrades, whenever it is asked, what Temporal knows of them.
type upgrades struct {
	look Look

	mu   sync.Mutex
	seen []visibility.Upgrade
	err  error
	next time.Time // when it is to be asked again
}

// Upgrades makes the collector of the metrics of upgrades.
func Upgrades(look Look) prometheus.Collector { return &upgrades{look: look} }

// Describe implements prometheus.Collector.
func (u *upgrades) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range described {
		ch <- d
	}
}

var described = func() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	for _, m := range metrics.All {
		if m.Kind == metrics.Gauge {
			all[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		}
	}
	return all
}()

// Collect implements prometheus.Collector.
func (u *upgrades) Collect(ch chan<- prometheus.Metric) {
	say := func(m metrics.Metric, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(described[m.Name], prometheus.GaugeValue, value, labels...)
	}
	seen, err := u.latest()
	if err != nil {
		say(metrics.TemporalUp, 0)
		return
	}
	say(metrics.TemporalUp, 1)
	for _, is := range seen {
		for _, s := range states {
			say(metrics.UpgradeState, truth(is.State == s), is.Cluster, string(s))
		}
		say(metrics.UpgradeInfo, 1, is.Cluster, is.Target, is.Phase, is.TaskQueue)
		say(metrics.UpgradeNodes, float64(is.Nodes), is.Cluster)
		say(metrics.UpgradeNodesDone, float64(is.NodesDone), is.Cluster)
		say(metrics.UpgradeStarted, unix(is.Started), is.Cluster)
		say(metrics.UpgradeEnded, unix(is.Ended), is.Cluster)
		say(metrics.UpgradeHeld, unix(is.Moments.HeldSince), is.Cluster, is.HeldAt)
		say(metrics.WindowOpens, unix(is.Moments.WindowOpens), is.Cluster)
		say(metrics.WindowCloses, unix(is.Moments.WindowCloses), is.Cluster)
	}
}

// latest is the last answer, while it is fresh, or a new one. Who asks meanwhile waits for the same.
func (u *upgrades) latest() ([]visibility.Upgrade, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Now().Before(u.next) {
		return u.seen, u.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookPatience)
	defer cancel()
	u.seen, u.err = u.look(ctx)
	u.next = time.Now().Add(lookAgain)
	return u.seen, u.err
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// unix is the time as Prometheus counts it; no time is 0.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
