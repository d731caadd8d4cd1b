# An unmodified xl and every kind of disk line, dom0 without xen-blkback: what is served works, what can not be is refused at once and
# the reason is shown by xl. Nothing of xl's waits for a time-out.
# limit: 200 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
start_world
for f in a b c; do truncate -s 64M /srv/$f.img; done
config a shell 0 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img", "phy:/dev/ram0,xvdb,w",
	"format=raw,vdev=xvdc,access=ro,backendtype=phy,script=block-bulkhead,target=/dev/ram1",
	"format=raw,vdev=xvdd,devtype=cdrom,access=ro,script=block-bulkhead,target=/srv/c.img",
	"vdev=xvde,access=rw,script=block-bulkhead,target=mem:8M,poll-us=0"]'
timed "create with five disks" 0 xl create /srv/a.cfg
wait_for 40 "a is up" says a "GUEST UP"
wait_for 20 "its disk" says a "GUEST DISK"
id=$(xl domid a)
ask a "$(same xvda) && $(same xvdb) && $(same xvde)"
ask a '[ "$(cat /sys/block/xvdc/ro /sys/block/xvdd/ro | xargs)" = "1 1" ] && [ -b /dev/xvdd ] && ! dd if=/tmp/xvda of=/dev/xvdc bs=4k count=1 conv=fsync 2>/dev/null'
timed "block-list" 0 xl block-list a
[ "$(grep -c 'backend/vbd' /tmp/out)" = 5 ] || fail "block-list: $(cat /tmp/out)"
timed "block-attach" 0 xl block-attach a format=raw,vdev=xvdf,access=rw,target=/dev/ram2
ask a 'until [ -b /dev/xvdf ]; do usleep 50000; done; dd if=/tmp/xvda of=/dev/xvdf bs=1M conv=fsync'
timed "block-detach" 0 xl block-detach a xvdf
ask a '[ ! -b /dev/xvdf ]'

# One image for two: refused at once, with either script, and by a new guest as well.
timed "block-attach of an image in use" 1 xl block-attach a format=raw,vdev=xvdg,access=rw,target=/srv/a.img
told "/srv/a.img is in use as xvda of a"
bulkhead status | grep -q "in use as xvda of a" || fail "status does not say why"
timed "block-detach of what was refused" 0 xl block-detach a xvdg
timed "block-attach of a block device in use" 1 xl block-attach a phy:/dev/ram0,xvdg,w
told "/dev/ram0 is in use as xvdb of a"
timed "block-detach of what was refused" 0 xl block-detach a xvdg
timed "block-attach of a missing file, xl's own check" 1 xl block-attach a format=raw,vdev=xvdg,access=rw,target=/srv/none.img
timed "block-attach of a missing file, script=block-bulkhead" 1 xl block-attach a vdev=xvdg,access=rw,script=block-bulkhead,target=/srv/none.img
told "/srv/none.img: there is no such file"
timed "block-detach of what was refused" 0 xl block-detach a xvdg
truncate -s 100 /srv/small.img
timed "block-attach of a file too small to be a disk" 1 xl block-attach a format=raw,vdev=xvdg,access=rw,target=/srv/small.img
grep "script:" /tmp/out
timed "block-detach of what was refused" 0 xl block-detach a xvdg
timed "the same name again, a good one" 0 xl block-attach a format=raw,vdev=xvdg,access=rw,target=/srv/b.img
ask a 'until [ -b /dev/xvdg ]; do usleep 50000; done'
config b shell 0 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
timed "create with an image in use" 3 xl create /srv/b.cfg
told "/srv/a.img is in use as xvda of a"
not xl domid b || fail "a domain is left"

# As udev may do at any time: it binds nothing.
insmod /modules/xen-blkback.ko || fail "insmod xen-blkback"
timed "block-attach, xen-blkback loaded meanwhile" 0 xl block-attach a phy:/dev/ram3,xvdh,w
ask a "until [ -b /dev/xvdh ]; do usleep 50000; done; $(same xvdh) && $(same xvda)"
not ls -d /sys/bus/xen-backend/drivers/vbd/vbd-* || fail "xen-blkback has taken a disk"

bulkhead status
leave a
done_well a
nothing_left "$id"
rmmod xen-blkback
[ -z "$(losetup -a)" ] || fail "a loop device is left: $(losetup -a)"
