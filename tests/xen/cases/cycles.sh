# A second disk is attached and detached, with kills, also after the guest's own driver has closed it; then the guest crashes in the
# middle of I/O. After each nothing is left.
# limit: 100 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
dd if=/dev/zero of=/srv/b.img bs=1M count=16 status=none
back() { [ "$(xenstore-read "/local/domain/0/backend/vbd/$id/$1/state")" = "$2" ]; }
MEM=320 guest a shell 0 "$disk"
id=$(xl domid a)
wait_for 20 "the disk" says a 'GUEST DISK'
sleep 1
holds >/srv/with-a
note "attach and detach"
for i in 1 2; do
	xl block-attach a 'format=raw,vdev=xvdb,access=rw,target=/srv/b.img' || fail "block-attach"
	wait_for 10 "xvdb is connected" back 51728 4
	bulkhead kill "$id" xvdb
	if [ $i = 2 ]; then
		tell a 'echo vbd-51728 >/sys/bus/xen/drivers/vbd/unbind'
		wait_for 10 "closed" back 51728 6
	fi
	xl block-detach a xvdb || fail "block-detach"
	nothing_more /srv/with-a
done
note "crash"
tell a 'fio --thread --name=w --filename=/dev/xvda --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --time_based --runtime=60 >/dev/null &'
sleep 2
tell a 'echo c >/proc/sysrq-trigger'
gone a
nothing_left "$id"
holds
[ "$(find /run/bulkhead/journals /run/bulkhead/devs -type f | wc -l)" = 0 ] || fail "journals or states are left"
