package binaries

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// archive packs files of the mirror's folder, by their names within, and writes its checksum.
func (w *world) archive(name, sums string, files map[string]fake) {
	w.t.Helper()
	folder := w.t.TempDir()
	for member, f := range files {
		f.Log = w.log
		file := filepath.Join(folder, member)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			w.t.Fatal(err)
		}
		f.write(w.t, file)
	}
	target := w.file("mirror/" + name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-czf", target, "-C", folder, ".").CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v", out, err)
	}
	if filepath.Dir(filepath.Dir(name)) == "containerd" { // whose names have no ./ before them
		if out, err := exec.Command("tar", "-czf", target, "-C", folder, "bin").CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v", out, err)
		}
	}
	w.write(w.file("mirror/"+sums), w.sum(target)+"  "+filepath.Base(name)+"\n")
}

func TestContainerRuntime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arch := archs[uname(t)]
	w.component(fake{Component: upgrade.Containerd, Version: "v2.3.6"})
	for _, name := range []string{"ctr", "containerd-stress"} {
		w.tool(fake{Component: name, Version: "v2.3.6"})
	}
	w.tool(fake{Component: upgrade.Runc, Version: "v1.3.2"})
	loopback := fake{Component: upgrade.CNIPlugins, Version: "v1.7.1"}
	loopback.write(t, w.file("bin/loopback"))
	loopback.write(t, w.file("bin/bridge"))

	w.archive("containerd/v2.3.7/containerd-2.3.7-linux-"+arch+".tar.gz", "containerd/v2.3.7/containerd-2.3.7-linux-"+arch+".tar.gz.sha256sum", map[string]fake{
		"bin/containerd": {Component: upgrade.Containerd, Version: "v2.3.7"}, "bin/ctr": {Component: "ctr", Version: "v2.3.7"}})
	w.archive("cni/v1.8.0/cni-plugins-linux-"+arch+"-v1.8.0.tgz", "cni/v1.8.0/cni-plugins-linux-"+arch+"-v1.8.0.tgz.sha256", map[string]fake{
		"loopback": {Component: upgrade.CNIPlugins, Version: "v1.8.0"}, "bridge": {Component: upgrade.CNIPlugins, Version: "v1.8.0"}, "vlan": {Component: upgrade.CNIPlugins, Version: "v1.8.0"}})
	if err := os.MkdirAll(w.file("mirror/runc/v1.3.3"), 0o755); err != nil {
		t.Fatal(err)
	}
	fake{Component: upgrade.Runc, Version: "v1.3.3"}.write(t, w.file("mirror/runc/v1.3.3/runc."+arch))
	w.write(w.file("mirror/runc/v1.3.3/runc.sha256sum"), w.sum(w.file("mirror/runc/v1.3.3/runc."+arch))+" *runc."+arch+"\n")

	h := w.host()
	source := upgrade.BinarySource{Containerd: w.mirror.URL + "/containerd", Runc: w.mirror.URL + "/runc", CNI: w.mirror.URL + "/cni"}
	changes := []upgrade.BinaryChange{
		{Component: upgrade.Containerd, From: upgrade.MustVersion("v2.3.6"), To: upgrade.MustVersion("v2.3.7")},
		{Component: upgrade.Runc, From: upgrade.MustVersion("v1.3.2"), To: upgrade.MustVersion("v1.3.3")},
		{Component: upgrade.CNIPlugins, From: upgrade.MustVersion("v1.7.1"), To: upgrade.MustVersion("v1.8.0")},
	}
	missing := func() (all []string) {
		seen, err := h.Observe(t.Context(), source, append(changes,
			upgrade.BinaryChange{Component: upgrade.Runc, To: upgrade.MustVersion("v1.3.9")},
			upgrade.BinaryChange{Component: upgrade.Runc, To: upgrade.MustVersion("v1.2.0")},       // nobody goes back
			upgrade.BinaryChange{Component: upgrade.KubeProxy, To: upgrade.MustVersion("v9.9.9")})) // which the host has not
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range seen.Missing {
			all = append(all, m.Component+" "+m.Version.String())
		}
		return all
	}
	if got := missing(); !slices.Equal(got, []string{"runc v1.3.9"}) {
		t.Errorf("missing: %v", got)
	}
	for _, c := range changes {
		if err := h.Fetch(t.Context(), source, c); err != nil {
			t.Fatal(err)
		}
		if found, err := h.Check(t.Context(), c); err != nil || len(found) > 0 {
			t.Fatalf("%v, %v", found, err)
		}
		if err := h.Swap(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := h.Healthy(t.Context(), c.Component, c.To); err != nil {
			t.Error(err)
		}
	}
	for name, there := range map[string]bool{"ctr.v2.3.7": true, "ctr.v2.3.6": true, "containerd-stress.v2.3.7": false, "containerd-stress.v2.3.6": false,
		"bridge.v1.8.0": true, "bridge.v1.7.1": true, "vlan": false} {
		if _, err := os.Stat(w.file("bin/" + name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.RemoveAll(w.file("mirror/containerd")); err != nil {
		t.Fatal(err)
	}
	if got := missing(); !slices.Equal(got, []string{"runc v1.3.9"}) {
		t.Errorf("what is there already is asked for: %v", got)
	}
	k, _ := kindOf(upgrade.CNIPlugins)
	if v, problem, err := h.saysVersion(t.Context(), k, w.file("bin/bridge"), false); err != nil || v.String() != "v1.8.0" {
		t.Errorf("%s, %s, %v", v, problem, err)
	}
	if left := w.hidden(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
