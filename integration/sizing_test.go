package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// BenchmarkInstallation upgrades clusters of ten nodes at the same time, and tells what the worker, Temporal and the database took
// for it: `PAWL_PRODUCTION=1 go test ./integration -run '^$' -bench Installation -benchtime 1x`, after make production. Linux only.
func BenchmarkInstallation(b *testing.B) {
	for _, clusters := range []int{1, 4} {
		b.Run(fmt.Sprintf("clusters=%d", clusters), func(b *testing.B) {
			for range b.N {
				measureInstallation(b, clusters)
			}
		})
	}
}

func measureInstallation(b *testing.B, clusters int) {
	const nodes = 10
	first := newInstalled(b, "size-1", bed.Options{ControlPlanes: 1, Workers: nodes - 1, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.2}, "")
	s := first.on
	require.NoError(b, s.workers[1].end(fastStop)) // one does it all
	all := []*stage{first.stage}
	for i := 2; i <= clusters; i++ {
		all = append(all, newStageOn(b, s.dev, fmt.Sprintf("size-%d", i), bed.Options{ControlPlanes: 1, Workers: nodes - 1, Version: v136, Offered: []upgrade.Version{v137}, Pace: 0.2}, ""))
	}
	idle, empty := use(b, s.workers[0]), s.db.size(b)
	const quiet = 10 * time.Second
	time.Sleep(quiet) // what is measured is that nothing happens
	b.Logf("a worker with nothing to do: %.1f %% of a core, %d MB at most until now", 100*(use(b, s.workers[0]).cpu-idle.cpu).Seconds()/quiet.Seconds(), use(b, s.workers[0]).peak>>20)
	worker, server := use(b, s.workers[0]), use(b, s.server)
	began := time.Now()
	var ended sync.WaitGroup
	for _, st := range all {
		st.start()
		ended.Go(func() { _, _ = st.pawl("watch", st.name) })
	}
	ended.Wait()
	took := time.Since(began)
	done := time.Duration(clusters * nodes)
	w, t := use(b, s.workers[0]), use(b, s.server)
	for _, st := range all {
		st.requireUpgraded()
	}
	b.Logf("%d clusters of %d nodes at once in %s. Worker: %s of CPU a node, %d MB at most. Temporal: %s of CPU a node, %d MB at most. PostgreSQL: %d kB a node",
		clusters, nodes, took.Round(time.Second), ((w.cpu - worker.cpu) / done).Round(time.Millisecond), w.peak>>20,
		((t.cpu - server.cpu) / done).Round(time.Millisecond), t.peak>>20, (s.db.size(b)-empty)/int64(done)>>10)
}

// usage is what a process has used so far.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes in memory
}

// use reads it from proc(5).
func use(t testing.TB, p *program) (u usage) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")"):])) // the first is the third
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field) // a hundred a second
		require.NoError(t, err)
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(dir + "status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if text, is := strings.CutPrefix(line, "VmHWM:"); is {
			kB, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			require.NoError(t, err)
			u.peak = kB << 10
		}
	}
	return u
}

// size is how many bytes both databases have.
func (p *postgres) size(t testing.TB) (bytes int64) {
	t.Helper()
	out, err := p.sql("temporal", "temporal", "SELECT sum(pg_database_size(datname)) FROM pg_database WHERE datname LIKE 'temporal%'")
	require.NoError(t, err)
	bytes, err = strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	require.NoError(t, err)
	return bytes
}
