// Package forecast tells what the drains of a plan will do to the pods of a cluster: which of them will not go, which
// will find no other place, which lose data. It walks the plan node after node over a model of the cluster, and moves
// the pods to where a scheduler could put them.
//
// Rule: no I/O, no clock, no randomness, and no output that depends on map order, as in package upgrade. What it knows of
// pods holds no secrets: no commands, environments, annotations or images.
package forecast

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workloads is what was observed of the pods of a cluster and of what decides where they can be. Pods that have ended or
// are about to are not in it.
type Workloads struct {
	Nodes     []Node     `json:"nodes"`
	Templates []Template `json:"templates"`
	Budgets   []Budget   `json:"budgets,omitempty"`
	Volumes   []Volume   `json:"volumes,omitempty"`
	// Unseen says what could not be looked at and what that means, one line each.
	Unseen []string `json:"unseen,omitempty"`
}

// Node is what a scheduler looks at.
type Node struct {
	Name string `json:"name"`
	// Labels are those that something selects nodes by.
	Labels      map[string]string   `json:"labels,omitempty"`
	Taints      []corev1.Taint      `json:"taints,omitempty"` // without that of the cordon
	Allocatable corev1.ResourceList `json:"allocatable"`
}

// Template is what pods have in common; its pods are the same to a scheduler but for their volumes.
type Template struct {
	Namespace  string     `json:"namespace"`
	Controller Controller `json:"controller,omitzero"`
	// Stays: drains leave the pods where they are: those of DaemonSets, and static ones.
	Stays bool `json:"stays,omitempty"`
	// Labels are those that something selects pods by.
	Labels       map[string]string        `json:"labels,omitempty"`
	Requests     corev1.ResourceList      `json:"requests,omitempty"` // of a whole pod
	NodeSelector map[string]string        `json:"nodeSelector,omitempty"`
	NodeAffinity *corev1.NodeSelector     `json:"nodeAffinity,omitempty"` // required
	Affinity     []corev1.PodAffinityTerm `json:"affinity,omitempty"`     // required
	AntiAffinity []corev1.PodAffinityTerm `json:"antiAffinity,omitempty"` // required
	Tolerations  []corev1.Toleration      `json:"tolerations,omitempty"`
	// Spread are the constraints that keep a pod from being scheduled (DoNotSchedule).
	Spread   []corev1.TopologySpreadConstraint `json:"spread,omitempty"`
	Ports    []Port                            `json:"ports,omitempty"`
	Grace    int64                             `json:"grace,omitempty"` // seconds: terminationGracePeriodSeconds
	EmptyDir bool                              `json:"emptyDir,omitempty"`
	Pods     []Pod                             `json:"pods"`
}

// Controller brings pods back. A pod without one is gone once it is deleted. Of a Deployment's ReplicaSet it is the
// Deployment.
type Controller struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Port is a port of the host.
type Port struct {
	Protocol corev1.Protocol `json:"protocol"`
	IP       string          `json:"ip,omitempty"` // "" is all of them
	Port     int32           `json:"port"`
}

// Pod is one pod.
type Pod struct {
	Name    string `json:"name"`
	Node    string `json:"node,omitempty"`    // empty: no scheduler found one
	Pending bool   `json:"pending,omitempty"` // its containers have not all been started yet
	Unready bool   `json:"unready,omitempty"`
	Volumes []int  `json:"volumes,omitempty"` // in Workloads.Volumes
}

// Budget is a PodDisruptionBudget, as the disruption controller evaluated it.
type Budget struct {
	Namespace string                `json:"namespace"`
	Name      string                `json:"name"`
	Selector  *metav1.LabelSelector `json:"selector,omitempty"` // nil selects nothing
	// AlwaysAllow: unready pods may go whatever the budget says (unhealthyPodEvictionPolicy).
	AlwaysAllow bool  `json:"alwaysAllow,omitempty"`
	Desired     int32 `json:"desired"` // healthy pods that there must be
	Healthy     int32 `json:"healthy"`
	Expected    int32 `json:"expected"` // pods that there should be
	// Failed is why the controller could not evaluate it. It then allows nothing.
	Failed string `json:"failed,omitempty"`
}

// Volume is a persistent volume that not every node can reach.
type Volume struct {
	Claim string `json:"claim"` // namespace/name of the PersistentVolumeClaim
	// Nodes are those from which it can be reached.
	Nodes *corev1.NodeSelector `json:"nodes"`
}
