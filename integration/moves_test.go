package integration

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pawl-dev/pawl/internal/sim/bed"
)

// moves is what was done to nodes and pods, as the API server told of it.
type moves struct {
	mu       sync.Mutex
	cordoned map[string]bool // now
	times    map[string]int  // that a node was cordoned
	evicted  map[types.UID]string
	late     []string // pods that were evicted from a node whose kubelet was upgraded already
}

// watchMoves begins to watch.
func (s *stage) watchMoves() *moves {
	s.t.Helper()
	m := &moves{cordoned: map[string]bool{}, times: map[string]int{}, evicted: map[types.UID]string{}}
	upgraded := map[string]bool{}
	nodes, err := s.Client().CoreV1().Nodes().Watch(s.t.Context(), metav1.ListOptions{})
	require.NoError(s.t, err)
	pods, err := s.Client().CoreV1().Pods(bed.Namespace).Watch(s.t.Context(), metav1.ListOptions{})
	require.NoError(s.t, err)
	go func() {
		for {
			select {
			case e, ok := <-nodes.ResultChan():
				n, is := e.Object.(*corev1.Node)
				if !ok {
					return
				}
				m.mu.Lock()
				if is {
					if n.Spec.Unschedulable && !m.cordoned[n.Name] {
						m.times[n.Name]++
					}
					m.cordoned[n.Name] = n.Spec.Unschedulable
					upgraded[n.Name] = n.Status.NodeInfo.KubeletVersion == to
				}
				m.mu.Unlock()
			case e, ok := <-pods.ResultChan():
				p, is := e.Object.(*corev1.Pod)
				if !ok {
					return
				}
				m.mu.Lock()
				if is && m.evicted[p.UID] == "" && evicted(p) {
					m.evicted[p.UID] = p.Spec.NodeName
					if upgraded[p.Spec.NodeName] {
						m.late = append(m.late, p.Name+" from "+p.Spec.NodeName)
					}
				}
				m.mu.Unlock()
			}
		}
	}()
	s.t.Cleanup(func() { nodes.Stop(); pods.Stop() })
	return m
}

func evicted(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Reason == "EvictionByEvictionAPI" {
			return true
		}
	}
	return false
}

// cordons is how often a node was cordoned.
func (m *moves) cordons(node string) int { m.mu.Lock(); defer m.mu.Unlock(); return m.times[node] }

// evictions is how many pods were evicted, none of which from a node that had its new kubelet.
func (m *moves) evictions(t testing.TB) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	require.NotEmpty(t, m.evicted)
	require.Empty(t, m.late)
	return len(m.evicted)
}
