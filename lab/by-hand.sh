#!/usr/bin/env bash
# by-hand.sh [VERSION] : upgrades the lab's cluster the way the Kubernetes documentation tells a person to, step by step
# over SSH, and times it: what pawl is measured against. Control planes first, then the workers, one node at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
to=${1:-v1.37.2}
version=${to#v} minor=${to%.*}
on() { bin/pawl-lab ssh "$@"; }
began=$SECONDS
timed() {
  local title=$1 from=$SECONDS
  shift
  "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }
  printf '%5d s  %4d s  %s\n' $((SECONDS - began)) $((SECONDS - from)) "$title"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

repository() { # NODE: the package source of the new minor
  on "$1" "sed -i 's#/v[0-9.]*/deb/#/$minor/deb/#' /etc/apt/sources.list.d/kubernetes.list && apt-get -qq update"
}
packages() { # NODE PACKAGE...: unhold, install, hold
  local node=$1
  shift
  on "$node" "apt-mark unhold $* && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install $(printf "%s='$version-*' " "$@") && apt-mark hold $*"
}
ready() { # NODE: at the new version
  on cp1 "until kubectl get node $1 -o jsonpath='{.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type==\"Ready\")].status}' 2>/dev/null | grep -qx '$to True'; do sleep 0.5; done"
}
# The new kubelet restarts the static pods a moment later, while the node still reads Ready.
settled() {
  on cp1 "sleep 15; until kubectl -n kube-system wait --for=condition=Ready pod -l tier=control-plane --timeout=180s && kubectl get --raw /readyz; do sleep 1; done"
}
ignore=--ignore-preflight-errors=SystemVerification

first=yes
for node in $(on cp1 kubectl get nodes -o name | sed 's#node/##' | sort); do
  timed "$node: package source of $minor" repository "$node"
  timed "$node: kubeadm $version" packages "$node" kubeadm
  if [[ $node == cp* && $first == yes ]]; then
    first=
    timed "$node: kubeadm upgrade plan" on "$node" kubeadm upgrade plan "$to"
    timed "$node: kubeadm upgrade apply" on "$node" kubeadm upgrade apply "$to" -y $ignore
  else
    timed "$node: kubeadm upgrade node" on "$node" kubeadm upgrade node $ignore
  fi
  timed "$node: drain" on cp1 kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --timeout=300s
  timed "$node: kubelet and kubectl $version" packages "$node" kubelet kubectl
  timed "$node: restart kubelet" on "$node" 'systemctl daemon-reload && systemctl restart kubelet'
  timed "$node: uncordon" on cp1 "until kubectl uncordon $node; do sleep 1; done"
  timed "$node: Ready at $to" ready "$node"
  if [[ $node == cp* ]]; then timed "$node: static pods settled" settled; fi
done
timed "system pods settled" on cp1 "kubectl -n kube-system rollout status deploy/coredns --timeout=120s && kubectl -n kube-system wait --for=condition=Ready pod --all --timeout=120s"
printf '%5d s  in all\n' $((SECONDS - began))
on cp1 kubectl get nodes
