package machine_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
)

// start makes a machine that is on.
func start(t *testing.T, change func(*machine.Options)) *machine.Machine {
	t.Helper()
	o := machine.Options{Name: "n1", Dir: t.TempDir(), Version: v136, Offered: []upgrade.Version{v136, upgrade.MustVersion("v1.37.1"), v137}, Pace: 0.01}
	if change != nil {
		change(&o)
	}
	m, err := machine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	m.Start()
	return m
}

type result struct {
	out, err string
	code     int
}

func run(m *machine.Machine, user, line string) result {
	var out, err bytes.Buffer
	code := m.Run(context.Background(), line, user, nil, &out, &err)
	return result{out.String(), err.String(), code}
}

func TestSmoke(t *testing.T) {
	m := start(t, nil)
	time.Sleep(50 * time.Millisecond)
	for _, line := range []string{
		"cat /etc/os-release", "kubeadm version -o short", "kubelet --version", "systemctl show --property=ActiveState,MainPID kubelet",
		"echo $$ $HOME; echo x | sort -u; for i in $(seq 3); do echo $i; done", "kill -9 $$", "nosuch", "cat -z", "ls --zzz", "find /nope -maxdepth 0",
		"systemd-run --unit=a --property=Type=oneshot --property=RemainAfterExit=yes -- sh -c 'echo hi; sleep 1; exit 3'", "systemctl show --property=Result,ExecMainStatus,ActiveState a",
		"apt-get update", "apt-cache madison kubeadm", "apt-get install -y kubeadm=1.37.2-1.1", "sed -i s/v1.36/v1.37/ x",
		"apt-mark showhold", "dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\\n' kubeadm nix", "curl -sS http://127.0.0.1:10248/healthz",
		"readlink /proc/$(systemctl show -p MainPID --value kubelet)/exe", "pgrep -f '[k]ubelet'; pgrep -f '[k]ubeadm (upgrade|init)'", "df --block-size=1 --output=avail /var/lib",
	} {
		r := run(m, "root", line)
		t.Logf("%s\n%s%s[%d]", line, r.out, r.err, r.code)
	}
	for _, line := range []string{"cat /etc/kubernetes/kubelet.conf", "LC_ALL=C sudo -n -- cat /etc/kubernetes/kubelet.conf", "touch /etc/x"} {
		r := run(m, "admin", line)
		t.Logf("%s\n%s%s[%d]", line, r.out, r.err, r.code)
		r = run(m, "guest", line)
		t.Logf("%s\n%s%s[%d]", line, r.out, r.err, r.code)
	}
	_ = strings.TrimSpace
}
