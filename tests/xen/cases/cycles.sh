# A disk's ways to come and go: closed and connected anew, detached and attached, its guest crashed, destroyed in the middle of
# I/O. After each nothing is left of it.
# limit: 120 s
. /cases/functions.sh
start_world
for i in a b; do dd if=/dev/zero of=/srv/$i.img bs=1M count=32 status=none; done
a='format=raw,vdev=xvda,access=rw,target=/srv/a.img' b='format=raw,vdev=xvdb,access=rw,target=/srv/b.img'
wait_for 10 "the blank stub" pgrep -x bulkhead-blk
sleep 1
holds >/srv/before
io='fio --thread --name=v --filename=/dev/xvda --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --verify=crc32c --size=8m --time_based'
back() { [ "$(xenstore-read "/local/domain/0/backend/vbd/$id/$1/state")" = "$2" ]; }

MEM=256 guest a shell 0 "disk=[\"$a\"]"
id=$(xl domid a)
wait_for 20 "the disk" says a 'GUEST DISK'
front=/local/domain/$id/device/vbd/51712
note "close and connect anew"
for i in 1 2 3; do
	tell a 'echo vbd-51712 >/sys/bus/xen/drivers/vbd/unbind; echo UNBOUND'
	wait_for 10 "closed" back 51712 6
	[ "$(bulkhead status | grep -c closed)" = 1 ] || fail "status after the close: $(bulkhead status)"
	xenstore-write "$front/state" 1
	wait_for 10 "offered" back 51712 2
	tell a 'echo vbd-51712 >/sys/bus/xen/drivers/vbd/bind'
	wait_for 10 "connected" back 51712 4
done
tell a "$io --runtime=2 && echo IO''1 WELL"
wait_for 20 "I/O over the third connection" says a 'IO1 WELL'
note "detach and attach, three times, with kills"
holds >/srv/with-a
for i in 1 2 3; do
	xl block-attach a "$b" || fail "block-attach"
	wait_for 10 "xvdb is connected" back 51728 4
	bulkhead kill "$id" xvdb
	xl block-detach a xvdb || fail "block-detach"
	nothing_more /srv/with-a
done
note "the guest crashes in the middle of I/O"
tell a "$io --runtime=60 &"
sleep 2
tell a 'echo c >/proc/sysrq-trigger'
gone a
nothing_left "$id"
nothing_more /srv/before
note "destroyed in the middle of I/O, with kills"
MEM=256 guest a load 60 "disk=[\"$a\",\"$b\"]"
id=$(xl domid a)
wait_for 20 "the disk" says a 'GUEST DISK'
sleep 1
bulkhead kill "$id" xvda
xl destroy a || fail "destroy"
nothing_left "$id"
nothing_more /srv/before
