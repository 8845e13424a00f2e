#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after the
# other, or JOBS at once: tools/fuzz.sh 10m [package …]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10m}
shift || true
jobs=${JOBS:-1}
targets=$(grep -rlE '^func Fuzz' --include='*_test.go' . | grep -v '^./bench/' | while read -r file; do
	sed -nE "s|^func (Fuzz[A-Za-z0-9_]+)\(.*|$(dirname "$file") \1|p" "$file"
done | sort -u)
[ -n "$targets" ] || { echo "no fuzz targets found" >&2; exit 1; }
if [ $# -gt 0 ]; then
	targets=$(for pkg in "$@"; do grep -E "^\./${pkg#./} " <<<"$targets"; done)
fi
echo "$(wc -l <<<"$targets") targets, $time each, $jobs at once"
xargs -P "$jobs" -L 1 bash -c 'set -o pipefail
	go test "$1" -run "^$" -fuzz "^$2\$" -fuzztime "'"$time"'" -fuzzminimizetime 1x -parallel 1 2>&1 | tail -n 25 | sed "s|^|$1 $2: |"' _ <<<"$targets"
