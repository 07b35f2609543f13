#!/bin/bash
# From Buildroot's images to a card and, with a key, to an update bundle. $1 is the images' folder.
set -euo pipefail
images=$1
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$images"
for file in u-boot.bin boot.scr rpi-firmware/config.txt rpi-firmware/start4.elf rootfs.ext4; do
	if [ ! -s "$file" ]; then
		echo "post-image: $images/$file is missing" >&2
		exit 1
	fi
done

# The boot partition: the firmware's files with their folders, the device trees, U-Boot, its script.
{
	find . -maxdepth 1 \( -name '*.dtb' -o -name u-boot.bin -o -name boot.scr \) -printf '%P %P\n'
	find rpi-firmware -type f -printf '%P rpi-firmware/%P\n'
} | sort | while read -r name image; do
	printf '\t\tfile "%s" { image = "%s" }\n' "$name" "$image"
done >"$work/boot-files"
sed -e "/@BOOT_FILES@/{r $work/boot-files" -e 'd}' "$here/genimage.cfg.in" >"$work/genimage.cfg"

mkdir "$work/root"
genimage --rootpath "$work/root" --tmppath "$work/tmp" --inputpath "$images" \
	--outputpath "$images" --config "$work/genimage.cfg"

if [ -n "${ALLOBOX_RAUC_CERT:-}" ] && [ -n "${ALLOBOX_RAUC_KEY:-}" ]; then
	mkdir "$work/bundle"
	cp rootfs.ext4 "$work/bundle/rootfs.ext4"
	version=${ALLOBOX_VERSION:-$(date -u +%Y%m%d)}
	sed "s/@VERSION@/$version/" "$here/manifest.raucm.in" >"$work/bundle/manifest.raucm"
	rm -f "allobox-rpi4-64-$version.raucb"
	rauc bundle --cert="$ALLOBOX_RAUC_CERT" --key="$ALLOBOX_RAUC_KEY" "$work/bundle" "allobox-rpi4-64-$version.raucb"
else
	echo "post-image: ALLOBOX_RAUC_CERT and ALLOBOX_RAUC_KEY are not set: no update bundle" >&2
fi
