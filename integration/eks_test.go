package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/eks/fake"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// eks serves an EKS cluster of 1.34 that may go to 1.37, with three add-ons and two node groups.
func eks(t *testing.T) *fake.EKS {
	t.Helper()
	minors := func(from, to int) (all []string) {
		for n := from; n <= to; n++ {
			all = append(all, fmt.Sprintf("1.%d", n))
		}
		return all
	}
	e := fake.New("managed", "1.34", minors(33, 37)...)
	e.Lasting = 3
	e.AddAddon("coredns",
		fake.AddonVersion{Version: "v1.12.1-eksbuild.1", For: minors(36, 37), Default: minors(37, 37)},
		fake.AddonVersion{Version: "v1.11.4-eksbuild.10", For: minors(34, 36), Default: minors(35, 36)},
		fake.AddonVersion{Version: "v1.11.4-eksbuild.2", For: minors(33, 34), Default: minors(34, 34)})
	e.Addons["coredns"].Version = "v1.11.4-eksbuild.2"
	e.Addons["coredns"].Config = `{"replicaCount":3}`
	var proxies []fake.AddonVersion
	for n := 37; n >= 33; n-- {
		proxies = append(proxies, fake.AddonVersion{Version: fmt.Sprintf("v1.%d.1-eksbuild.2", n), For: minors(n, n), Default: minors(n, n)})
	}
	e.AddAddon("kube-proxy", proxies...)
	e.Addons["kube-proxy"].Version = "v1.34.1-eksbuild.2"
	e.AddGroup("blue")
	e.AddGroup("green")
	e.Start()
	t.Cleanup(e.Close)
	return e
}

// managed is a stage whose control plane EKS runs, as far as pawl can see: its API is the simulated cluster's.
func managed(t *testing.T, e *fake.EKS, settings string) *stage {
	t.Helper()
	s := newStageAlone(t, "managed", bed.Options{ControlPlanes: 1, Workers: 2, Version: upgrade.MustVersion("v1.34.4"), Provider: upgrade.ProviderEKS},
		"eks: {name: managed, region: eu-north-1, endpoint: \""+e.URL+"\"}\n"+settings)
	for _, n := range []string{"cp1", "w1", "w2"} {
		_, err := s.Client().CoreV1().Nodes().Patch(t.Context(), n, types.MergePatchType, []byte(`{"metadata":{"labels":{"eks.amazonaws.com/nodegroup":"blue"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	return s
}

// TestManagedThreeMinors: add-ons, control plane and node groups over three minors by EKS' own updates, server and worker being
// killed in each kind of step. One of the updates fails, and a person has it tried again.
func TestManagedThreeMinors(t *testing.T) {
	t.Parallel()
	e := eks(t)
	e.Groups["green"].Blocked = true // its pods do not leave within their budgets
	s := managed(t, e, "controlPlane: {bake: 1s}\n")
	out, code := s.pawl("plan", "managed", "--to", "1.37")
	require.Equal(t, 0, code, out)
	for _, want := range []string{"managed: v1.34 -> v1.35 -> v1.36 -> v1.37, 3 hops", "addon/coredns: update add-on", "control-plane: update control plane", "Node groups, updated by eks, one after another", "nodegroup/blue, nodegroup/green: update node group"} {
		require.Contains(t, out, want)
	}
	require.Empty(t, e.Updates, "a plan changes nothing")

	out, code = s.pawl("start", "managed", "--to", "v1.37")
	require.Equal(t, 0, code, out)
	stop := s.killInEveryStep()
	s.held("nodegroup/green", "PodEvictionFailure")
	s.say("trying again, by force", "skip-drain", "managed", "nodegroup/green", "--reason", "their owner agrees")
	s.watch(0)
	t.Logf("killed in %v", stop())

	require.Equal(t, upgrade.Done, s.report().State)
	var began []string
	e.Do(func() {
		require.Equal(t, "1.37", e.Version)
		require.Equal(t, []string{"1.37", "1.37"}, []string{e.Groups["blue"].Version, e.Groups["green"].Version})
		require.Equal(t, []string{"v1.12.1-eksbuild.1", "v1.37.1-eksbuild.2"}, []string{e.Addons["coredns"].Version, e.Addons["kube-proxy"].Version})
		require.Equal(t, `{"replicaCount":3}`, e.Addons["coredns"].Config, "its settings are kept")
		for _, u := range e.Updates {
			began = append(began, strings.TrimSpace(u.Part+" "+u.Status))
		}
	})
	counts := map[string]int{}
	for _, u := range began {
		counts[u]++
	}
	require.Equal(t, 3, counts["Successful"], "each minor of the control plane once: %v", began)
	require.Equal(t, 1, counts["group/blue Successful"], "%v", began)
	require.Equal(t, 1, counts["group/green Successful"], "%v", began)
	require.Equal(t, 1, counts["group/green Failed"], "%v", began)
	require.Equal(t, 3, counts["addon/kube-proxy Successful"], "%v", began)
	require.Less(t, slices.Index(began, "group/blue Successful"), slices.Index(began, "group/green Failed"), "one after another")
}

// TestManagedIsRefused: by an insight's error; and what was not upgraded cannot go back.
func TestManagedIsRefused(t *testing.T) {
	t.Parallel()
	e := eks(t)
	e.Insights = append(e.Insights, &fake.Insight{ID: "i-1", Name: "Deprecated APIs", Category: "UPGRADE_READINESS", Status: "ERROR", Version: "1.35", Reason: "2 objects of v1beta1"})
	s := managed(t, e, "")
	out, code := s.pawl("start", "managed", "--to", "v1.35.0")
	require.Equal(t, 10, code, out)
	require.Contains(t, out, "Deprecated APIs")
	out, code = s.pawl("rollback", "managed")
	require.Equal(t, 10, code, out)
	require.Contains(t, out, "so that it cannot go back")
	require.Empty(t, e.Updates)
}

func TestManagedGoesBack(t *testing.T) {
	t.Parallel()
	e := fake.New("managed", "1.35", "1.34", "1.35", "1.36")
	e.Lasting, e.Upgraded = 3, true
	e.Updates = []*fake.Update{{ID: "u-before", Type: "VersionUpdate", Status: "Successful", Params: [][2]string{{"Version", "1.35"}}, Created: time.Now().Add(-time.Hour)}}
	e.AddGroup("blue").Version = "1.34"
	e.Start()
	t.Cleanup(e.Close)
	s := managed(t, e, "")
	out, code := s.pawl("rollback", "managed", "--watch")
	require.Equal(t, 0, code, out)
	require.Equal(t, upgrade.Done, s.report().State)
	e.Do(func() {
		require.Equal(t, "1.34", e.Version)
		require.Len(t, e.Updates, 2)
	})
}
