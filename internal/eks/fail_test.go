package eks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
	"github.com/pawl-dev/pawl/internal/eks/fake"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// verbs are the changes, each with the part that it is of, and how it is called under a key.
var verbs = map[string]struct {
	part string
	call func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error)
}{
	"control plane": {"", func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error) {
		return k.UpgradeControlPlane(ctx, key, v("1.35"), false)
	}},
	"roll back": {"", func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error) {
		return k.RollBackControlPlane(ctx, key, v("1.33"), false)
	}},
	"add-on": {"addon/vpc-cni", func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error) {
		return k.UpgradeAddon(ctx, key, "vpc-cni", "v1.20.4-eksbuild.2")
	}},
	"node group": {"group/blue", func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error) {
		return k.UpgradeNodeGroup(ctx, key, "blue", v("1.34"), false)
	}},
	"custom node group": {"group/green", func(ctx context.Context, k *Cluster, key string) (upgrade.ManagedOutcome, error) {
		return k.UpgradeNodeGroup(ctx, key, "green", v("1.34"), false)
	}},
}

// ready is a cluster in which every verb has something to do.
func ready() *fake.EKS {
	e := prod()
	e.Upgraded = true
	e.Groups["blue"].Version = "1.33"
	return e
}

// TestEachFailure: an update that fails ends the call with the reason, and is not begun again under the same key, but under
// another.
func TestEachFailure(t *testing.T) {
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			for _, code := range types.ErrorCode("").Values() {
				e := ready()
				e.FailNext[verb.part] = []string{string(code)}
				k := start(t, e)
				for range 2 { // the second as after a lost answer
					_, err := verb.call(t.Context(), k, "run/1")
					want := ends[code]
					require.NotEmpty(t, want.remedy, "%s is not known", code)
					require.Equal(t, want.kind, fault.KindOf(err), "%s: %v", code, err)
					require.ErrorContains(t, err, fmt.Sprintf("update update-1 is Failed, %s: about %s (resource-1); %s", code, code, want.remedy))
					require.Len(t, e.Updates, 1, "no second one is begun")
					k = at(t, e.URL, Config{Name: "prod"})
				}
				out, err := verb.call(t.Context(), k, "run/2")
				require.NoError(t, err)
				require.Equal(t, "update-2", out.Update)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	e := ready()
	e.FailNext[""] = []string{"Cancelled"}
	_, err := verbs["roll back"].call(t.Context(), start(t, e), "run/1")
	require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
	require.ErrorContains(t, err, "update update-1 is Cancelled; somebody cancelled it")
}

// TestDoneAlready: what is there already is not done.
func TestDoneAlready(t *testing.T) {
	for name, verb := range verbs {
		e := ready()
		k := start(t, e)
		first, err := verb.call(t.Context(), k, "run/1")
		require.NoError(t, err, name)
		require.NotEmpty(t, first.Update, name)
		again, err := verb.call(t.Context(), at(t, e.URL, Config{Name: "prod"}), "run/2")
		require.NoError(t, err, name)
		require.Equal(t, upgrade.ManagedOutcome{Version: first.Version}, again, name)
		require.Len(t, e.Updates, 1, name)

		e.Do(func() { e.Begin(verb.part, "ConfigUpdate", [][2]string{{"MinSize", "1"}}, nil) })
		again, err = verb.call(t.Context(), at(t, e.URL, Config{Name: "prod"}), "run/2")
		require.NoError(t, err, "%s: somebody else's update does not matter any more", name)
		require.Equal(t, upgrade.ManagedOutcome{Version: first.Version}, again, name)
	}
}

// TestAnothersUpdate: one that leads to the same is followed to its end; another is named, and left alone.
func TestAnothersUpdate(t *testing.T) {
	same := map[string][][2]string{
		"control plane": {{"Version", "1.35"}}, "roll back": {{"Version", "1.33"}}, "add-on": {{"AddonVersion", "v1.20.4-eksbuild.2"}},
		"node group": {{"Version", "1.34"}, {"ReleaseVersion", "x"}}, "custom node group": {{"LaunchTemplateVersion", "2"}},
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			e := ready()
			kind := map[string]string{"roll back": "VersionRollback", "add-on": "AddonUpdate"}[name]
			if kind == "" {
				kind = "VersionUpdate"
			}
			params := same[name]
			e.Begin(verb.part, kind, params, func() string {
				e.Version = "1.3" + params[0][1][len(params[0][1])-1:]
				if verb.part != "" {
					e.Version = "1.34"
				}
				e.Addons["vpc-cni"].Version, e.Groups["blue"].Version, e.Groups["green"].TemplateVersion = "v1.20.4-eksbuild.2", "1.34", "2"
				return ""
			})
			out, err := verb.call(t.Context(), start(t, e), "run/1")
			require.NoError(t, err)
			require.True(t, out.Adopted)
			require.Equal(t, "update-1", out.Update)
			require.Len(t, e.Updates, 1)

			e = ready()
			e.Begin(verb.part, "ConfigUpdate", [][2]string{{"MinSize", "1"}}, nil)
			_, err = verb.call(t.Context(), start(t, e), "run/1")
			require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
			require.ErrorContains(t, err, "somebody else's ConfigUpdate update-1 is under way; wait for its end, then retry")
			require.Len(t, e.Updates, 1)
		})
	}
}

// TestSomebodyWasFaster: another begins the same, or something else, between the look and the request.
func TestSomebodyWasFaster(t *testing.T) {
	for kind, params := range map[string][][2]string{"VersionUpdate": {{"Version", "1.35"}}, "LoggingUpdate": {{"ClusterLogging", "api"}}} {
		e := ready()
		e.Decide = func(_ int, action string) fate.Fate {
			if action == "UpdateClusterVersion" && len(e.Updates) == 0 {
				e.Begin("", kind, params, func() string {
					if kind == "VersionUpdate" {
						e.Version = "1.35"
					}
					return ""
				})
			}
			return fate.Answered
		}
		out, err := verbs["control plane"].call(t.Context(), start(t, e), "run/1")
		if kind == "VersionUpdate" {
			require.NoError(t, err)
			require.True(t, out.Adopted)
			continue
		}
		require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
		require.ErrorContains(t, err, "somebody else's LoggingUpdate update-1")
	}
}

// TestEKSIsBusyByItself: EKS replaces its own machines without showing it, and refuses updates meanwhile.
func TestEKSIsBusyByItself(t *testing.T) {
	e := ready()
	e.Hidden = 30
	out, err := verbs["control plane"].call(t.Context(), start(t, e), "run/1")
	require.NoError(t, err)
	require.Equal(t, "v1.35", out.Version)
	require.Len(t, e.Updates, 1)

	e = ready()
	e.Hidden = 1 << 30
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = verbs["control plane"].call(ctx, start(t, e), "run/1")
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(err))
	require.ErrorContains(t, err, "EKS is busy with it: Cannot VersionUpdate")
}

// TestRefusals: what EKS, or the adapter, refuses before anything is begun.
func TestRefusals(t *testing.T) {
	up := func(to string, force bool) func(context.Context, *Cluster) error {
		return func(ctx context.Context, k *Cluster) error {
			_, err := k.UpgradeControlPlane(ctx, "run/1", v(to), force)
			return err
		}
	}
	for name, c := range map[string]struct {
		change func(*fake.EKS)
		call   func(context.Context, *Cluster) error
		kind   fault.Kind
		want   string
	}{
		"a minor is skipped":         {nil, up("1.36", false), fault.PreflightFailed, "it is v1.34, and goes one minor at a time"},
		"EKS has upgraded by itself": {func(e *fake.EKS) { e.Version = "1.36" }, up("1.35", false), fault.PreflightFailed, "it is v1.36 already: somebody else, or EKS itself, has upgraded it"},
		"not offered":                {func(e *fake.EKS) { e.Offered = minors(33, 34) }, up("1.35", false), fault.PreflightFailed, "AWS says InvalidParameterException: unsupported Kubernetes version"},
		"an insight forbids": {func(e *fake.EKS) {
			e.Insights = []*fake.Insight{{ID: "i", Category: "UPGRADE_READINESS", Status: "ERROR", Version: "1.35"}}
		}, up("1.35", false), fault.PreflightFailed, "AWS says InvalidStateException: Amazon EKS detected readiness issues; see the cluster's insights; start with --waive managed-insight"},
		"a group is behind":   {func(e *fake.EKS) { e.Strict = true }, up("1.35", false), fault.PreflightFailed, "Nodegroups blue must be updated to match"},
		"it is being deleted": {func(e *fake.EKS) { e.Gone = "DELETING" }, up("1.35", false), fault.PreflightFailed, "it is DELETING"},
		"no such cluster":     {func(e *fake.EKS) { e.Name = "other" }, up("1.35", false), fault.NotFound, "No cluster found for name: prod.; put name, region or profile right"},
		"a permission lacks":  {func(e *fake.EKS) { e.Forbidden["UpdateClusterVersion"] = true }, up("1.35", false), fault.Unauthorized, "not authorised to perform eks:UpdateClusterVersion; docs/eks.md lists the permissions"},
		"back by two": {nil, func(ctx context.Context, k *Cluster) error {
			_, err := k.RollBackControlPlane(ctx, "run/1", v("1.32"), false)
			return err
		}, fault.PreflightFailed, "it is v1.34, and goes back by one minor only"},
		"never upgraded": {func(e *fake.EKS) { e.Upgraded = false }, func(ctx context.Context, k *Cluster) error {
			_, err := k.RollBackControlPlane(ctx, "run/1", v("1.33"), false)
			return err
		}, fault.PreflightFailed, "AWS says InvalidRequestException: Cluster cannot be rolled back to 1.33"},
		"no such add-on": {nil, func(ctx context.Context, k *Cluster) error {
			_, err := k.UpgradeAddon(ctx, "run/1", "none", "v1")
			return err
		}, fault.NotFound, "No addon: none found"},
		"no such version": {nil, func(ctx context.Context, k *Cluster) error {
			_, err := k.UpgradeAddon(ctx, "run/1", "vpc-cni", "v1.99.0")
			return err
		}, fault.PreflightFailed, "Addon version specified is not supported"},
		"nodes newer than the control plane": {nil, func(ctx context.Context, k *Cluster) error {
			_, err := k.UpgradeNodeGroup(ctx, "run/1", "blue", v("1.35"), false)
			return err
		}, fault.PreflightFailed, "is newer than cluster version 1.34"},
		"no launch template": {func(e *fake.EKS) { delete(e.Templates, "lt-1") }, func(ctx context.Context, k *Cluster) error {
			_, err := k.UpgradeNodeGroup(ctx, "run/1", "green", v("1.34"), false)
			return err
		}, fault.PreflightFailed, "InvalidLaunchTemplateId.NotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			e := ready()
			if c.change != nil {
				c.change(e)
			}
			k := start(t, e)
			e.Do(func() {}) // settles what is shown
			_, _ = k.Observe(t.Context(), v("1.37"))
			err := c.call(t.Context(), k)
			require.Equal(t, c.kind, fault.KindOf(err), "%v", err)
			require.ErrorContains(t, err, c.want)
			require.Empty(t, e.Updates)
			require.NotContains(t, err.Error(), "\n")
		})
	}
	forced := ready()
	forced.Insights = []*fake.Insight{{ID: "i", Category: "UPGRADE_READINESS", Status: "ERROR", Version: "1.35"}}
	require.NoError(t, up("1.35", true)(t.Context(), start(t, forced)))
}

// TestUpgradedByItselfMeanwhile: EKS has brought the control plane to where it was to go.
func TestUpgradedByItselfMeanwhile(t *testing.T) {
	e := ready()
	k := start(t, e)
	e.Do(func() { e.Version = "1.35" })
	_, err := k.Observe(t.Context(), v("1.37"))
	require.NoError(t, err)
	out, err := verbs["control plane"].call(t.Context(), k, "run/1")
	require.NoError(t, err)
	require.Equal(t, upgrade.ManagedOutcome{Version: "v1.35"}, out)
	require.Empty(t, e.Updates)
}

// TestForce ends pods that do not leave.
func TestForce(t *testing.T) {
	e := ready()
	e.Groups["blue"].Blocked = true
	k := start(t, e)
	_, err := k.UpgradeNodeGroup(t.Context(), "run/1", "blue", v("1.34"), false)
	require.ErrorContains(t, err, "PodEvictionFailure")
	require.ErrorContains(t, err, "then retry; or pawl skip-drain")
	_, err = k.UpgradeNodeGroup(t.Context(), "run/1", "blue", v("1.34"), true)
	require.NoError(t, err)
	require.Equal(t, 1, e.Groups["blue"].Replaced)
}

func TestSickAfterwards(t *testing.T) {
	e := ready()
	e.Groups["blue"].Status, e.Groups["blue"].Issues = "DEGRADED", []string{"NodeCreationFailure"}
	e.Addons["vpc-cni"].Status = "DEGRADED"
	k := start(t, e)
	for name, want := range map[string]string{
		"node group": "it is DEGRADED, NodeCreationFailure: about NodeCreationFailure (resource-1); put it right, then retry",
		"add-on":     "it is DEGRADED, InsufficientNumberOfReplicas: about InsufficientNumberOfReplicas (resource-1); put it right, then retry",
	} {
		_, err := verbs[name].call(t.Context(), k, "run/1")
		require.Equal(t, fault.VerificationFailed, fault.KindOf(err), name)
		require.ErrorContains(t, err, want)
	}
}

// TestTooFewAddresses: an update that EKS begins, and reverts.
func TestTooFewAddresses(t *testing.T) {
	e := ready()
	e.Subnets = map[string]int{"subnet-a": 4}
	_, err := verbs["control plane"].call(t.Context(), start(t, e), "run/1")
	require.Equal(t, fault.PreflightFailed, fault.KindOf(err))
	require.ErrorContains(t, err, "upgrade the control plane to v1.35 of cluster prod: update update-1 is Failed, IpNotAvailable: about IpNotAvailable (resource-1); free addresses in the subnets, or add another")
	require.Equal(t, "1.34", e.Version)
}

func TestRefusalsAreClassified(t *testing.T) {
	for code, kind := range map[string]fault.Kind{
		"AccessDeniedException": fault.Unauthorized, "ExpiredTokenException": fault.Unauthorized, "ThrottlingException": fault.Conflict, "ResourceInUseException": fault.Conflict,
		"ResourceNotFoundException": fault.NotFound, "InvalidParameterException": fault.PreflightFailed, "ResourceLimitExceededException": fault.PreflightFailed,
		"InvalidStateException": fault.PreflightFailed, "ClientException": fault.Unexpected,
	} {
		require.Equal(t, kind, fault.KindOf(changed("do", "it", &smithy.GenericAPIError{Code: code})), code)
	}
	down := &types.ServiceUnavailableException{}
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(changed("do", "it", down)))
	require.Equal(t, fault.Unreachable, fault.KindOf(looked("do", "it", down)))
	require.Equal(t, fault.Unreachable, fault.KindOf(looked("do", "it", errors.New("dial tcp"))))
	require.LessOrEqual(t, len(clip(strings.Repeat("é", 500))), textKept+3)
}
