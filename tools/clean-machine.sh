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
# Device nodes of its own, never the host's /dev: a folder that is removed must take nothing with it.
node() { [ -c "$root/dev/$1" ] || { rm -f "$root/dev/$1"; mknod -m 666 "$root/dev/$1" c "$2" "$3"; }; }
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0
mkdir -p "$root/dev/shm" "$root/dev/pts"; chmod 1777 "$root/dev/shm"
mounted=()
unmount() { for at in "${mounted[@]}"; do umount "$at" 2>/dev/null || umount -l "$at" || true; done; }
trap unmount EXIT
mount -t proc proc "$root/proc"; mounted+=("$root/proc")
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"; mounted+=("$root/dev/pts")
ln -sfn pts/ptmx "$root/dev/ptmx"
for path in ${CLEAN_BIND:-}; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root$(dirname "$path")"; touch "$root$path"; fi
    mount --bind "$path" "$root$path"; mounted+=("$root$path")
    mount -o remount,bind,ro "$root$path"
done

rm -rf "$root/root/allobox"
git clone -q "$here" "$root/root/allobox"
say "HEAD $(git -C "$here" rev-parse --short HEAD), running: $*"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
    $(env | grep -E '^(PIP_|https?_proxy=|HTTPS?_PROXY=|no_proxy=|NO_PROXY=|SSL_CERT)' || true) \
    chroot "$root" sh -c 'cd /root/allobox && exec "$@"' sh "$@"
