package machine

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func missing(err error) bool { return apierrors.IsNotFound(err) }

// kubectl is kubectl wait for pods and kubectl get nodes.
func kubectl(p *process) int {
	o, code := p.options("kubectl", optSpec{short: "n:", long: "kubeconfig=,namespace=,for=,timeout=,client,output=", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		return p.fail(1, "kubectl controls the Kubernetes cluster manager.")
	}
	if o.args[0] == "version" {
		v, _ := p.m.binaryVersion("kubectl")
		p.printf("Client Version: %s\n", v)
		return 0
	}
	var api kubernetes.Interface
	if file := o.value("kubeconfig"); file != "" {
		if _, err := p.readFile(file); err != nil {
			return p.fail(1, "error: stat %s: %s", file, strings.ToLower(reason(err)))
		}
		if p.m.opts.API != nil {
			api = p.m.opts.API()
		}
	}
	if api == nil {
		return p.refused()
	}
	switch o.args[0] {
	case "wait":
		return p.kubectlWait(o, api)
	case "get":
		if len(o.args) > 1 && (o.args[1] == "nodes" || o.args[1] == "node") {
			return p.kubectlNodes(api)
		}
		return p.fail(1, "error: the server doesn't have a resource type %q", strings.Join(o.args[1:], " "))
	}
	return p.fail(1, "error: unknown command %q for \"kubectl\"", o.args[0])
}

func (p *process) refused() int {
	return p.fail(1, "The connection to the server %s was refused - did you specify the right host or port?", p.m.opts.Endpoint)
}

func (p *process) kubectlWait(o *opts, api kubernetes.Interface) int {
	if o.value("for") != "condition=Ready" {
		return p.fail(1, "error: unrecognized condition: %q", o.value("for"))
	}
	timeout := 30 * time.Second
	if text := o.value("timeout"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil {
			return p.fail(1, "error: invalid argument %q for \"--timeout\" flag: %v", text, err)
		}
	}
	namespace := o.value("namespace", "n")
	if namespace == "" {
		namespace = "default"
	}
	deadline := time.Now().Add(max(p.m.scale(timeout), min(timeout, time.Second)))
	code := 0
	for _, arg := range o.args[1:] {
		kind, name, ok := strings.Cut(arg, "/")
		if !ok || kind != "pod" && kind != "pods" {
			return p.fail(1, "error: the server doesn't have a resource type %q", kind)
		}
		if c := p.awaitPod(api, namespace, name, deadline); c != 0 {
			code = c
		}
	}
	return code
}

func (p *process) awaitPod(api kubernetes.Interface, namespace, name string, deadline time.Time) int {
	for {
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		pod, err := api.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		cancel()
		switch {
		case missing(err):
			return p.fail(1, "Error from server (NotFound): pods %q not found", name)
		case err != nil:
			return p.refused()
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				p.printf("pod/%s condition met\n", name)
				return 0
			}
		}
		if time.Now().After(deadline) {
			return p.fail(1, "error: timed out waiting for the condition on pods/%s", name)
		}
		select {
		case <-p.ctx.Done():
			return 1
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) kubectlNodes(api kubernetes.Interface) int {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return p.refused()
	}
	p.printf("%-12s %-28s %-15s %-5s %s\n", "NAME", "STATUS", "ROLES", "AGE", "VERSION")
	for _, node := range nodes.Items {
		state := "NotReady"
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				state = "Ready"
			}
		}
		if node.Spec.Unschedulable {
			state += ",SchedulingDisabled"
		}
		roles := "<none>"
		if _, ok := node.Labels[controlPlaneLabel]; ok {
			roles = "control-plane"
		}
		age := time.Since(node.CreationTimestamp.Time).Round(time.Minute)
		p.printf("%-12s %-28s %-15s %-5s %s\n", node.Name, state, roles, fmt.Sprintf("%.0fm", age.Minutes()), node.Status.NodeInfo.KubeletVersion)
	}
	return 0
}
