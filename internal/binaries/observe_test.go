package binaries

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// observed is what is seen of one component.
func (w *world) observed(t *testing.T, component string) upgrade.Binary {
	t.Helper()
	seen, err := w.host().Observe(t.Context(), w.source(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := seen.Binary(component)
	if !ok {
		t.Fatalf("%s is not seen: %+v", component, seen)
	}
	return b
}

func TestObserveUnitsOfAllKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := freePort(t)
	u := w.component(fake{Component: upgrade.Kubelet, Version: "v1.36.3", Flags: []string{"healthz-port", "config", "feature-gates"}}, "--healthz-port="+port)
	config := w.file("etc/kubelet.yaml")
	w.write(config, "kind: KubeletConfiguration\nhealthzPort: "+port+"\nfeatureGates: {FromFile: true, Both: true}\n")
	w.write(w.file("etc/kubelet.env"), "ARGS=\"--config="+config+" --feature-gates=Both=false\"\n")
	w.write(u.fragment, "[Service]\nEnvironmentFile="+w.file("etc/kubelet.*")+"\nExecStart="+w.file("bin/kubelet")+" $ARGS\n")
	dropIn := w.file("units/10-port.conf")
	w.write(dropIn, "[Service]\nExecStart=\nExecStart="+w.file("bin/kubelet")+" $ARGS --healthz-port="+port+"\n")
	u.dropIns = []string{dropIn}
	b := w.observed(t, upgrade.Kubelet)
	if !slices.Equal(b.Flags, []string{"--config", "--feature-gates", "--healthz-port"}) || !maps.Equal(b.Gates, map[string]bool{"FromFile": true, "Both": false}) ||
		!slices.Equal(b.Config, []string{config}) || !slices.Equal(b.Unit.Files[:2], []string{u.fragment, dropIn}) || b.Problem != "" {
		t.Errorf("%+v", b)
	}
	dir, err := w.host().BackUp(t.Context(), "b", map[string]string{"note": "x"})
	if err != nil {
		t.Fatal(err)
	}
	list := w.run([]string{"tar", "-tf", dir + "/files.tar"}, nil).Stdout
	for _, file := range []string{config, dropIn, u.fragment, w.file("etc/kubelet.env")} {
		if !strings.Contains(list, strings.TrimPrefix(file, "/")) {
			t.Errorf("%s is not kept: %s", file, list)
		}
	}
	if strings.Contains(list, "bin/") {
		t.Errorf("binaries are kept: %s", list)
	}
	if again, err := w.host().BackUp(t.Context(), "b", nil); err != nil || again != dir {
		t.Errorf("%s, %v", again, err)
	}
}

// What systemd has not read yet counts.
func TestObserveDropInsThatSystemdHasNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := freePort(t)
	u := w.component(fake{Component: upgrade.KubeProxy, Version: "v1.36.3", Flags: []string{"healthz-port", "v"}}, "--healthz-port="+port)
	folder, elsewhere := w.file("units/kube-proxy.service.d"), w.file("units/proxy.d")
	for _, dir := range []string{folder, elsewhere} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	start := "[Service]\nExecStart=\nExecStart=" + w.file("bin/kube-proxy") + " --healthz-port=" + port
	w.write(folder+"/10-flags.conf", start+" --v=2\n")
	w.write(elsewhere+"/10-flags.conf", start+" --old\n")
	u.dropIns = []string{elsewhere + "/10-flags.conf"}
	for stale, want := range map[bool][]string{false: {"--healthz-port", "--old"}, true: {"--healthz-port", "--v"}} {
		if u.stale = stale; !slices.Equal(w.observed(t, upgrade.KubeProxy).Flags, want) {
			t.Errorf("%v: %v, want %v", stale, w.observed(t, upgrade.KubeProxy).Flags, want)
		}
	}
}

func TestObserveProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exec   string // of the unit; BIN is the binaries' folder
		remove bool   // the binary
		broken bool   // it does not say its version
		says   string
	}{
		"a wrapper":        {exec: "/bin/sh -c 'exec BIN/kube-proxy --x'", says: "kube-proxy.service starts /bin/sh, which is not kube-proxy itself"},
		"not there":        {exec: "BIN/kube-proxy", remove: true, says: "BIN/kube-proxy is not there"},
		"nothing":          {exec: "", says: "kube-proxy.service starts nothing"},
		"elsewhere":        {exec: "kube-proxyx", says: "starts kube-proxyx"},
		"by name alone":    {exec: "kube-proxy --healthz-port=1", says: ""},
		"no version":       {exec: "BIN/kube-proxy", broken: true, says: "exited with"},
		"an env file gone": {exec: "BIN/kube-proxy\nEnvironmentFile=/none", says: "wants /none, which is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := w.component(fake{Component: upgrade.KubeProxy, Version: "v1.36.3", Flags: []string{"healthz-port"}}, "--healthz-port="+freePort(t))
			w.write(u.fragment, "[Service]\nExecStart="+strings.ReplaceAll(c.exec, "BIN", w.file("bin"))+"\n")
			program := w.file("bin/kube-proxy")
			if c.remove || c.broken {
				if err := os.Remove(program); err != nil {
					t.Fatal(err)
				}
			}
			if c.broken {
				if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			b := w.observed(t, upgrade.KubeProxy)
			want := strings.ReplaceAll(c.says, "BIN", w.file("bin"))
			if want == "" && b.Problem != "" || !strings.Contains(b.Problem, want) {
				t.Errorf("%q, want %q", b.Problem, want)
			}
			if c.remove && b.Unit.Running != v136 { // the process still has it
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestObserveLinks(t *testing.T) {
	t.Parallel()
	w, change := server(t, "")
	program, real := w.file("bin/kube-apiserver"), w.file("etc/kube-apiserver-of-old")
	if err := os.Rename(program, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, program); err != nil {
		t.Fatal(err)
	}
	if b := w.observed(t, upgrade.APIServer); b.LinksTo != real || b.OnDisk != v136 {
		t.Errorf("%+v", b)
	}
	h := w.host()
	if err := h.Fetch(t.Context(), w.source(), change); err != nil {
		t.Fatal(err)
	}
	if err := h.Swap(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(program + ".v1.36.3"); err != nil || to != real {
		t.Errorf("the old link is not kept: %s, %v", to, err)
	}
	if v, err := parsedVersion(real); err != nil || v != v136 {
		t.Errorf("what it led to was changed: %s, %v", v, err)
	}
	if err := h.swapBack(t.Context(), "swap", mustFind(t, h, upgrade.APIServer), change, os.ErrInvalid); err == nil || !strings.Contains(err.Error(), "v1.36.3 runs again") {
		t.Errorf("%v", err)
	}
}

func mustFind(t *testing.T, h *Host, name string) component {
	t.Helper()
	c, err := h.find(t.Context(), "x", name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPIServerThatAnswersNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert, key := w.file("etc/cert.pem"), w.file("etc/key.pem")
	if r := w.run([]string{"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", cert}, nil); r.ExitCode != 0 {
		t.Skip("SKIPPED: no openssl to make a certificate with")
	}
	flags := append(slices.Clone(serverFlags), "kubelet-client-certificate", "kubelet-client-key")
	w.component(fake{Component: upgrade.APIServer, Version: "v1.36.3", Flags: flags}, "--secure-port="+freePort(t), "--anonymous-auth=false",
		"--kubelet-client-certificate="+cert, "--kubelet-client-key="+key)
	var err error
	for range 200 { // it takes a moment to listen
		if err = w.host().Healthy(t.Context(), upgrade.APIServer, v136); err == nil {
			return
		}
	}
	t.Error(err)
}

func TestParseVersion(t *testing.T) {
	for said, want := range map[string]string{
		"Kubernetes v1.37.2\n":                                                                 "v1.37.2",
		"Kubernetes v1.37.2-eks-1234\n":                                                        "v1.37.2-eks-1234",
		"Kubernetes v1.37.2+k3s1\n":                                                            "v1.37.2",
		"etcd Version: 3.6.11\nGit SHA: 1\nGo 1.2.3\n":                                         "v3.6.11",
		"etcdctl version: 3.6.11\nAPI version: 3.6\n":                                          "v3.6.11",
		"Client Version: v1.37.2\nKustomize: v5.7.1\n":                                         "v1.37.2",
		"containerd github.com/containerd/containerd/v2 v2.3.7 0123\n":                         "v2.3.7",
		"runc version 1.3.3\nspec: 1.2.1\n":                                                    "v1.3.3",
		"CNI loopback plugin v1.8.0\nCNI protocol versions supported: 0.1.0, 1.1.0\n":          "v1.8.0",
		"CNI loopback plugin version unknown\nCNI protocol versions supported: 0.1.0, 1.1.0\n": "",
		"":      "",
		"1.2\n": "",
	} {
		if v, ok := parseVersion(said); ok != (want != "") || v.String() != want {
			t.Errorf("%q: %s, want %s", said, v, want)
		}
	}
}

func TestSumOf(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for name, c := range map[string]struct{ text, want string }{
		"alone":              {a, a},
		"alone, with a line": {strings.ToUpper(a) + "\n", a},
		"of several":         {b + "  other\n" + a + "  file.tar.gz\n", a},
		"in binary mode":     {a + " *file.tar.gz\n", a},
		"with a path":        {a + "  ./out/file.tar.gz\n", a},
		"not its own":        {b + "  other\n", ""},
		"several alone":      {a + "\n" + b + "\n", ""},
		"no sum":             {"<html>", ""},
	} {
		if got, ok := sumOf(c.text, "v1/file.tar.gz"); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRefusal(t *testing.T) {
	for output, want := range map[string][2]string{
		"Error: unknown flag: --cloud-provider\n":                                                                                                     {"cloud-provider", ""},
		`E1128 run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --pod-x"`:                                                 {"pod-x", ""},
		"flag provided but not defined: -experimental-foo\nUsage:\n":                                                                                  {"experimental-foo", ""},
		`Error: invalid argument "abc" for "--secure-port" flag: strconv.ParseInt: parsing "abc": invalid syntax`:                                     {"secure-port", `strconv.ParseInt: parsing "...": invalid syntax`},
		`invalid argument "x" for "-v, --v" flag: strconv.ParseInt: parsing "x": invalid syntax`:                                                      {"v", `strconv.ParseInt: parsing "...": invalid syntax`},
		`err="failed to parse kubelet flag: invalid argument \"abc\" for \"--healthz-port\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax"`: {"healthz-port", `strconv.ParseInt: parsing "...": invalid syntax`},
		`invalid value "abc" for flag -snapshot-count: parse error`:                                                                                   {"snapshot-count", "parse error"},
		`invalid boolean value "maybe" for -force-new-cluster: parse error`:                                                                           {"force-new-cluster", "parse error"},
		"panic: something": {"", ""},
	} {
		if name, why := refusal(output); name != want[0] || why != want[1] {
			t.Errorf("%s: %q, %q", output, name, why)
		}
	}
}

func TestWhereHealthIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.file("etc/config.yaml")
	for name, c := range map[string]struct {
		component string
		flags     []string
		config    string
		want      string
	}{
		"a kubelet":                       {upgrade.Kubelet, nil, "", "127.0.0.1:10248"},
		"a kubelet's flags":               {upgrade.Kubelet, []string{"--healthz-port=1", "--healthz-bind-address=::1"}, "", "[::1]:1"},
		"a kubelet's file":                {upgrade.Kubelet, []string{"--config=" + file}, "healthzPort: 2\nhealthzBindAddress: 0.0.0.0", "127.0.0.1:2"},
		"its flags go before":             {upgrade.Kubelet, []string{"--config=" + file, "--healthz-port=3"}, "healthzPort: 2", "127.0.0.1:3"},
		"switched off":                    {upgrade.Kubelet, []string{"--config=" + file}, "healthzPort: 0", ""},
		"a kube-proxy":                    {upgrade.KubeProxy, nil, "", "127.0.0.1:10256"},
		"a kube-proxy's file":             {upgrade.KubeProxy, []string{"--config=" + file, "--healthz-port=9"}, "healthzBindAddress: 10.0.0.1:7", "10.0.0.1:7"},
		"a kube-proxy's flags":            {upgrade.KubeProxy, []string{"--healthz-bind-address=10.0.0.1:8"}, "", "10.0.0.1:8"},
		"a kube-proxy's file, an address": {upgrade.KubeProxy, []string{"--config=" + file}, "healthzBindAddress: '::'", "127.0.0.1:10256"},
	} {
		w.write(file, c.config)
		k, _ := kindOf(c.component)
		got, err := w.host().plainHealthz(t.Context(), component{kind: k, Binary: upgrade.Binary{Component: c.component}, flags: parseFlags(c.flags)})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	for flags, want := range map[string]string{
		"": "https://10.0.0.9:6443", "--bind-address=0.0.0.0 --secure-port=1": "https://10.0.0.9:1", "--bind-address=::": "https://10.0.0.9:6443",
		"--bind-address=10.0.0.1": "https://10.0.0.1:6443", "--secure-port=0": "",
	} {
		if got := secure(component{flags: parseFlags(strings.Fields(flags))}, "6443", "10.0.0.9"); got != want {
			t.Errorf("%s: %q, want %q", flags, got, want)
		}
	}
	for _, c := range []struct {
		s    etcdSettings
		want string
	}{
		{etcdSettings{}, "http://127.0.0.1:2379"},
		{etcdSettings{Advertise: "https://10.0.0.1:2379,https://x:1"}, "https://10.0.0.1:2379"},
		{etcdSettings{Listen: "https://0.0.0.0:4001"}, "https://127.0.0.1:4001"},
	} {
		if got := clientURL(c.s); got != c.want {
			t.Errorf("%+v: %q", c.s, got)
		}
	}
}
