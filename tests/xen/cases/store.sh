# xenstored in trouble, under I/O: stopped for 8 s, updated live, killed and started anew.
# limit: 120 s
. /cases/functions.sh
start_world
for i in a b; do dd if=/dev/zero of=/srv/$i.img bs=1M count=32 status=none; done
io='fio --thread --name=v --filename=/dev/xvda --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --verify=crc32c --verify_backlog=64 --size=8m --time_based --runtime=600'
answers() {
	tell a "fio --thread --name=r --filename=/dev/xvda --direct=1 --rw=read --size=256k >/dev/null && pgrep fio >/dev/null && echo ANSWER''$1"
	wait_for 30 "the disk answers ($1)" says a "ANSWER$1"
}
up() { bulkhead status | grep -q ' up '; }
MEM=128 guest a shell 0 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
id=$(xl domid a)
wait_for 20 "the disk" says a 'GUEST DISK'
tty=$(xenstore-read "/local/domain/$id/console/tty")
tell() { echo "${*:2}" >"$tty"; }
tell a "$io &"
answers 1
note "stopped for 8 s, with a kill in it"
pid=$(cat /run/xenstored.pid)
kill -STOP "$pid"
sleep 1
bulkhead kill "$id" xvda
sleep 7
answers 2
kill -CONT "$pid"
wait_for 10 "up" up
xl block-attach a 'format=raw,vdev=xvdb,access=rw,target=/srv/b.img' || fail "block-attach"
note "updated live"
xenstore-ls /local/domain/0/backend/vbd >/srv/nodes
xenstore-control live-update -t 10 -F /usr/lib/xen-4.17/bin/xenstored || fail "live-update"
xenstore-ls /local/domain/0/backend/vbd | diff /srv/nodes - || fail "other nodes"
xl block-detach a xvdb || fail "block-detach"
bulkhead kill "$id" xvda
answers 3
note "killed"
kill -9 "$pid"
sleep 1
bulkhead kill "$id" xvda
wait_for 10 "up" up
xenstored --pid-file /run/xenstored.pid
xen-init-dom0
wait_for 10 "the nodes are back" xenstore-exists "/local/domain/0/backend/vbd/$id/51712/state"
diff <(xenstore-ls /local/domain/0/backend/vbd) /srv/nodes
xenstore-ls -f -p "/local/domain/$id"
bulkhead status
bulkhead kill "$id" xvda
wait_for 10 "up" up
xl list
echo "block-detach by number: $(timeout 20 xl block-detach "$id" 51712 2>&1)"
xenstore-ls -f /local/domain/0/backend/vbd
sleep 1
timeout 30 xl destroy "$id"
xl list
xenstore-ls -f /local/domain/0/backend
bulkhead status
nothing_left "$id"
