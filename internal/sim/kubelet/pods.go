package kubelet

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Pods is one watch on all pods of the cluster, which all kubelets of a bed share: a hundred watches would cost more
// than the rest of the bed together.
type Pods struct {
	informer cache.SharedIndexInformer

	mu    sync.Mutex
	wakes map[string]chan struct{} // by node
}

const byNode = "node"

// WatchPods starts the watch; it ends with ctx.
func WatchPods(ctx context.Context, client kubernetes.Interface) (*Pods, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	p := &Pods{informer: factory.Core().V1().Pods().Informer(), wakes: map[string]chan struct{}{}}
	index := cache.Indexers{byNode: func(obj any) ([]string, error) { return []string{obj.(*corev1.Pod).Spec.NodeName}, nil }}
	if err := p.informer.AddIndexers(index); err != nil {
		return nil, err
	}
	changed := func(obj any) {
		if deleted, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = deleted.Obj
		}
		if pod, ok := obj.(*corev1.Pod); ok {
			p.wake(pod.Spec.NodeName)
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, obj any) { changed(obj) }, DeleteFunc: changed}
	if _, err := p.informer.AddEventHandler(handler); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), p.informer.HasSynced) {
		return nil, fmt.Errorf("watch pods: %w", ctx.Err())
	}
	return p, nil
}

// On are the pods that are bound to a node. They are shared: read only.
func (p *Pods) On(node string) []*corev1.Pod {
	objects, err := p.informer.GetIndexer().ByIndex(byNode, node)
	if err != nil {
		return nil // the index exists
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, o := range objects {
		pods = append(pods, o.(*corev1.Pod))
	}
	return pods
}

// changes receives when something about the node's pods may have changed.
func (p *Pods) changes(node string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakes[node] == nil {
		p.wakes[node] = make(chan struct{}, 1)
	}
	return p.wakes[node]
}

func (p *Pods) wake(node string) {
	if node == "" {
		return
	}
	select {
	case p.changes(node) <- struct{}{}:
	default:
	}
}
