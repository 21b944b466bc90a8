package kube

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestBlockingNamesTheBudgetThatKeepsThePod(t *testing.T) {
	budget := func(name, app string, allowed int32) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: name},
			Spec:   policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
			Status: policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 3, CurrentHealthy: 3, DisruptionsAllowed: allowed}}
	}
	c := &Cluster{client: fake.NewClientset(budget("other", "web", 0), budget("roomy", "api", 1), budget("tight", "api", 0))}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: "api-2", Labels: map[string]string{"app": "api"}}}
	refusal := errors.New("cannot evict")
	require.Equal(t, upgrade.BlockedPod{Budget: "payments/tight",
		Reason: "blocked by PodDisruptionBudget payments/tight (needs 3 healthy, has 3)"}, c.blocking(t.Context(), pod, refusal))
	pod.Labels = nil
	require.Equal(t, upgrade.BlockedPod{Reason: "cannot evict"}, c.blocking(t.Context(), pod, refusal))
}
