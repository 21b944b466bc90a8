#!/usr/bin/env bash
# demo.sh CONTROL_PLANES WORKERS FROM TO : a lab cluster, upgraded before your eyes. `make demo-lab` builds first and calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
control_planes=$1 workers=$2 from=$3 to=$4
lab() { bin/pawl-lab "$@"; }
pawl() { lab exec "$PWD/bin/pawl" "$@"; }
# kubeadm v1.36.3 brings an etcd that is older than etcd wants before v1.37.2.
wanted=(--to "$to" --waive etcd-version)
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. A cluster: $control_planes control plane node(s), $workers worker(s), Kubernetes $from"
lab down
lab up --control-planes "$control_planes" --workers "$workers" --version "$from" --next "$to"

say "2. Temporal and a worker: pawl dev"
data=$(mktemp -d)
clusters=$(dirname "$(lab status -o json | sed -n 's|.*"definition": *"\([^"]*\)".*|\1|p')")
lab exec "$PWD/bin/pawl" dev --data "$data" --clusters "$clusters" >"$data/dev.out" 2>&1 &
dev=$!
trap 'kill -INT $dev 2>/dev/null; wait $dev 2>/dev/null; rm -rf "$data"' EXIT

# Exit code 13: Temporal or the worker is not there yet.
until pawl plan lab "${wanted[@]}" -o json >/dev/null 2>&1 || [ $? -ne 13 ]; do
  kill -0 $dev 2>/dev/null || { cat "$data/dev.out"; exit 1; }
  sleep 0.5
done
cat "$data/dev.out"

say "3. What will happen: pawl plan lab ${wanted[*]}"
pawl plan lab "${wanted[@]}"

say "4. It happens: pawl start lab ${wanted[*]} --watch"
pawl start lab "${wanted[@]}" --watch

say "5. Where the time went: pawl report lab"
pawl report lab
lab ssh cp1 kubectl get nodes

say "The cluster is still up: make lab-status, bin/pawl-lab ssh cp1. Remove it with: make lab-down"
