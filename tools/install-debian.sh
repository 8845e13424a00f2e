#!/usr/bin/env bash
# Installs what the tests need and is missing: a C compiler for the race
# detector, systemd-analyze for the unit file, and the programs of the pages in
# docs. Go itself must be there.
set -euo pipefail
need=()
command -v gcc >/dev/null || need+=(gcc libc6-dev)
command -v systemd-analyze >/dev/null || need+=(systemd)
[ -x /usr/sbin/unbound ] || need+=(unbound)
[ -x /usr/sbin/named ] || need+=(bind9)
command -v dig >/dev/null || need+=(bind9-dnsutils)
[ -x /usr/sbin/postfix ] || need+=(postfix)
command -v swaks >/dev/null || need+=(swaks)
command -v spamassassin >/dev/null || need+=(spamassassin)
command -v rspamd >/dev/null || need+=(rspamd)
[ -x /usr/sbin/postfix ] || need+=(postfix)
command -v swaks >/dev/null || need+=(swaks)
command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/doc/install" >&2; exit 1; }
[ ${#need[@]} -eq 0 ] && exit 0
echo "installing: ${need[*]}"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${need[@]}"
