package scenario

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/machine"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string]Fault{
		`w1 start cut`:                     {Node: "w1", When: start, Do: "cut"},
		`w1 start hang for 20s`:            {Node: "w1", When: start, Do: "hang", For: 20 * time.Second},
		`w1 start reboot`:                  {Node: "w1", When: start, Do: "reboot"},
		`w1 start reboot for 1m30s`:        {Node: "w1", When: start, Do: "reboot", For: 90 * time.Second},
		`w1 start kill`:                    {Node: "w1", When: start, Do: "kill"},
		`w1 start fill-disk for 2s`:        {Node: "w1", When: start, Do: "fill-disk", For: 2 * time.Second},
		`w1 start lock-packages`:           {Node: "w1", When: start, Do: "lock-packages"},
		`w1 start fail-kubelet`:            {Node: "w1", When: start, Do: "fail-kubelet"},
		`cp1 start fail-health etcd`:       {Node: "cp1", When: start, Do: "fail-health", Arg: "etcd"},
		`cp1 start api-down for 20s`:       {Node: "cp1", When: start, Do: "api-down", For: 20 * time.Second},
		`w1 start delay-kubelet for 500ms`: {Node: "w1", When: start, Do: "delay-kubelet", For: 500 * time.Millisecond},
		`w1 start slow 2.5 for 1s`:         {Node: "w1", When: start, Do: "slow", Arg: "2.5", For: time.Second},
		`* start block-budget shop/web`:    {Node: "*", When: start, Do: "block-budget", Arg: "shop/web"},
		`* before "apt-get install" cut`:   {Node: "*", When: machine.Before, What: []string{"apt-get", "install"}, Do: "cut"},
		`w1 during 'apt-get  install' cut`: {Node: "w1", When: machine.During, What: []string{"apt-get", "install"}, Do: "cut"},
		`w1 after kubeadm cut`:             {Node: "w1", When: machine.After, What: []string{"kubeadm"}, Do: "cut"},
		`w1 before "sh -c 'a b'" cut`:      {Node: "w1", When: machine.Before, What: []string{"sh", "-c", "'a", "b'"}, Do: "cut"},
		`w1 before "echo $HOME # \" cut`:   {Node: "w1", When: machine.Before, What: []string{"echo", "$HOME", "#", `\`}, Do: "cut"},
		`cp1 at "taken away" kill`:         {Node: "cp1", When: machine.At, What: []string{"taken", "away"}, Do: "kill"},
	} {
		want.Line = line
		got, err := ParseLine("  " + line + "\t# why\n")
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
}

func TestParseLineRefuses(t *testing.T) {
	const known = "api-down, block-budget, cut, delay-kubelet, fail-health, fail-kubelet, fill-disk, hang, kill, lock-packages, reboot, slow"
	const wanted = `: wanted NODE WHEN FAULT, such as: w1 before "apt-get install" cut`
	for line, want := range map[string]string{
		``:                            `""` + wanted,
		`# w1 start cut`:              `""` + wanted,
		`w1 start`:                    `"w1 start"` + wanted,
		`w1 before "apt-get`:          `"w1 before \"apt-get"` + wanted,
		"w1 start cut\nw2 start cut":  `"w1 start cut\nw2 start cut"` + wanted,
		`"" start cut`:                `"\"\" start cut"` + wanted,
		`w1 now cut`:                  `"w1 now cut": when is "now", wanted start, before, during, after or at`,
		`w1 before " " cut`:           `"w1 before \" \" cut": before what? Wanted a command or a point in quotes`,
		`w1 at '' cut`:                `"w1 at '' cut": at what? Wanted a command or a point in quotes`,
		`w1 before "apt-get install"`: `"w1 before \"apt-get install\"": no fault; known are ` + known,
		`w1 before apt-get install cut`: `"w1 before apt-get install cut": no such fault as "install"; known are ` +
			known,
		`w1 start explode`:               `"w1 start explode": no such fault as "explode"; known are ` + known,
		`w1 start fail-health`:           `"w1 start fail-health": fail-health wants CHECK`,
		`w1 start fail-health for 4s`:    `"w1 start fail-health for 4s": fail-health wants CHECK`,
		`w1 start fail-health ""`:        `"w1 start fail-health \"\"": fail-health wants CHECK`,
		`w1 start slow`:                  `"w1 start slow": slow wants FACTOR`,
		`w1 start block-budget`:          `"w1 start block-budget": block-budget wants NAMESPACE/NAME`,
		`w1 start reboot for`:            `"w1 start reboot for": "for" is too much`,
		`w1 start reboot twice`:          `"w1 start reboot twice": "twice" is too much`,
		`w1 start reboot for 20s please`: `"w1 start reboot for 20s please": "for 20s please" is too much`,
		`w1 start reboot for 20`:         `"w1 start reboot for 20": "20" is not a duration like 20s`,
		`w1 start reboot for -1s`:        `"w1 start reboot for -1s": "-1s" is not a duration like 20s`,
		`w1 start reboot for 0s`:         `"w1 start reboot for 0s": "0s" is not a duration like 20s`,
		`w1 start hang`:                  `"w1 start hang": hang wants a time, such as: for 20s`,
		`w1 start delay-kubelet`:         `"w1 start delay-kubelet": delay-kubelet wants a time, such as: for 20s`,
		`w1 start cut for 5s`:            `"w1 start cut for 5s": cut takes no time`,
		`w1 start kill for 5s`:           `"w1 start kill for 5s": kill takes no time`,
		`w1 start slow fast`:             `"w1 start slow fast": "fast" is not a factor like 5`,
		`w1 start slow 0`:                `"w1 start slow 0": "0" is not a factor like 5`,
		`w1 start slow -1`:               `"w1 start slow -1": "-1" is not a factor like 5`,
		`w1 start slow NaN`:              `"w1 start slow NaN": "NaN" is not a factor like 5`,
		`w1 start slow Inf`:              `"w1 start slow Inf": "Inf" is not a factor like 5`,
		`w1 start block-budget web`:      `"w1 start block-budget web": "web" is not NAMESPACE/NAME`,
		`w1 start block-budget a/b/c`:    `"w1 start block-budget a/b/c": "a/b/c" is not NAMESPACE/NAME`,
		`* start cut`:                    `"* start cut": at the start, cut wants a node`,
	} {
		_, err := ParseLine(line)
		require.EqualError(t, err, want, line)
	}
}

func TestParse(t *testing.T) {
	faults, err := Parse("# a scenario\n\n  w1 start cut # at once\r\nw2 before \"sh -c #1\" kill")
	require.NoError(t, err)
	require.Equal(t, []Fault{
		{Line: "w1 start cut", Node: "w1", When: start, Do: "cut"},
		{Line: `w2 before "sh -c #1" kill`, Node: "w2", When: machine.Before, What: []string{"sh", "-c", "#1"}, Do: "kill"},
	}, faults)
	_, err = Parse("# a scenario\n\nw1 start hang\n")
	require.EqualError(t, err, `line 3: "w1 start hang": hang wants a time, such as: for 20s`)
}

func TestDocumentedScenarios(t *testing.T) {
	files, err := filepath.Glob("../../../docs/scenarios/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		faults, err := Parse(string(text))
		require.NoError(t, err, file)
		require.NotEmpty(t, faults, file)
	}
}

func TestFaultAwaits(t *testing.T) {
	const install = "LC_ALL=C sudo -n -- apt-get install --yes --no-remove 'kubelet=1.37.2-1.1' kubectl=1.37.2-1.1"
	for _, c := range []struct {
		why, line, node string
		when            machine.When
		what            string
		want            bool
	}{
		{"before", `w1 before "apt-get install" cut`, "w1", machine.Before, install, true},
		{"before is not during", `w1 before "apt-get install" cut`, "w1", machine.During, install, false},
		{"before is not after", `w1 before "apt-get install" cut`, "w1", machine.After, install, false},
		{"during", `w1 during "apt-get install" cut`, "w1", machine.During, install, true},
		{"after", `w1 after "apt-get install" cut`, "w1", machine.After, install, true},
		{"another node", `w1 after "apt-get install" cut`, "w2", machine.After, install, false},
		{"any node", `* after "apt-get install" cut`, "w2", machine.After, install, true},
		{"sudo alone", `w1 before "apt-get install" cut`, "w1", machine.Before, "sudo -n -- apt-get install", true},
		{"no sudo", `w1 before "apt-get install" cut`, "w1", machine.Before, "apt-get install", true},
		{"sudo is not the command", `w1 before sudo cut`, "w1", machine.Before, install, false},
		{"the first word is whole", `w1 before "apt install" cut`, "w1", machine.Before, install, false},
		{"the first word is the command", `w1 before install cut`, "w1", machine.Before, install, false},
		{"others may begin a word", `w1 before "apt-get kubelet" cut`, "w1", machine.Before, install, true},
		{"and not end one", `w1 before "apt-get 1.37.2" cut`, "w1", machine.Before, install, false},
		{"in their order", `w1 before "apt-get kubelet kubectl" cut`, "w1", machine.Before, install, true},
		{"not in another", `w1 before "apt-get kubectl kubelet" cut`, "w1", machine.Before, install, false},
		{"each word once", `w1 before "apt-get kubelet kubelet" cut`, "w1", machine.Before, install, false},
		{"one that is not there", `w1 before "apt-get install kubeadm" cut`, "w1", machine.Before, install, false},
		{"an empty command", `w1 before "apt-get install" cut`, "w1", machine.Before, "", false},
		{"a point", `w1 at "kube-apiserver taken away" cut`, "w1", machine.At, "kubeadm: manifest of kube-apiserver taken away", true},
		{"another point", `w1 at "kube-apiserver taken away" cut`, "w1", machine.At, "kubeadm: manifest of etcd taken away", false},
		{"a point is no command", `w1 at "apt-get install" cut`, "w1", machine.Before, install, false},
		{"a command is no point", `w1 before "kubeadm:" cut`, "w1", machine.At, "kubeadm: manifest of etcd taken away", false},
	} {
		t.Run(c.why, func(t *testing.T) {
			f, err := ParseLine(c.line)
			require.NoError(t, err)
			require.Equal(t, c.want, f.awaits(c.node, machine.Event{When: c.when, What: c.what}))
		})
	}
}

// What is read can be read again, alone or in a scenario, and is the same.
func FuzzParseLine(f *testing.F) {
	for _, line := range []string{
		`w1 before "apt-get install" cut`, `* at 'taken away' slow 2 for 1s # why`, `cp1 start block-budget shop/web`, "w1\nstart\rcut", `"`, `w"1"'' start cut`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		fault, err := ParseLine(line)
		if err != nil {
			return
		}
		again, err := ParseLine(fault.Line)
		require.NoError(t, err)
		require.Equal(t, fault, again)
		all, err := Parse(fault.Line)
		require.NoError(t, err)
		require.Equal(t, []Fault{fault}, all)
	})
}
