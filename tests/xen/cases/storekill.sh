# xenstored is killed and begins anew with nothing, under verified I/O with kills: both ends of the disk are put back, and when the
# domain ends all goes.
# limit: 80 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
up() { bulkhead status | grep -q ' up '; }
io_guest a "$disk"
id=$(xl domid a)
tty=$(xenstore-read "/local/domain/$id/console/tty")
tell() { echo "${*:2}" >"$tty"; }
answers a
nodes vbd "$id"
kill -9 "$(cat /run/xenstored.pid)"
sleep 1
bulkhead kill "$id" xvda || fail "kill, xenstored or not"
wait_for 10 "up" up
another_xenstored
wait_for 15 "the nodes are back" xenstore-exists "/local/domain/0/backend/vbd/$id/51712/state"
nodes_differ vbd "$id"
bulkhead status
bulkhead kill "$id" xvda || fail "kill, xenstored or not"
wait_for 10 "up" up
echo "block-detach: $(timeout 20 xl block-detach "$id" 51712 2>&1)"
xl list
t=$(cut -d. -f1 /proc/uptime)
timeout 30 xl destroy "$id"
echo "destroyed: $?, $(($(cut -d. -f1 /proc/uptime) - t)) s"
nothing_left "$id"
[ "$(find /run/bulkhead/journals /run/bulkhead/devs -type f | wc -l)" = 0 ] || fail "journals or states are left"
