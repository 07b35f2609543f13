# U-Boot chooses the slot: the first of BOOT_ORDER that has tries left. RAUC writes BOOT_ORDER and
# the counters; a system that finds itself well gives its slot three tries again (allobox-mark-good).
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3

setenv slot
for name in ${BOOT_ORDER}; do
	if test "${slot}" != ""; then
		true
	elif test "${name}" = "A" && test ${BOOT_A_LEFT} -gt 0; then
		setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
		setenv slot A
		setenv part 2
	elif test "${name}" = "B" && test ${BOOT_B_LEFT} -gt 0; then
		setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
		setenv slot B
		setenv part 3
	fi
done

if test "${slot}" = ""; then
	echo "No slot has tries left: three more for each"
	setenv BOOT_A_LEFT 3
	setenv BOOT_B_LEFT 3
	saveenv
	reset
fi
saveenv

# The firmware's device tree, overlays applied, is at ${fdt_addr}; its bootargs are cmdline.txt.
fdt addr ${fdt_addr}
fdt get value bootargs /chosen bootargs
setenv bootargs "${bootargs} root=/dev/mmcblk0p${part} rootfstype=ext4 rootwait ro rauc.slot=${slot}"
ext4load mmc 0:${part} ${kernel_addr_r} /boot/Image
booti ${kernel_addr_r} - ${fdt_addr}
reset
