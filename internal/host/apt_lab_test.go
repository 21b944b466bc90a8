package host_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
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

func TestLabInstallWithRealApt(t *testing.T) {
	l := openLab(t)
	const repository = "file:/run/pawl-repository"
	ctx := t.Context()
	v := upgrade.MustVersion("v1.37.2")
	l.sh(t, removeFakeRepository)
	holdsBefore := l.sh(t, "apt-mark showhold")
	t.Cleanup(func() {
		l.sh(t, removeFakeRepository)
		if holds := l.sh(t, "apt-mark showhold"); holds != holdsBefore {
			t.Errorf("holds: %q, were %q", holds, holdsBefore)
		}
	})
	begin := func(t *testing.T, list, file string) {
		t.Helper()
		l.sh(t, removeFakeRepository+"\n"+fakeRepository+"printf '"+list+"' > /etc/apt/sources.list.d/"+file+
			"; apt-get update -qq -o Dir::Etc::SourceList=/etc/apt/sources.list.d/"+file+" -o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0"+
			"; apt-get install -qq -y pawl-test=1.36.3-1.1 >/dev/null; apt-mark hold pawl-test >/dev/null")
	}
	const oneLine = `# Kubernetes\ndeb [trusted=yes] file:/run/pawl-repository/v1.36/deb/ /\n`
	verify := func(t *testing.T) {
		t.Helper()
		if got := l.sh(t, "dpkg-query -W -f '${Version} ${db:Status-Abbrev}' pawl-test"); got != "1.37.2-1.1 hi " {
			t.Errorf("installed: %q, want version 1.37.2-1.1, on hold", got)
		}
		if got := l.sh(t, "ls /var/lib/pawl/apt-holds 2>/dev/null || true"); got != "" {
			t.Errorf("%s is left", got)
		}
		if got := l.sh(t, "systemctl list-units --all --no-legend 'pawl-apt-install-pawl-test*'"); got != "" {
			t.Errorf("units are left: %s", got)
		}
	}

	t.Run("a held package", func(t *testing.T) {
		begin(t, oneLine, "pawl-test.list")
		for range 2 {
			if err := l.host.Install(ctx, repository, v, "pawl-test"); err != nil {
				t.Fatal(err)
			}
			verify(t)
		}
		if got := l.sh(t, "cat /etc/apt/sources.list.d/pawl-test.list"); got != "# Kubernetes\ndeb [trusted=yes] file:/run/pawl-repository/v1.37/deb/ /\n" {
			t.Errorf("source: %q", got)
		}
	})
	t.Run("from a deb822 source", func(t *testing.T) {
		begin(t, `Types: deb\nURIs: file:/run/pawl-repository/v1.36/deb/\nSuites: /\nTrusted: yes\n`, "pawl-test.sources")
		if err := l.host.Install(ctx, repository, v, "pawl-test"); err != nil {
			t.Fatal(err)
		}
		verify(t)
	})
	t.Run("a version that is not there", func(t *testing.T) {
		begin(t, oneLine, "pawl-test.list")
		err := l.host.Install(ctx, repository, upgrade.MustVersion("v1.37.9"), "pawl-test")
		if !fault.Is(err, fault.PreflightFailed) || !strings.Contains(err.Error(), "the package repository has v1.36.3, v1.37.2") &&
			!strings.Contains(err.Error(), "the package repository has v1.37.2") {
			t.Errorf("%v", err)
		}
		t.Log(err)
	})
	t.Run("interrupted while apt works", func(t *testing.T) {
		begin(t, oneLine, "pawl-test.list")
		l.sh(t, "touch /run/pawl-slow")
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := l.host.Install(short, repository, v, "pawl-test"); !fault.Is(err, fault.OutcomeUnknown) {
			t.Fatalf("%v", err)
		}
		if err := l.host.Install(ctx, repository, v, "pawl-test"); err != nil {
			t.Fatal(err)
		}
		verify(t)
		if n := strings.TrimSpace(l.sh(t, "grep -c 'Commandline:.* pawl-test=1.37.2-1.1' /var/log/apt/history.log")); n == "0" {
			t.Errorf("apt's history does not show it")
		}
	})
	t.Run("apt killed between unpacking and configuring", func(t *testing.T) {
		begin(t, oneLine, "pawl-test.list")
		l.sh(t, "rm -f /run/pawl-inside; touch /run/pawl-slow")
		done := make(chan error)
		go func() { done <- l.host.Install(ctx, repository, v, "pawl-test") }()
		l.sh(t, "for i in $(seq 100); do test -e /run/pawl-inside && break; sleep 0.1; done; systemctl kill -s KILL pawl-apt-install-pawl-test-v1.37.2; rm -f /run/pawl-slow")
		err := <-done
		if !fault.Is(err, fault.CommandFailed) {
			t.Errorf("%v", err)
		}
		t.Log(err)
		t.Logf("left behind: %s", l.sh(t, "dpkg-query -W -f '${Version} ${db:Status-Abbrev}' pawl-test"))
		if err := l.host.Install(ctx, repository, v, "pawl-test"); err != nil {
			t.Fatal(err)
		}
		verify(t)
	})
}
