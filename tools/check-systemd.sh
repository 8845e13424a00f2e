#!/bin/sh
# Checks the unit with systemd's own tools: that it says what it means
# (verify), and how much a taken-over service could still do (security).
#
#   tools/check-systemd.sh            check the unit in contrib
#   tools/check-systemd.sh UNIT…      check other units
set -eu
cd "$(dirname "$0")/.."
limit=15 # tenths of an exposure level; 1.5 is "OK", a plain unit has 9.6

command -v systemd-analyze >/dev/null 2>&1 || {
	echo "systemd-analyze is missing: run tools/install-debian.sh" >&2
	exit 1
}

[ $# -gt 0 ] || set -- contrib/systemd/headlight.service
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
for unit in "$@"; do
	# verify wants the program in its place; a copy names one that exists.
	copy=$work/$(basename "$unit")
	sed 's|^ExecStart=/usr/local/bin/headlight |ExecStart=/bin/true |' "$unit" >"$copy"
	grep -q '^ExecStart=/bin/true serve ' "$copy" || { echo "$unit: no ExecStart of headlight serve" >&2; exit 1; }
	said=$(systemd-analyze verify --man=no "$copy" 2>&1 | grep -F "$(basename "$unit")" || true)
	if [ -n "$said" ]; then
		echo "$unit: systemd-analyze verify says:" >&2
		echo "$said" >&2
		exit 1
	fi
	report=$(systemd-analyze security --offline=true --threshold=$limit --no-pager "$copy" 2>&1) || {
		echo "$report" >&2
		echo "$unit: more exposed than $limit tenths" >&2
		exit 1
	}
	echo "$report" | tail -n 1
done
