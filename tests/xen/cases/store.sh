# xenstored stands still for 8 s, and is updated live, under verified I/O with kills.
# limit: 80 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
dd if=/dev/zero of=/srv/b.img bs=1M count=16 status=none
up() { bulkhead status | grep -q ' up '; }
io_guest a "$disk"
id=$(xl domid a)
tty=$(xenstore-read "/local/domain/$id/console/tty")
tell() { echo "${*:2}" >"$tty"; }
answers a
note "stopped"
pid=$(cat /run/xenstored.pid)
kill -STOP "$pid"
sleep 1
bulkhead kill "$id" xvda || fail "kill"
sleep 7
answers a
kill -CONT "$pid"
wait_for 10 "up" up
xl block-attach a 'format=raw,vdev=xvdb,access=rw,target=/srv/b.img' || fail "block-attach"
note "updated live"
xenstore-ls /local/domain/0/backend/vbd >/srv/nodes
/usr/lib/xen-4.17/bin/xenstore-control live-update -t 10 -F /usr/lib/xen-4.17/bin/xenstored || fail "live-update"
xenstore-ls /local/domain/0/backend/vbd | diff /srv/nodes - || fail "other nodes"
bulkhead kill "$id" xvda || fail "kill"
xl block-detach a xvdb || fail "block-detach"
answers a
