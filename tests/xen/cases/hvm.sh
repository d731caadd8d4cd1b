# Linux as an HVM guest: on xvda, whose image its QEMU opens as an IDE disk until the kernel unplugs it, and xvde, which QEMU does not
# have (docs/decisions/0009). xvda's stub is killed once.
# limit: 360 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256 TYPE=hvm
whole() { grep -q "xvda of domain $id: .*it is reserved" /run/bulkhead/log; }
start_world
dd if=/dev/zero of=/srv/h.img bs=1M count=64 status=none
truncate -s 16M /srv/e.img
# Its BIOS and a kernel that is loaded through I/O ports take their time.
KERNEL_ARGS="disks=xvda,xvde" create h copy 6 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/h.img",
"format=raw,vdev=xvde,access=rw,target=/srv/e.img"]' 'vga="none"' 'vnc=0'
wait_for 240 "h is up" says h 'GUEST UP'
wait_for 30 "the disk is connected" says h 'GUEST DISK'
id=$(xl domid h)
grep "may be opened by its guest's QEMU" /run/bulkhead/log || fail "xvda's reservation does not yield"
wait_for 10 "xvda's image is reserved" whole
bulkhead kill "$id" xvda || fail "kill"
wait_for 60 "h is done" says h 'GUEST DONE'
console h | grep -a GUEST
says h 'GUEST copy rc=0' || fail "h's job failed"
gone h
nothing_left "$id"
