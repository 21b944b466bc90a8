// Package e2e upgrades real kubeadm clusters with pawl's own programs, kills them on the way, and asks the cluster what
// became of it. It runs by `make e2e`, as root on Linux, with the lab (lab/).
package e2e
