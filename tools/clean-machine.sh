#!/bin/bash
# Shows on a bare Debian 12 (a root folder made by mmdebstrap, nothing installed by hand but git and
# make) that this checkout's HEAD clones, sets itself up, runs and passes its tests.
#   tools/clean-machine.sh FOLDER COMMAND...      e.g.  tools/clean-machine.sh /var/tmp/clean make test
# As root. CLEAN_SOURCES names another list of Debian sources, CLEAN_BIND names more paths to show inside, read-only (a package cache, a pip.conf).
set -euo pipefail
root=${1:?usage: clean-machine.sh FOLDER COMMAND...}
shift
here=$(cd "$(dirname "$0")/.." && pwd)
say() { printf '[clean machine] %s\n' "$*"; }

if [ ! -e "$root/etc/debian_version" ]; then
    say "making a bare Debian 12 in $root"
    command -v mmdebstrap gpgv >/dev/null || apt-get install -y -q --no-install-recommends mmdebstrap gpgv
    sources=${CLEAN_SOURCES:-/etc/apt/sources.list}
    [ -e "$sources" ] || sources=/etc/apt/sources.list.d/debian.sources
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make \
        --aptopt='Acquire::Check-Valid-Until "false"' bookworm "$root" "$sources"
    cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
    # This machine's own certificate authorities, if it has some.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
fi
mounted=()
unmount() { for at in "${mounted[@]}"; do umount -l "$at" || true; done; }
trap unmount EXIT
bind() { mkdir -p "$root$1"; [ -d "$1" ] || { rmdir "$root$1" 2>/dev/null; touch "$root$1"; }; mount --bind "$1" "$root$1"; mounted+=("$root$1"); }
mount -t proc proc "$root/proc"; mounted+=("$root/proc")
for path in /dev ${CLEAN_BIND:-}; do bind "$path"; done
mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null && mounted=("$root/dev/shm" "${mounted[@]}")

rm -rf "$root/root/allobox"
git clone -q "$here" "$root/root/allobox"
say "HEAD $(git -C "$here" rev-parse --short HEAD), running: $*"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
    $(env | grep -E '^(PIP_|https?_proxy=|HTTPS?_PROXY=|no_proxy=|NO_PROXY=|SSL_CERT)' || true) \
    chroot "$root" sh -c 'cd /root/allobox && exec "$@"' sh "$@"
