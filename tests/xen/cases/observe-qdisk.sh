# For comparison: what becomes of a guest whose disk is qemu's (qdisk) when that qemu is killed. Nothing is claimed of it: it is shown.
# limit: 120 s
. /cases/functions.sh
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
stat_of() { echo "OBS qdisk, $1: $(console a | grep -a '^IO ' | tail -1)"; }

guest a shell 0 'disk=["format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=/srv/a.img"]'
wait_for 30 "the disk is connected" says a 'GUEST DISK'
id=$(xl domid a)
tell a "stty -echo"
tell a 'fio --thread --filename=/dev/xvda --direct=1 --ioengine=libaio --name=h --rw=randwrite --bs=4k --iodepth=16 --time_based --runtime=60 >/tmp/f 2>&1 &'
# In words: answered requests, requests in flight.
tell a 'while sleep 1; do awk "{ print \"IO answered\", \$1 + \$5, \"in flight\", \$9 }" /sys/block/xvda/stat; done &'
wait_for 20 "I/O" says a '^IO answered [1-9]'
usleep 3000000
stat_of "before"
qemu=$(pgrep -f "xen-qemu-system.*-xen-domid $id" | head -1)
[ -n "$qemu" ] || qemu=$(pgrep -f xen-qemu-system | head -1)
kill -9 "$qemu" || skip "no qemu of the guest found"
for t in 5 15 30; do
	usleep $((t == 5 ? 5000000 : t == 15 ? 10000000 : 15000000))
	stat_of "$t s after kill -9 of qemu"
done
echo "OBS qdisk: backend state $(xenstore-read "/local/domain/0/backend/qdisk/$id/51712/state"), a new qemu: $(pgrep -c -f xen-qemu-system)"
timeout 30 xl block-detach a xvda
echo "OBS qdisk: xl block-detach ends with $?"
