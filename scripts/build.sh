#!/usr/bin/env bash
# build.sh FILE MODULE PACKAGE [LDFLAGS] : builds a package of the module in a folder into FILE, statically, and says how
# far it is. The first time may take minutes; afterwards Go's build cache has nearly all of it.
set -euo pipefail
out=$1 module=$2 package=$3 ldflags=${4:-}
name=$(basename "$out")
[ -t 1 ] && live=1 || live=0
export CGO_ENABLED=0
mkdir -p "$(dirname "$out")"
cd "$module"
# What go says while it works: modules that it fetches, with -v packages that it compiles, one a line. Both are counted;
# whatever else it says is passed on.
progress() {
  awk -v name="$name" -v total="${1:-0}" -v live="$live" '
    function say(text) {
      if (live) printf "\r\033[K%s: %s", name, text
      else if (n % 250 == 1) printf "%s: %s\n", name, text
      fflush()
    }
    /^go: downloading / { n++; say("fetching modules, " n " so far"); next }
    /^[^ ]+$/ { n++; say("compiling, " n " of at most " total " packages"); next }
    { print }
    END { if (live && n) printf "\r\033[K" }'
}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
{ go list -deps "$package" >"$list"; } 2>&1 | progress
go build -v -trimpath -ldflags "-s -w $ldflags" -o "$out" "$package" 2>&1 | progress "$(($(wc -l <"$list")))"
echo "$name: built"
