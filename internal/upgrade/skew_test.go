package upgrade

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func release(minor int) Version { return MustVersion(fmt.Sprintf("v1.%d.0", minor)) }

// TestAllowedMinors: the policy's own examples, each with the page it is from.
func TestAllowedMinors(t *testing.T) {
	const policy = "https://kubernetes.io/releases/version-skew-policy/"
	const historic = "the policy of 2018, in its example of v1.10"
	for _, c := range []struct {
		component string
		servers   []int
		from, to  int
		source    string
	}{
		{ControllerManager, []int{10}, 9, 10, historic},
		{Scheduler, []int{10}, 9, 10, historic},
		{Kubelet, []int{10}, 8, 10, historic},
		{KubeProxy, []int{10}, 8, 10, historic},
		{Kubectl, []int{10}, 9, 11, historic},

		{APIServer, []int{37}, 36, 38, policy + "#kube-apiserver"},
		{Kubelet, []int{37}, 34, 37, policy + "#kubelet"},
		{Kubelet, []int{36, 37}, 34, 36, policy + "#kubelet: not newer than the oldest API server that it may reach"},
		{KubeProxy, []int{37}, 34, 37, policy + "#kube-proxy"},
		{KubeProxy, []int{36, 37}, 34, 36, policy + "#kube-proxy"},
		{ControllerManager, []int{37}, 36, 37, policy + "#kube-controller-manager-kube-scheduler-and-cloud-controller-manager"},
		{Scheduler, []int{36, 37}, 36, 36, policy + "#kube-controller-manager-kube-scheduler-and-cloud-controller-manager"},
		{CloudControllerManager, []int{37}, 36, 37, policy + "#kube-controller-manager-kube-scheduler-and-cloud-controller-manager"},
		{Kubectl, []int{37}, 36, 38, policy + "#kubectl"},
		{Kubectl, []int{36, 37}, 36, 37, policy + "#kubectl"},

		{Kubelet, []int{24}, 22, 24, policy + "#kubelet: a kubelet before v1.25 may be two behind"},
		{Kubelet, []int{26}, 24, 26, policy + "#kubelet: v1.24 may be two behind, v1.23 not three"},
		{Kubelet, []int{27}, 25, 27, policy + "#kubelet: v1.24 may not be three behind"},
		{Kubelet, []int{28}, 25, 28, policy + "#kubelet: v1.25 is the first that may be three behind"},
		{Kubelet, []int{1}, 0, 1, "there is nothing before v1.0"},
	} {
		var servers []Version
		for _, minor := range c.servers {
			servers = append(servers, release(minor))
		}
		from, to := AllowedMinors(c.component, servers...)
		require.Equal(t, release(c.from), from, "%s beside %v: %s", c.component, servers, c.source)
		require.Equal(t, release(c.to), to, "%s beside %v: %s", c.component, servers, c.source)
	}
}

// TestAllowsForEveryMinor holds the engine against the rules written out, for every pair of minors from v1.10 to v1.37.
func TestAllowsForEveryMinor(t *testing.T) {
	for server := 10; server <= 37; server++ {
		for minor := 5; minor <= 40; minor++ {
			behind := server - minor
			kubelet := behind >= 0 && (behind <= 2 || behind == 3 && minor >= 25)
			for component, want := range map[string]bool{
				APIServer: behind >= -1 && behind <= 1, ControllerManager: behind == 0 || behind == 1, Scheduler: behind == 0 || behind == 1,
				CloudControllerManager: behind == 0 || behind == 1, Kubelet: kubelet, KubeProxy: kubelet, Kubectl: behind >= -1 && behind <= 1,
				"etcd": true, "coredns": true,
			} {
				require.Equal(t, want, Allows(component, release(minor), release(server)), "%s v1.%d beside v1.%d", component, minor, server)
			}
		}
	}
	require.False(t, Allows(Kubelet, MustVersion("v1.37.0"), MustVersion("v2.37.0")), "nothing is allowed across a major version")
}

func TestSupported(t *testing.T) {
	for newest, want := range map[int][]int{12: {10, 11, 12}, 13: {11, 12, 13}, 37: {35, 36, 37}} {
		var got []int
		for minor := newest - 5; minor <= newest+1; minor++ {
			if Supported(release(minor), release(newest)) {
				got = append(got, minor)
			}
		}
		require.Equal(t, want, got, "when v1.%d is the newest", newest)
	}
}

func TestWayFromV110ToV113(t *testing.T) {
	c := healthy(1, 1)
	for i := range c.Nodes {
		c.Nodes[i] = nodeAt(c.Nodes[i].Name, c.Nodes[i].ControlPlane, MustVersion("v1.10.0"))
	}
	c.Version = MustVersion("v1.10.0")
	offer(&c, "v1.11.0", "v1.12.0", "v1.13.0")
	p := MakePlan(c, Wanted{Target: MustVersion("v1.13.0")}, settings())
	require.Empty(t, p.Findings)
	require.Equal(t, [][2]Version{{release(10), release(11)}, {release(11), release(12)}, {release(12), release(13)}}, moves(p))

	offer(&c, "v1.13.0")
	p = MakePlan(c, Wanted{Target: MustVersion("v1.13.0")}, settings())
	require.True(t, p.Refused(), "directly is refused")
	require.Contains(t, p.Errors()[0].String(), "the way to v1.13.0 goes through v1.11")
}

func TestCheckSkew(t *testing.T) {
	at := func(component, node, v string) Instance { return Instance{component, node, MustVersion(v)} }
	for name, c := range map[string]struct {
		all  []Instance
		want []string
	}{
		"no API server": {[]Instance{at(Kubelet, "w1", "v1.10.0")}, nil},
		"all in order": {[]Instance{at(APIServer, "cp1", "v1.37.2"), at(APIServer, "cp2", "v1.36.3"), at(ControllerManager, "cp1", "v1.36.3"),
			at(Kubelet, "w1", "v1.34.0"), at(KubeProxy, "w1", "v1.36.3"), at(Kubectl, "w1", "v1.37.2"), at("etcd", "cp1", "v3.7.0")}, nil},
		"API servers apart": {[]Instance{at(APIServer, "cp1", "v1.37.2"), at(APIServer, "cp2", "v1.35.4")}, []string{
			"kube-apiserver on cp1 is v1.37.2; API servers may be one minor apart, these are 2: v1.35.4 to v1.37.2",
			"kube-apiserver on cp2 is v1.35.4; API servers may be one minor apart, these are 2: v1.35.4 to v1.37.2"}},
		"old kubelet": {[]Instance{at(APIServer, "cp1", "v1.37.2"), at(Kubelet, "w1", "v1.33.0")},
			[]string{"kubelet on w1 is v1.33.0; v1.34 to v1.37 are allowed beside kube-apiserver v1.37.2"}},
		"kubelet newer than the oldest API server": {[]Instance{at(APIServer, "cp1", "v1.37.2"), at(APIServer, "cp2", "v1.36.3"), at(Kubelet, "w1", "v1.37.2")},
			[]string{"kubelet on w1 is v1.37.2; v1.34 to v1.36 are allowed beside kube-apiserver v1.36.3 and v1.37.2"}},
		"newer scheduler": {[]Instance{at(APIServer, "cp1", "v1.36.3"), at(Scheduler, "cp1", "v1.37.2")},
			[]string{"kube-scheduler on cp1 is v1.37.2; v1.35 to v1.36 are allowed beside kube-apiserver v1.36.3"}},
		"old kubectl": {[]Instance{at(APIServer, "cp1", "v1.37.2"), at(Kubectl, "w1", "v1.35.4")},
			[]string{"kubectl on w1 is v1.35.4; v1.36 to v1.38 are allowed beside kube-apiserver v1.37.2"}},
		"kube-proxy far from its kubelet": {[]Instance{at(APIServer, "cp1", "v1.26.0"), at(Kubelet, "w1", "v1.27.0"), at(KubeProxy, "w1", "v1.24.0")}, []string{
			"kubelet on w1 is v1.27.0; v1.24 to v1.26 are allowed beside kube-apiserver v1.26.0",
			"kube-proxy on w1 is v1.24.0; at most 2 minors from its node's kubelet, v1.27.0, are allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, v := range CheckSkew(c.all) {
				got = append(got, v.String())
				require.Contains(t, v.Source, "https://kubernetes.io/releases/version-skew-policy/#")
			}
			require.Equal(t, c.want, got)
		})
	}
}
