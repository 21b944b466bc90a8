package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/fault"
)

func TestAPIServerProbeAsksTheNodesOwnServer(t *testing.T) {
	var status, connections atomic.Int32
	status.Store(http.StatusOK)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked for %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.WriteHeader(int(status.Load()))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	c := &Cluster{name: "lab", config: &rest.Config{BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
		client: fake.NewClientset(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-cp1",
				Labels:      map[string]string{"component": "kube-apiserver", "tier": "control-plane"},
				Annotations: map[string]string{advertiseAddress: strings.TrimPrefix(server.URL, "https://")}},
			Spec: corev1.PodSpec{NodeName: "cp1"}})}

	probe, err := c.APIServerProbe(t.Context(), "cp1")
	require.NoError(t, err)
	require.NoError(t, probe(t.Context()))
	require.NoError(t, probe(t.Context()))
	require.Equal(t, int32(2), connections.Load(), "a kept connection says nothing of a server that was replaced")
	status.Store(http.StatusInternalServerError)
	require.ErrorContains(t, probe(t.Context()), "/readyz answers 500")
	server.Close()
	require.True(t, fault.Is(probe(t.Context()), fault.Unreachable))

	_, err = c.APIServerProbe(t.Context(), "w1")
	require.True(t, fault.Is(err, fault.NotFound), err)
}
