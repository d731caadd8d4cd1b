# An unmodified xl with bulkheadd or the stubs dead at that very moment: no command waits for a time-out of its own. Reboot, shutdown, a paused
# guest, and a disk of QEMU's beside ours.
# limit: 250 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
start_world
truncate -s 64M /srv/a.img /srv/b.img /srv/q.img
our="script=block-bulkhead"
supervisor() { kill -9 "$(cat /run/bulkhead/bulkheadd.pid)"; }
stubs() { pkill -9 -x bulkhead-blk || fail "no stub to kill"; }
# when_there NODE [VALUE]: kills the supervisor when xl has just written it.
when_there() {
	(
		until [ "$(xenstore-read "$1" 2>/dev/null)" = "$2" ]; do :; done
		supervisor
	) &
}
back() { echo "/local/domain/0/backend/vbd/$id/$1"; }
up() { wait_for 40 "$1 is up" says "$1" "GUEST UP" && wait_for 20 "its disk" says "$1" "GUEST DISK"; }

config a shell 0 "disk=[\"vdev=xvda,access=rw,$our,target=/srv/a.img\", \"format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target=/srv/q.img\"]"
(
	until [ -n "$(xenstore-list /local/domain/0/backend/vbd 2>/dev/null)" ]; do :; done
	supervisor
) &
timed "create, bulkheadd killed when the nodes are there" 0 xl create /srv/a.cfg
wait
id=$(xl domid a)
up a
[ "$(bulkhead status | grep -c xvd)" = 1 ] || fail "not one disk is ours: $(bulkhead status)"
ask a "$(same xvda) && $(same xvdb)"

supervisor
timed "block-attach, bulkheadd killed before" 0 xl block-attach a vdev=xvdc,access=rw,$our,target=/srv/b.img
when_there "$(back 51760/state)" 1
timed "block-attach, bulkheadd killed when the nodes are there" 0 xl block-attach a vdev=xvdd,access=rw,$our,target=mem:4M
wait
supervisor
timed "block-attach of an image in use, bulkheadd killed before" 1 xl block-attach a vdev=xvde,access=rw,$our,target=/srv/b.img
told "/srv/b.img is in use as xvdc of a"
timed "block-detach of what was refused" 0 xl block-detach a xvde
ask a "until [ -b /dev/xvdc ] && [ -b /dev/xvdd ]; do usleep 50000; done; $(same xvdc)"
stubs
timed "block-detach, all stubs killed before" 0 xl block-detach a xvdc
when_there "$(back 51760/online)" 0
timed "block-detach, bulkheadd killed when xl asks for it" 0 xl block-detach a xvdd
wait
supervisor
stubs
ask a "$(same xvda)"

old=$(xl domid a)
t=$(uptime_s)
rm -f /var/log/xen/guest-a.log
timed "reboot" 0 xl reboot a
again() { [ -n "$(xl domid a 2>/dev/null)" ] && [ "$(xl domid a)" != "$old" ]; }
wait_for 40 "a's next domain" again
up a
echo "OBS rebooted, with its disk again: $(echo "$(uptime_s) $t" | awk '{ printf "%.1f", $1 - $2 }') s"
ask a "$(same xvda)"
id=$(xl domid a)
supervisor
timed "destroy, bulkheadd killed before" 0 xl destroy a
nothing_left "$id"

config b shell 0 "disk=[\"vdev=xvda,access=rw,$our,target=/srv/b.img\"]"
timed "create -p" 0 xl create -p /srv/b.cfg
id=$(xl domid b)
supervisor
timed "unpause" 0 xl unpause b
up b
stubs
ask b "$(same xvda)"
timed "shutdown -w" 0 xl shutdown -w b
nothing_left "$id"
