package kube

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestAdditions runs Jobs of hooks and fetches objects for health gates on a simulated cluster, whose API and Job
// controller are the real ones.
func TestAdditions(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 1, Workers: 2})
	t.Run("jobs", func(t *testing.T) { checkJobs(t, b, c) })
	t.Run("objects", func(t *testing.T) { checkObjects(t, c) })
}

// manifest is that of a Job that runs a line of shell.
func manifest(line string) []byte {
	return []byte(`apiVersion: batch/v1
kind: Job
metadata: {name: smoke-test, namespace: shop}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: test, image: registry.example.com/test, command: [sh, -c, '` + line + `']}
`)
}

func checkJobs(t *testing.T, b *bed.Bed, c *Cluster) {
	jobs := func() []string {
		list, err := b.Client().BatchV1().Jobs("shop").List(context.WithoutCancel(t.Context()), metav1.ListOptions{})
		require.NoError(t, err)
		var names []string
		for _, j := range list.Items {
			names = append(names, j.Name)
		}
		return names
	}
	env := []string{"PAWL_NODE=w1", "PAWL_TO=$(HOME)"}
	t.Run("one that ends well, asked for twice, runs once", func(t *testing.T) {
		for range 2 {
			said, err := c.RunJob(t.Context(), manifest(`echo one; echo "$PAWL_NODE to $PAWL_TO"`), "aaa", "run/1", env, time.Minute)
			require.NoError(t, err)
			require.Equal(t, "one | w1 to $(HOME)", said)
		}
		require.Equal(t, []string{"smoke-test-aaa"}, jobs())
	})
	t.Run("one that is begun is found again", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		slow := manifest(`sleep 200; echo end`) // 2 s at this pace
		_, err := c.RunJob(ctx, slow, "bbb", "run/2", env, 5*time.Minute)
		require.True(t, fault.Is(err, fault.OutcomeUnknown, fault.Unreachable), "%v", err)
		said, err := c.RunJob(t.Context(), slow, "bbb", "run/2", env, 5*time.Minute)
		require.NoError(t, err)
		require.Equal(t, "end", said)
		require.Len(t, jobs(), 2)
	})
	t.Run("one that fails", func(t *testing.T) {
		for range 2 {
			_, err := c.RunJob(t.Context(), manifest(`echo "no route"; exit 3`), "ccc", "run/3", env, time.Minute)
			require.True(t, fault.Is(err, fault.HookFailed), "%v", err)
			require.ErrorContains(t, err, "run the Job shop/smoke-test-ccc: it failed (BackoffLimitExceeded: Job has reached the specified backoff limit): no route")
		}
		require.Len(t, jobs(), 3)
	})
	t.Run("one that takes too long", func(t *testing.T) {
		_, err := c.RunJob(t.Context(), manifest(`sleep 100000`), "ddd", "run/4", env, 2*time.Second)
		require.True(t, fault.Is(err, fault.HookFailed), "%v", err)
		require.ErrorContains(t, err, "DeadlineExceeded")
	})
	t.Run("another's of the same name", func(t *testing.T) {
		_, err := c.RunJob(t.Context(), manifest(`true`), "aaa", "run/5", env, time.Minute)
		require.ErrorContains(t, err, "there is another Job of that name; delete it, or rename the hook")
	})
	t.Run("one that is started again where it fails", func(t *testing.T) {
		text := strings.Replace(string(manifest(`exit 1`)), "restartPolicy: Never", "restartPolicy: OnFailure", 1)
		_, err := c.RunJob(t.Context(), []byte(text), "eee", "run/6", env, time.Minute)
		require.ErrorContains(t, err, "BackoffLimitExceeded")
	})
	before := jobs()
	t.Run("manifests", func(t *testing.T) {
		require.NoError(t, c.CheckJob(t.Context(), manifest("true")))
		for text, want := range map[string]string{
			"{": "wanted one manifest of a batch/v1 Job",
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}":                                   "it is a v1 Pod, wanted a batch/v1 Job",
			"apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {templates: {}}":      `unknown field "templates"; wanted one manifest of a batch/v1 Job`,
			strings.Replace(string(manifest("x")), "Never", "Always", 1):                       `spec.template.spec.restartPolicy: Required value`,
			strings.Replace(string(manifest("x")), "namespace: shop", "namespace: nowhere", 1): "namespaces \"nowhere\" not found",
		} {
			err := c.CheckJob(t.Context(), []byte(text))
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		}
	})
	require.Equal(t, before, jobs(), "a check makes none")
}

func checkObjects(t *testing.T, c *Cluster) {
	web := upgrade.Objects{APIVersion: "apps/v1", Kind: "Deployment", Namespace: bed.Namespace, Name: "web"}
	one, err := c.Objects(t.Context(), web)
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, "web", one[0]["metadata"].(map[string]any)["name"])
	require.Contains(t, one[0]["status"], "readyReplicas")
	web.Name = "nothing"
	none, err := c.Objects(t.Context(), web)
	require.NoError(t, err)
	require.Empty(t, none)
	pods, err := c.Objects(t.Context(), upgrade.Objects{APIVersion: "v1", Kind: "Pod", Namespace: bed.Namespace, Selector: "k8s-app=web"})
	require.NoError(t, err)
	require.Len(t, pods, 3)
	everywhere, err := c.Objects(t.Context(), upgrade.Objects{APIVersion: "v1", Kind: "Pod"})
	require.NoError(t, err)
	require.Greater(t, len(everywhere), len(pods))
	nodes, err := c.Objects(t.Context(), upgrade.Objects{APIVersion: "v1", Kind: "Node"})
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	for want, o := range map[string]upgrade.Objects{
		"look at Gadget: the cluster has no kind Gadget in example.com/v1":              {APIVersion: "example.com/v1", Kind: "Gadget"},
		"look at Node shop/w1: objects of this kind are in no namespace":                {APIVersion: "v1", Kind: "Node", Namespace: "shop", Name: "w1"},
		"look at Pod web: it has no namespace; name the namespace":                      {APIVersion: "v1", Kind: "Pod", Name: "web"},
		`look at ReplicaSet in shop: replicasets.apps is forbidden: User "pawl" cannot`: {APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop"},
		"look at Pod in shop with a b: ":                                                {APIVersion: "v1", Kind: "Pod", Namespace: "shop", Selector: "a b"},
	} {
		_, err := c.Objects(t.Context(), o)
		require.ErrorContains(t, err, want)
	}
}
