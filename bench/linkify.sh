#!/bin/sh
# linkify.sh: find links with Headlight and with Rust's linkify, on the same
# corpora, five times in turn, and print the best MB/s of each beside each other.
# It needs Go, cargo and Debian's librust-linkify-dev, which it installs if it may.
set -eu
cd "$(dirname "$0")"

if ! ls /usr/share/cargo/registry/linkify-0.* >/dev/null 2>&1; then
	apt-get install -y librust-linkify-dev >/dev/null
fi
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT

HEADLIGHT_CORPUS=$corpus go test -count 1 -run '^TestWriteLinkCorpus$' . >/dev/null
(cd rust-linkify && cargo build --release --offline --quiet)
go test -c -o "$corpus/bench.test" .
for _ in 1 2 3 4 5; do
	rust-linkify/target/release/rust-linkify "$corpus" >>"$corpus/rust"
	"$corpus/bench.test" -test.run '^$' -test.bench '^BenchmarkText$/./^headlight$' -test.benchtime 10ms -test.count 100 >>"$corpus/go"
done

awk '
	FNR == NR { if ($2 > rust[$1]) rust[$1] = $2; rustLinks[$1] = $3; next }
	/^BenchmarkText/ {
		split($1, part, "/")
		for (i = 2; i < NF; i++) {
			if ($(i+1) == "MB/s" && $i > ours[part[2]]) ours[part[2]] = $i
			if ($(i+1) == "links") links[part[2]] = $i
		}
	}
	END {
		printf "%-12s %16s %16s %8s %8s %8s\n", "corpus", "headlight MB/s", "linkify MB/s", "ratio", "links", "linkify"
		for (c in rust)
			printf "%-12s %16.0f %16.0f %8.2f %8d %8d\n", c, ours[c], rust[c], ours[c] / rust[c], links[c], rustLinks[c]
	}
' "$corpus/rust" "$corpus/go"
