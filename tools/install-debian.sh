#!/usr/bin/env bash
# Installs what the tests need and is missing: a C compiler for the race
# detector, systemd-analyze for the unit file, and the programs of the pages in
# docs. Go itself must be there.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/doc/install" >&2; exit 1; }
need=()
# want PROGRAM PACKAGE…: what has the program comes with the packages
want() { command -v "$1" >/dev/null || need+=("${@:2}"); }
want gcc gcc libc6-dev
want systemd-analyze systemd
want unbound unbound
want named bind9
want dig bind9-dnsutils
want postfix postfix
want swaks swaks
want spamassassin spamassassin
want rspamd rspamd
want prosody prosody
want ejabberdctl ejabberd
want firefox-esr firefox-esr
want bearerbox kannel
want node nodejs
want npm npm
[ -x /usr/lib/kannel/test/fakesmsc ] || need+=(kannel-extras)
[ -d /usr/lib/prosody/modules/mod_firewall ] || need+=(prosody-modules)
[ -d /usr/lib/python3/dist-packages/slixmpp ] || need+=(python3-slixmpp)
[ ${#need[@]} -eq 0 ] && exit 0
echo "installing: ${need[*]}"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${need[@]}"
