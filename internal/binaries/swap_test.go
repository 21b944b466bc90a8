package binaries

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var serverFlags = []string{"secure-port", "etcd-servers", "anonymous-auth", "token"}

// server makes a host with an API server at v1.36.3, and a v1.37.2 of the given fault in the mirror.
func server(t testing.TB, flaw string) (*world, upgrade.BinaryChange) {
	w := newWorld(t)
	w.component(fake{Component: upgrade.APIServer, Version: "v1.36.3", Flags: serverFlags}, "--secure-port="+freePort(t), "--etcd-servers=http://127.0.0.1:2379", "--token=secret")
	w.release(fake{Component: upgrade.APIServer, Version: "v1.37.2", Flags: serverFlags, Fault: flaw})
	return w, upgrade.BinaryChange{Component: upgrade.APIServer, From: v136, To: v137}
}

func TestFetchAndSwap(t *testing.T) {
	t.Parallel()
	w, change := server(t, "")
	h := w.host()
	seen, err := h.Observe(t.Context(), w.source(), []upgrade.BinaryChange{change, {Component: upgrade.APIServer, From: v136, To: upgrade.MustVersion("v1.37.9")}})
	if err != nil {
		t.Fatal(err)
	}
	b, ok := seen.Binary(upgrade.APIServer)
	if !ok || b.OnDisk != v136 || b.Unit.Running != v136 || b.Unit.Active != "active" || !slices.Equal(b.Flags, []string{"--secure-port", "--etcd-servers", "--token"}) || b.Problem != "" {
		t.Errorf("%+v", b)
	}
	if len(seen.Missing) != 1 || seen.Missing[0].Version.String() != "v1.37.9" || !strings.Contains(seen.Missing[0].Problem, "404") {
		t.Errorf("%+v", seen.Missing)
	}
	wantFault(t, h.Swap(t.Context(), change), fault.PreflightFailed, "fetch it first")
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Fatal(err)
	}
	if found, err := h.Check(t.Context(), change); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if got := w.running("kube-apiserver.service"); got != "v1.36.3" {
		t.Errorf("%s runs before the swap", got)
	}
	if err := h.Swap(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if got := w.running("kube-apiserver.service"); got != "v1.37.2" {
		t.Errorf("%s runs", got)
	}
	if err := h.Healthy(t.Context(), upgrade.APIServer, v137); err != nil {
		t.Error(err)
	}
	wantFault(t, h.Healthy(t.Context(), upgrade.APIServer, v136), fault.VerificationFailed, "it is v1.37.2, wanted v1.36.3")
	for _, name := range []string{"kube-apiserver", "kube-apiserver.v1.36.3", "kube-apiserver.v1.37.2"} {
		if _, err := os.Stat(w.file("bin/" + name)); err != nil {
			t.Error(err)
		}
	}
	if left := w.hidden(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// Again: nothing is done.
	before := w.system.units["kube-apiserver.service"].invocation
	w.commands()
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Error(err)
	}
	if err := h.Swap(t.Context(), change); err != nil {
		t.Error(err)
	}
	for _, line := range w.commands() {
		if slices.Contains([]string{"ln", "mv", "rm", "install", "dd"}, strings.Fields(line)[0]) {
			t.Errorf("done again: %s", line)
		}
	}
	if w.system.units["kube-apiserver.service"].invocation != before {
		t.Error("restarted again")
	}
}

func TestSwappedBack(t *testing.T) {
	for flaw, says := range map[string]string{
		"crash":   "panic: it cannot go on",
		"unready": "/readyz says 500: [-]etcd failed: reason withheld",
		"mute":    "Failed to connect",
		"late":    "panic: later",
	} {
		t.Run(flaw, func(t *testing.T) {
			t.Parallel()
			w, change := server(t, flaw)
			h := w.host()
			if flaw == "unready" || flaw == "mute" {
				h.patience = 2e9
			}
			if err := h.Fetch(t.Context(), w.source(), change); err != nil {
				t.Fatal(err)
			}
			err := h.Swap(t.Context(), change)
			wantFault(t, err, fault.VerificationFailed, "v1.37.2 did not pass its gate", says, "swapped back, v1.36.3 runs again")
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("it tells a secret: %v", err)
			}
			if got := w.running("kube-apiserver.service"); got != "v1.36.3" {
				t.Errorf("%s runs", got)
			}
			if err := h.Healthy(t.Context(), upgrade.APIServer, v136); err != nil {
				t.Error(err)
			}
			if left := w.hidden(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestSwapIsRefused(t *testing.T) {
	t.Parallel()
	w, change := server(t, "")
	h := w.host()
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Fatal(err)
	}
	t.Run("from another version", func(t *testing.T) {
		other := change
		other.From = upgrade.MustVersion("v1.36.1")
		wantFault(t, h.Swap(t.Context(), other), fault.PreflightFailed, "is v1.36.3, wanted v1.36.1 or v1.37.2")
	})
	t.Run("a package's binary", func(t *testing.T) {
		w.owned = w.file("bin/kube-apiserver")
		defer func() { w.owned = "" }()
		wantFault(t, h.Swap(t.Context(), change), fault.PreflightFailed, "belongs to a package")
	})
	t.Run("changed since it was fetched", func(t *testing.T) {
		f, err := os.OpenFile(w.file("bin/kube-apiserver.v1.37.2"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(" ")
		_ = f.Close()
		wantFault(t, h.Swap(t.Context(), change), fault.VerificationFailed, "is not what was verified")
	})
	t.Run("unknown", func(t *testing.T) {
		wantFault(t, h.Swap(t.Context(), upgrade.BinaryChange{Component: "nginx"}), fault.InvalidInput)
		wantFault(t, h.Swap(t.Context(), upgrade.BinaryChange{Component: upgrade.Kubelet, From: v136, To: v137}), fault.NotFound)
	})
	if got := w.running("kube-apiserver.service"); got != "v1.36.3" {
		t.Errorf("%s runs", got)
	}
}

// unreachable is a mirror where nobody listens.
const unreachable = "http://127.0.0.1:1"

func TestFetchIsRefused(t *testing.T) {
	t.Parallel()
	w, change := server(t, "")
	h := w.host()
	file := w.file("mirror/release/v1.37.2/bin/linux/" + archs[uname(t)] + "/kube-apiserver")
	t.Run("another checksum", func(t *testing.T) {
		w.write(file+".sha256", strings.Repeat("0", 64)+"\n")
		wantFault(t, h.Fetch(t.Context(), w.source(), change), fault.VerificationFailed, "wanted 0000")
	})
	t.Run("another version under that name", func(t *testing.T) {
		fake{Component: upgrade.APIServer, Version: "v1.37.1"}.write(t, file)
		w.write(file+".sha256", w.sum(file)+"\n")
		wantFault(t, h.Fetch(t.Context(), w.source(), change), fault.VerificationFailed, "it says that it is v1.37.1, wanted v1.37.2")
	})
	t.Run("no checksum", func(t *testing.T) {
		w.write(file+".sha256", "<html>\n")
		wantFault(t, h.Fetch(t.Context(), w.source(), change), fault.VerificationFailed, "has no SHA-256 sum")
	})
	t.Run("a source with a password", func(t *testing.T) {
		err := h.Fetch(t.Context(), upgrade.BinarySource{Kubernetes: "https://me:secret@mirror.example"}, change)
		wantFault(t, err, fault.InvalidInput)
		if strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
	t.Run("an unreachable source", func(t *testing.T) {
		wantFault(t, h.Fetch(t.Context(), upgrade.BinarySource{Kubernetes: unreachable}, change), fault.Unreachable)
	})
	if _, err := os.Stat(w.file("bin/kube-apiserver.v1.37.2")); err == nil {
		t.Error("it is staged")
	}
}

func TestFetchFromAFolderOfTheHost(t *testing.T) {
	t.Parallel()
	w, change := server(t, "")
	if err := w.host().Fetch(t.Context(), upgrade.BinarySource{Kubernetes: "file://" + w.file("mirror/release")}, change); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.component(fake{Component: upgrade.Scheduler, Version: "v1.36.3", Flags: []string{"secure-port", "old", "older", "token"}},
		"--secure-port="+freePort(t), "--old=1", "--older", "--token=secret")
	w.release(fake{Component: upgrade.Scheduler, Version: "v1.37.2", Flags: []string{"secure-port", "token"}})
	h := w.host()
	change := upgrade.BinaryChange{Component: upgrade.Scheduler, From: v136, To: v137}
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Fatal(err)
	}
	found, err := h.Check(t.Context(), change)
	if err != nil || len(found) != 2 || !strings.Contains(found[0].Message, "kube-scheduler.service sets --old, which kube-scheduler of v1.37.2 does not know") ||
		!strings.Contains(found[1].Message, "--older") {
		t.Errorf("%v, %v", found, err)
	}
	// The swap is somebody's decision, and ends as it must.
	wantFault(t, h.Swap(t.Context(), change), fault.VerificationFailed, "unknown flag: --old", "swapped back, v1.36.3 runs again")
}

func TestEtcd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.component(fake{Component: upgrade.Etcd, Version: "v3.6.11", Flags: etcdFlags}, "--name=a", "--advertise-client-urls=http://127.0.0.1:"+freePort(t))
	for _, tool := range []string{upgrade.Etcdctl, upgrade.Etcdutl} {
		w.tool(fake{Component: tool, Version: "v3.6.11"})
	}
	w.etcdRelease("v3.7.0", "")
	h := w.host()
	from, to := upgrade.MustVersion("v3.6.11"), upgrade.MustVersion("v3.7.0")
	var members []upgrade.EtcdMember
	var err error
	for range 200 { // it takes a moment to listen
		if members, err = h.EtcdMembers(t.Context()); err == nil {
			break
		}
	}
	if err != nil || len(members) != 1 || members[0].Version != from || !members[0].Leader {
		t.Fatalf("%+v, %v", members, err)
	}
	s, err := h.SnapshotEtcd(t.Context(), "before")
	if err != nil || s.Revision != 42 {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, err := h.SnapshotEtcd(t.Context(), "before"); err != nil || again != s {
		t.Errorf("%+v, %v", again, err)
	}
	info, err := os.Stat(w.file("pawl/backups/before/" + snapshotFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, component := range []string{upgrade.Etcd, upgrade.Etcdctl, upgrade.Etcdutl} {
		change := upgrade.BinaryChange{Component: component, From: from, To: to}
		if err := h.Fetch(t.Context(), w.source(), change); err != nil {
			t.Fatal(err)
		}
		if found, err := h.Check(t.Context(), change); err != nil || len(found) > 0 {
			t.Fatalf("%v, %v", found, err)
		}
		if err := h.Swap(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if err := h.Healthy(t.Context(), component, to); err != nil {
			t.Error(err)
		}
	}
	downloads := 0
	for _, line := range w.commands() {
		if strings.HasPrefix(line, "systemd-run") && strings.Contains(line, "curl") {
			downloads++
		}
	}
	if downloads != 1 {
		t.Errorf("the archive was downloaded %d times", downloads)
	}
	if left := w.hidden(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestEtcdIsNotTouchedWhileAMemberIsIll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.component(fake{Component: upgrade.Etcd, Version: "v3.6.11", Flags: etcdFlags, Fault: "unready"}, "--name=a", "--advertise-client-urls=http://127.0.0.1:"+freePort(t))
	w.tool(fake{Component: upgrade.Etcdctl, Version: "v3.6.11"})
	w.etcdRelease("v3.7.0", "")
	h := w.host()
	change := upgrade.BinaryChange{Component: upgrade.Etcd, From: upgrade.MustVersion("v3.6.11"), To: upgrade.MustVersion("v3.7.0")}
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Fatal(err)
	}
	wantFault(t, h.Swap(t.Context(), change), fault.VerificationFailed, "etcdctl endpoint health")
	if got := w.running("etcd.service"); got != "v3.6.11" {
		t.Errorf("%s runs", got)
	}
}
