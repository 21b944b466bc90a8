// Package integration upgrades simulated clusters with the real pawl: real Temporal, real worker, real Kubernetes API,
// real SSH. Machines and kubelets are models, so that anything can be made to fail, many nodes fit, and no root is
// needed. What a model cannot show, e2e shows on real nodes.
package integration
