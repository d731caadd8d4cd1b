# GRUB's frontend: one page of ring, no persistent grants, one request at a time, and it never calls itself connected. It writes a
# block, loads a kernel from our disk while the stub is killed all the time, and hands the disk on; Linux reads it all once more
# and verifies. The 32-bit GRUB does it with the other layout of requests (x86_32-abi), as a PVH guest: Debian's Xen takes no 32-bit PV
# guest ("guest type xen-3.0-x86_32p not supported").
# limit: 300 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
start_world

# Half of the disk is an ext2 to boot from.
boot_disk() {
	mkdir -p /srv/t/boot/grub
	cp /boot/vmlinuz /srv/t/boot/
	cp /boot/small.img /srv/t/boot/initrd
	(cd /srv/t && md5sum boot/vmlinuz boot/initrd | sed 's| boot| /boot|' >boot/sums)
	(echo "# GRUB Environment Block"; head -c 999 /dev/zero | tr '\0' '#') >/srv/t/boot/grub/grubenv
	cat >/srv/t/boot/grub/grub.cfg <<-'C'
		echo "GRUB LOADS ($grub_cpu-$grub_platform)"
		set seen=$grub_cpu-$grub_platform
		save_env --file ($root)/boot/grub/grubenv seen
		if md5sum --check /boot/sums; then echo "GRUB SUMS right"; fi
		linux /boot/vmlinuz console=hvc0 quiet job=copy secs=6
		initrd /boot/initrd
		boot
	C
	truncate -s 64M /srv/g.img
	mke2fs -q -t ext2 -d /srv/t /srv/g.img 32M
	rm -rf /srv/t
}

# grub FLAVOUR TYPE: killed from its first request until Linux has copied.
grub() {
	local id n=0 sum
	boot_disk
	KERNEL=/boot/grub-$1.bin RAMDISK='' TYPE=$2 create g none 0 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/g.img"]'
	id=$(xl domid g)
	until says g 'GUEST COPIED'; do
		usleep 300000
		bulkhead kill "$id" xvda 2>/dev/null && n=$((n + 1))
		[ $n -lt 300 ] || fail "$1 goes on for ever"
	done
	note "$1: $n kills"
	[ $n -gt 3 ] || fail "only $n kills"
	says g 'GRUB SUMS right' || fail "GRUB read something else"
	done_well g
	nothing_left "$id"
	grep -qa "seen=${1%_pvh}" /srv/g.img || fail "GRUB's block is not on the disk"
	sum=$(dd if=/srv/g.img bs=1M count=32 status=none | md5sum | cut -c1-32)
	says g "GUEST SUM $sum" || fail "Linux read something else"
}

grub x86_64-xen pv
grub i386-xen_pvh pvh
