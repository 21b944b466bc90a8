package host_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// fakeRepository makes a package repository of the layout of pkgs.k8s.io on the node itself, with two versions of a
// package that nobody needs, so that the real apt can be tried without touching Kubernetes.
const fakeRepository = `set -e
rm -rf /run/pawl-repository
for v in 1.36.3 1.37.2; do
  d=/run/pawl-repository/v${v%.*}/deb; mkdir -p $d/amd64 $d/build/DEBIAN
  printf 'Package: pawl-test\nVersion: %s-1.1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: test\n' $v > $d/build/DEBIAN/control
  printf '#!/bin/sh\nif [ -e /run/pawl-slow ]; then touch /run/pawl-inside; sleep 4; fi\n' > $d/build/DEBIAN/postinst; chmod 755 $d/build/DEBIAN/postinst
  chmod 755 $d/build $d/build/DEBIAN; dpkg-deb --build $d/build $d/amd64/pawl-test_$v-1.1_all.deb >/dev/null
  f=$d/amd64/pawl-test_$v-1.1_all.deb
  { cat $d/build/DEBIAN/control; echo "Filename: ./amd64/$(basename $f)"; echo "Size: $(stat -c %s $f)"; echo "SHA256: $(sha256sum $f | cut -d' ' -f1)"; } > $d/Packages
  { echo "Date: $(LC_ALL=C date -Ru)"; echo SHA256:; echo " $(sha256sum $d/Packages | cut -d' ' -f1) $(stat -c %s $d/Packages) Packages"; } > $d/Release
  rm -r $d/build
done
chmod -R a+rX /run/pawl-repository
`

const removeFakeRepository = `rm -f /etc/apt/sources.list.d/pawl-test.*; rm -f /run/pawl-slow /run/pawl-inside /var/cache/apt/archives/pawl-test_*
systemctl stop 'pawl-apt-install-pawl-test-*' 2>/dev/null; systemctl reset-failed 'pawl-apt-install-pawl-test-*' 2>/dev/null
dpkg --configure -a >/dev/null; apt-mark unhold pawl-test >/dev/null 2>&1; apt-get purge -y pawl-test >/dev/null 2>&1; rm -rf /run/pawl-repository
rm -f /var/lib/apt/lists/*pawl-repository*; true`

// aptBed is a machine with a package that nobody needs at 1.36.3, on hold, from a repository that has 1.37.2, too.
type aptBed struct {
	*bed
	pkg, base string // the package, and where the folders of the repository are
}

// begin brings the lab's node, or a new simulated machine, to that state. %s in source stands for the base.
type begin func(t *testing.T, source, file string) aptBed

// In the lab the package and its repository are made on the node itself, for the real apt. A simulated machine has its
// own repositories, and is thrown away.
func TestMachineInstall(t *testing.T) {
	unlessLab(t)
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		install(t, func(t *testing.T, source, file string) aptBed {
			b := simulated(t, func(o *machine.Options) { o.Hook = slowConfigure })
			b.sh(t, "rm /etc/apt/sources.list.d/kubernetes.list; printf '"+strings.ReplaceAll(source, "%s", machine.Repository)+"' > /etc/apt/sources.list.d/"+file+
				"; apt-get update; apt-mark unhold kubeadm kubelet")
			return aptBed{b, "kubectl", machine.Repository}
		})
	})
	t.Run("lab", func(t *testing.T) {
		l := openLab(t)
		l.sh(t, removeFakeRepository)
		holdsBefore := l.sh(t, "apt-mark showhold")
		t.Cleanup(func() {
			l.sh(t, removeFakeRepository)
			if holds := l.sh(t, "apt-mark showhold"); holds != holdsBefore {
				t.Errorf("holds: %q, were %q", holds, holdsBefore)
			}
		})
		install(t, func(t *testing.T, source, file string) aptBed {
			l.sh(t, removeFakeRepository+"\n"+fakeRepository+"printf '"+strings.ReplaceAll(source, "%s", "file:/run/pawl-repository")+"' > /etc/apt/sources.list.d/"+file+
				"; apt-get update -qq -o Dir::Etc::SourceList=/etc/apt/sources.list.d/"+file+" -o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0"+
				"; apt-get install -qq -y pawl-test=1.36.3-1.1 >/dev/null; apt-mark hold pawl-test >/dev/null")
			return aptBed{l, "pawl-test", "file:/run/pawl-repository"}
		})
	})
}

// slowConfigure does on a simulated machine what the postinst of the fake package does.
func slowConfigure(ctx context.Context, e machine.Event) {
	if e.When == machine.At && e.What == "dpkg: configuring kubectl" && e.Machine.Exists("/run/pawl-slow") {
		_ = e.Machine.WriteFile("/run/pawl-inside", nil, 0o644)
		_ = e.Machine.Sleep(ctx, 4*time.Second)
	}
}

func install(t *testing.T, begin begin) {
	v := v137
	const oneLine = `# Kubernetes\ndeb [trusted=yes] %s/v1.36/deb/ /\n`
	verify := func(t *testing.T, l aptBed) {
		t.Helper()
		if got := l.sh(t, "dpkg-query -W -f '${Version} ${db:Status-Abbrev}' "+l.pkg); got != "1.37.2-1.1 hi " {
			t.Errorf("installed: %q, want version 1.37.2-1.1, on hold", got)
		}
		if got := l.sh(t, "ls /var/lib/pawl/apt-holds 2>/dev/null || true"); got != "" {
			t.Errorf("%s is left", got)
		}
		if got := l.sh(t, "systemctl list-units --all --no-legend 'pawl-apt-install-"+l.pkg+"*'"); got != "" {
			t.Errorf("units are left: %s", got)
		}
	}

	t.Run("a held package", func(t *testing.T) {
		l := begin(t, oneLine, "pawl-test.list")
		for range 2 {
			if err := l.host.Install(t.Context(), l.base, v, l.pkg); err != nil {
				t.Fatal(err)
			}
			verify(t, l)
		}
		if got := l.sh(t, "cat /etc/apt/sources.list.d/pawl-test.list"); got != "# Kubernetes\ndeb [trusted=yes] "+l.base+"/v1.37/deb/ /\n" {
			t.Errorf("source: %q", got)
		}
	})
	t.Run("from a deb822 source", func(t *testing.T) {
		l := begin(t, `Types: deb\nURIs: %s/v1.36/deb/\nSuites: /\nTrusted: yes\n`, "pawl-test.sources")
		if err := l.host.Install(t.Context(), l.base, v, l.pkg); err != nil {
			t.Fatal(err)
		}
		verify(t, l)
	})
	t.Run("a version that is not there", func(t *testing.T) {
		l := begin(t, oneLine, "pawl-test.list")
		err := l.host.Install(t.Context(), l.base, upgrade.MustVersion("v1.37.9"), l.pkg)
		if !fault.Is(err, fault.PreflightFailed) || !strings.Contains(err.Error(), "the package repository has v1.36.3, v1.37.2") &&
			!strings.Contains(err.Error(), "the package repository has v1.37.2") {
			t.Errorf("%v", err)
		}
		t.Log(err)
	})
	t.Run("held, by hand", func(t *testing.T) {
		l := begin(t, oneLine, "pawl-test.list")
		switchToNext := "sed -i s/v1.36/v1.37/ /etc/apt/sources.list.d/pawl-test.list"
		if l.machine != nil {
			switchToNext = "printf '" + strings.ReplaceAll(strings.ReplaceAll(oneLine, "%s", l.base), "v1.36", "v1.37") + "' > /etc/apt/sources.list.d/pawl-test.list"
		}
		only := " -o Dir::Etc::SourceList=/etc/apt/sources.list.d/pawl-test.list -o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0"
		l.sh(t, switchToNext+"; apt-get update -qq"+only)
		out := l.sh(t, "export LC_ALL=C; apt-get install -y"+only+" "+l.pkg+"=1.37.2-1.1 2>&1; echo $?; apt-mark showhold "+l.pkg)
		if !strings.Contains(out, "E: Held packages were changed and -y was used without --allow-change-held-packages.\n100\n"+l.pkg+"\n") {
			t.Errorf("apt said %s", out)
		}
		// The reason for pawl's own book of holds.
		l.sh(t, "apt-get install -qq -y --allow-change-held-packages"+only+" "+l.pkg+"=1.37.2-1.1 >/dev/null")
		if got := l.sh(t, "dpkg-query -W -f '${Version} ${db:Status-Abbrev}' "+l.pkg); got != "1.37.2-1.1 ii " {
			t.Errorf("installed: %q, want version 1.37.2-1.1 and no hold", got)
		}
	})
	t.Run("interrupted while apt works", func(t *testing.T) {
		l := begin(t, oneLine, "pawl-test.list")
		l.sh(t, "touch /run/pawl-slow")
		short, cancel := context.WithCancel(t.Context())
		go func() {
			_ = wait(short, l.bed, "/run/pawl-inside")
			cancel()
		}()
		if err := l.host.Install(short, l.base, v, l.pkg); !fault.Is(err, fault.OutcomeUnknown, fault.Unreachable) {
			t.Fatalf("%v", err)
		}
		if err := l.host.Install(t.Context(), l.base, v, l.pkg); err != nil {
			t.Fatal(err)
		}
		verify(t, l)
		if n := strings.TrimSpace(l.sh(t, "grep -c 'Commandline:.* "+l.pkg+"=1.37.2-1.1' /var/log/apt/history.log")); n == "0" {
			t.Errorf("apt's history does not show it")
		}
	})
	t.Run("apt killed between unpacking and configuring", func(t *testing.T) {
		l := begin(t, oneLine, "pawl-test.list")
		l.sh(t, "rm -f /run/pawl-inside; touch /run/pawl-slow")
		done := make(chan error)
		go func() { done <- l.host.Install(t.Context(), l.base, v, l.pkg) }()
		l.sh(t, "for i in $(seq 100); do test -e /run/pawl-inside && break; sleep 0.1; done; systemctl kill -s KILL pawl-apt-install-"+l.pkg+"-v1.37.2; rm -f /run/pawl-slow")
		err := <-done
		if !fault.Is(err, fault.CommandFailed) {
			t.Errorf("%v", err)
		}
		t.Log(err)
		t.Logf("left behind: %s", l.sh(t, "dpkg-query -W -f '${Version} ${db:Status-Abbrev}' "+l.pkg))
		if err := l.host.Install(t.Context(), l.base, v, l.pkg); err != nil {
			t.Fatal(err)
		}
		verify(t, l)
	})
}

// wait waits for a file on the machine.
func wait(ctx context.Context, b *bed, file string) error {
	for ctx.Err() == nil {
		r, err := b.client.Run(ctx, host.Command{Argv: []string{"test", "-e", file}, Root: true})
		if err != nil || r.ExitCode == 0 {
			return err
		}
		time.Sleep(b.d(200 * time.Millisecond))
	}
	return ctx.Err()
}
