# Linux as an HVM guest, on a disk that QEMU has no IDE disk for (docs/xen.md, "Which frontends"). Killed once.
# limit: 240 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256 TYPE=hvm
start_world
dd if=/dev/zero of=/srv/h.img bs=1M count=64 status=none
# Its BIOS and a kernel that is loaded through I/O ports take their time.
KERNEL_ARGS="disks=xvde" create h copy 6 'disk=["format=raw,vdev=xvde,access=rw,target=/srv/h.img"]' 'vga="none"' 'vnc=0'
wait_for 140 "h is up" says h 'GUEST UP'
wait_for 30 "the disk is connected" says h 'GUEST DISK'
id=$(xl domid h)
bulkhead kill "$id" xvde || fail "kill"
wait_for 60 "h is done" says h 'GUEST DONE'
console h | grep -a GUEST
says h 'GUEST copy rc=0' || fail "h's job failed"
gone h
nothing_left "$id"
