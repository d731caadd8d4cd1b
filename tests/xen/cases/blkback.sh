# Beside a loaded xen-blkback: disks with script=block-bulkhead are ours, every other disk and all vifs the kernel's, and both work:
# attached, detached, destroyed, with our stub, bulkheadd and bulkhead-autoprobe killed.
# limit: 250 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
bus=/sys/bus/xen-backend
modules xen-blkback llc stp bridge
ip link add br0 type bridge && ip link set br0 up && ip addr add 10.9.0.1/24 dev br0 || fail "bridge"
start_world --disks marked
wait_for 5 "no automatic binding" grep -q 0 $bus/drivers_autoprobe
truncate -s 64M /srv/a.img
driver() { basename "$(readlink "$bus/devices/$1/driver")"; }
bound() { [ "$(driver "$1")" = "$2" ] || fail "$1 is bound to '$(driver "$1")', not '$2'"; }
victim() { cat "/run/bulkhead/$1.pid"; }

config a shell 0 'disk=["vdev=xvda,access=rw,script=block-bulkhead,target=/srv/a.img", "phy:/dev/ram0,xvdb,w"]'
timed "create with a disk of each kind" 0 xl create /srv/a.cfg
wait_for 40 "a is up" says a "GUEST UP"
wait_for 20 "its disk" says a "GUEST DISK"
id=$(xl domid a)
bound "vbd-$id-51712" ""
bound "vbd-$id-51728" vbd
[ "$(bulkhead status | grep -c "xvd")" = 1 ] || fail "not one disk is ours: $(bulkhead status)"

# A driver that is loaded when its device is there already.
(usleep 1500000; insmod /modules/xen-netback.ko) &
timed "network-attach, the driver loaded meanwhile" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0
bound "vif-$id-0" vif
ask a 'until ip link set eth0 up; do usleep 50000; done; ip addr add 10.9.0.2/24 dev eth0; until ping -c1 -W1 10.9.0.1 >/dev/null; do :; done'
ask a "$(same xvdb)"

(for _ in $(seq 10); do usleep 400000; bulkhead kill "$id" xvda >/dev/null; done) &
ask a "for i in 1 2 3 4 5 6; do $(same xvda) || exit 1; done" 60
wait $!
bulkhead status

kill -9 "$(pgrep -f 'bulkhead-autoprobe')"
timed "block-attach of the kernel's, autoprobe killed" 0 xl block-attach a phy:/dev/ram1,xvdc,w
kill -9 "$(victim bulkheadd)"
timed "block-attach of ours, bulkheadd killed" 0 xl block-attach a vdev=xvdd,access=rw,script=block-bulkhead,target=/dev/ram2
bound "vbd-$id-51744" vbd
bound "vbd-$id-51760" ""
ask a "until [ -b /dev/xvdc ] && [ -b /dev/xvdd ]; do usleep 50000; done; $(same xvdc) && $(same xvdd)"
timed "block-detach of the kernel's" 0 xl block-detach a xvdc
timed "block-detach of ours" 0 xl block-detach a xvdd
timed "the kernel's name is ours now" 0 xl block-attach a vdev=xvdc,access=rw,script=block-bulkhead,target=/dev/ram2
bound "vbd-$id-51744" ""
timed "network-detach" 0 xl network-detach a 0
timed "network-attach" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0
ask a 'until ip link set eth0 up; do usleep 50000; done; ip addr add 10.9.0.2/24 dev eth0; until ping -c1 -W1 10.9.0.1 >/dev/null; do :; done'
timed "destroy" 0 xl destroy a
nothing_left "$id"
[ -z "$(ls $bus/devices)" ] || fail "devices are left: $(ls $bus/devices)"

# Without us all is as before, and a disk that is marked as ours is refused.
bulkhead stop || fail stop
[ "$(cat $bus/drivers_autoprobe)" = 1 ] || fail "automatic binding is not restored"
config b shell 0 'disk=["vdev=xvda,access=rw,script=block-bulkhead,target=/srv/a.img"]'
timed "create with a disk of ours, Bulkhead stopped" 3 xl create /srv/b.cfg
told "not offered by Bulkhead"
