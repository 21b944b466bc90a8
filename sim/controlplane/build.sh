#!/usr/bin/env bash
# build.sh FILE : builds the control plane into FILE and says how far it is. The first time takes minutes: all of
# Kubernetes' control plane is compiled. Afterwards Go's build cache has it.
set -euo pipefail
out=$1
cd "$(dirname "$0")"
[ -t 1 ] && live=1 || live=0
go mod download
total=$(go list -deps . | wc -l)
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
# -v names every package that is compiled, one a line; whatever else go says is passed on.
CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$out" . 2>&1 | awk -v total="$total" -v live="$live" '
  /^[^ ]+$/ {
    n++
    if (live) printf "\r  compiling Kubernetes: %d of %d packages ", n, total
    else if (n % 500 == 0) printf "  compiling Kubernetes: %d of %d packages\n", n, total
    fflush()
    next
  }
  { print }
  END { if (n) printf "%s  compiled %d packages%20s\n", live ? "\r" : "", n, "" }'
