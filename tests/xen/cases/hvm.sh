# Linux as an HVM guest, which has QEMU's devices too. A disk from xvde on is ours alone; QEMU opens what is named xvda to xvdd
# (hda to hdd) as an IDE disk of its own, and so do we.
# limit: 150 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256 TYPE=hvm
start_world
hvm() {
	local id
	dd if=/dev/zero of=/srv/h.img bs=1M count=64 status=none
	KERNEL_ARGS="disks=$1" guest h copy 6 "disk=[\"format=raw,vdev=$1,access=$2,target=/srv/h.img\"]" 'vga="none"' 'vnc=0'
	wait_for 20 "the disk is connected" says h 'GUEST DISK'
	id=$(xl domid h)
	bulkhead kill "$id" "$1" || fail "kill"
	wait_for 60 "h is done" says h 'GUEST DONE'
	console h | grep -a GUEST
	says h 'GUEST copy rc=0' || fail "h's job failed"
	gone h
	nothing_left "$id"
}
hvm xvde w
note "xvde: well"
hvm xvda w
