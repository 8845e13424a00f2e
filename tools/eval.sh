#!/usr/bin/env bash
# Judges event streams and prints the figures that stand in the README:
# tools/eval.sh DIR, with DIR/streams/NAME.jsonl.gz and NAME.truth.tsv.gz, and
# tables of networks, if there are any, as DIR/netmap/asn-*.csv.gz. A figure of
# each stream is drawn to bin/NAME.svg.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-}
[ -d "$data/streams" ] || { echo "usage: make eval DATA=DIR, where DIR/streams holds NAME.jsonl.gz and NAME.truth.tsv.gz" >&2; exit 2; }
mkdir -p bin
go build -o bin/headlight ./cmd/headlight
networks=()
if compgen -G "$data/netmap/asn-*.csv.gz" >/dev/null; then
	networks=(-netmap "$(printf '%s\n' "$data"/netmap/asn-*.csv.gz | paste -sd, -)")
fi
for stream in "$data"/streams/*.jsonl.gz; do
	name=$(basename "$stream" .jsonl.gz)
	echo "== $name"
	from=()
	case $name in dns*) from=(-from 2022-01-01) ;; esac
	bin/headlight eval -table "${from[@]}" "${networks[@]}" -plot "bin/$name.svg" -truth "$data/streams/$name.truth.tsv.gz" "$stream"
done
