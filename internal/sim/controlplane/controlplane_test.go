package controlplane

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pawl-dev/pawl/internal/sim/simtest"
)

func TestControlPlane(t *testing.T) {
	simtest.Programs(t, Program)
	began := time.Now()
	c, err := Start(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "nobody"))
	require.NoError(t, err)
	defer c.Stop()
	t.Logf("ready in %s", time.Since(began))
	client, err := kubernetes.NewForConfig(c.Config())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(t.Context(), "kube-scheduler", metav1.GetOptions{})
		return err == nil && lease.Spec.HolderIdentity != nil
	}, 30*time.Second, 100*time.Millisecond, "the scheduler leads")
	require.NoError(t, c.Died())

	user := c.Config()
	user.BearerToken = c.UserToken
	pawl, err := kubernetes.NewForConfig(user)
	require.NoError(t, err)
	_, err = pawl.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.ErrorContains(t, err, `User "pawl" cannot list resource "nodes"`, "permissions are real")

	file := filepath.Join(t.TempDir(), "snapshot.db")
	_, err = c.Etcdctl(t.Context(), "snapshot", "save", file)
	require.NoError(t, err)
	status, err := c.Etcdutl(t.Context(), "snapshot", "status", file, "--write-out=json")
	require.NoError(t, err)
	require.Contains(t, status, `"totalKey":`)
}
