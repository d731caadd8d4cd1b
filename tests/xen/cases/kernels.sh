# Debian's other kernels with their own xen-blkfront, the stub killed meanwhile: 6.12, 6.12 and 6.1 for clouds; 6.12 as a PVH guest, too.
# Not the real-time flavours, which as PV guests stop in the middle of their boot, nor the 32-bit 686-pae, which as a PVH guest says
# nothing at all: neither comes as far as to its disks. The 32-bit layout of requests is grub's.
# limit: 420 s
# cpu: max,-smap,-smep,-rdtscp
# packages: linux-image-cloud-amd64 linux-image-6.12-amd64 linux-image-6.12-cloud-amd64
. /cases/functions.sh
start_world
# kernel PACKAGE TYPE JOB GUEST
kernel() {
	local id
	note "$1 as $2"
	dd if=/dev/zero of=/srv/n.img bs=1M count=64 status=none
	cat "/boot/$4.img" "/boot/$1/modules.img" >/srv/n.initrd
	KERNEL=/boot/$1/vmlinuz RAMDISK=/srv/n.initrd TYPE=$2 MEM=500 guest n "$3" 6 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/n.img"]'
	wait_for 20 "the disk is connected" says n 'GUEST DISK'
	id=$(xl domid n)
	kills n 4
	done_well n
	nothing_left "$id"
}
kernel linux-image-6.12-amd64 pv verify guest
for p in 6.12-cloud cloud; do kernel "linux-image-$p-amd64" pv copy small; done
kernel linux-image-6.12-amd64 pvh copy small
