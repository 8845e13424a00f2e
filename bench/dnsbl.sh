#!/usr/bin/env bash
# Headlight's blocklist zone beside rbldnsd: a million names, the questions half
# listed and half not, by dnsperf, in turns. Prints for each run the answers a
# second, the processor time of the server for each answer, and its memory.
#
#   bench/dnsbl.sh [ROUNDS] [SECONDS]        needs Debian's rbldnsd and dnsperf
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-10}
for program in rbldnsd dnsperf; do
	command -v "$program" >/dev/null || { echo "$program is not installed (apt-get install $program)" >&2; exit 1; }
done
dir=$(mktemp -d)
pids=()
trap '[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT
go build -o "$dir/headlight" ./cmd/headlight

awk 'BEGIN { srand(1); for (i = 0; i < 1000000; i++) printf "host%d.site%d.test\n", i, i / 3 }' >"$dir/names"
{ echo '$SOA 60 localhost hostmaster.localhost 1 60 60 604800 60'; echo ':127.0.0.6:phishing: $'; cat "$dir/names"; } >"$dir/zone"
awk -v zone=bl.example 'NR % 10 == 0 { print $1 "." zone, "A"; print "no" $1 "." zone, "A" }' "$dir/names" | shuf --random-source="$dir/names" >"$dir/questions"

cat >"$dir/headlight.toml" <<END
data = "$dir/data"
listen = "127.0.0.1:0"
[dns]
listen = "127.0.0.1:5391"
zone = "bl.example"
END
sed 's/^/0.0.0.0 /' "$dir/names" >"$dir/hosts"
"$dir/headlight" import -data "$dir/data" -format hosts -as phishing "$dir/hosts" >"$dir/import.log" 2>&1 || { cat "$dir/import.log" >&2; exit 1; }
"$dir/headlight" serve -config "$dir/headlight.toml" >"$dir/serve.log" 2>&1 &
pids+=($!); headlight=$!
chmod 755 "$dir" # it does not run as root
rbldnsd -n -b 127.0.0.1/5392 -w "$dir" -u nobody bl.example:dnset:zone >"$dir/rbldnsd.log" 2>&1 &
pids+=($!); rbldnsd=$!
until dig +short @127.0.0.1 -p 5391 host9.site3.test.bl.example A | grep -q '^127'; do kill -0 $headlight; sleep .2; done
until dig +short @127.0.0.1 -p 5392 host9.site3.test.bl.example A | grep -q '^127'; do kill -0 $rbldnsd; sleep .2; done

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
run() { # name pid port
	local before after out answers qps
	before=$(ticks "$2")
	out=$(dnsperf -s 127.0.0.1 -p "$3" -d "$dir/questions" -l "$seconds" -c 8 -T 1 -q 400 2>&1)
	after=$(ticks "$2")
	answers=$(awk '/Queries completed/ { print $3 }' <<<"$out")
	qps=$(awk '/Queries per second/ { print $4 }' <<<"$out")
	awk -v name="$1" -v a="$answers" -v q="$qps" -v t="$((after - before))" -v hz="$(getconf CLK_TCK)" -v m="$(awk '/VmRSS/ { print $2 }' "/proc/$2/status")" \
		'BEGIN { printf "%-10s %8.0f answers/s  %5.2f µs CPU an answer  %4.0f MB\n", name, q, t / hz / a * 1e6, m / 1024 }'
}
for ((i = 0; i < rounds; i++)); do
	run headlight $headlight 5391
	run rbldnsd $rbldnsd 5392
done
