#!/bin/bash
# Last touches on the root file system: $1 is it.
set -euo pipefail
target=$1
here=$(dirname "$(readlink -f "$0")")

# RAUC installs only what this key signed. Without one there is no update, and no key of ours to leak.
if [ -n "${ALLOBOX_RAUC_KEYRING:-}" ]; then
	install -D -m 0644 "$ALLOBOX_RAUC_KEYRING" "$target/etc/rauc/keyring.pem"
else
	echo "post-build: ALLOBOX_RAUC_KEYRING is not set: this image cannot be updated" >&2
fi
install -D -m 0644 "$here/system.conf" "$target/etc/rauc/system.conf"

# Where the data partition's folders are mounted; its root file system is read-only.
mkdir -p "$target/data" "$target/var/lib/allobox" "$target/var/lib/allobox-mail" "$target/boot/firmware"
mkdir -p "$target/root/.ssh"
rm -rf "$target/etc/dropbear"
mkdir -p "$target/etc/dropbear"
chmod 0700 "$target/root" "$target/root/.ssh" "$target/etc/dropbear"

# Nothing of a build machine's may be in an image.
for secret in "$target"/root/.ssh/* "$target"/etc/dropbear/*; do
	if [ -e "$secret" ]; then
		echo "post-build: $secret must not be in an image" >&2
		exit 1
	fi
done
