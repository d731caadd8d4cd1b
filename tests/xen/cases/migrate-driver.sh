# A live migration as between two hosts, under verified I/O: the guest's disk is a driver domain's before it and another one's after it, and
# both have the same storage. No driver domain is told that a guest is suspended, so a stub that dies then replays what was in flight; each one
# is killed three times a second all the while, also between the guest's suspend and its end.
# limit: 300 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
. /cases/driver_functions.sh
start_world
dd if=/dev/zero of=/srv/shared.img bs=1M count=64 status=none
export MEM=256
pack xen-blkfront
for n in 0 1; do
	losetup "/dev/loop$n" /srv/shared.img # two devices: each is one domain's
	RAMDISK=/srv/stub.img config "stub$n" none 0 'driver_domain=1' "disk=[\"phy:/dev/loop$n,xvda,w\"]"
	driver_domain "stub$n"
	ask "stub$n" 'until [ -b /dev/xvda ]; do usleep 100000; done'
done
trap 'rc=$?; [ $rc = 0 ] || { for n in 0 1; do dump_there stub$n; done; dump; }; cleanup' EXIT

disk() { echo "disk=[\"vdev=xvda,access=rw,backend=stub$1,script=block-bulkhead,target=/dev/xvda,delay=20\"]"; }
# The second domain's console is logged under the name that it has until the first is gone.
console() { tr -d '\r' <"/var/log/xen/guest-$1.log"; [ ! -e "/var/log/xen/guest-$1--incoming.log" ] || tr -d '\r' <"/var/log/xen/guest-$1--incoming.log"; }
says() { console "$1" | grep -qa "$2"; }
MEM=400 TYPE=pvh io_guest a "$(disk 0)"
cp /srv/a.cfg /srv/there.cfg
sed -i "s/backend=stub0/backend=stub1/" /srv/there.cfg
answers a
id=$(xl domid a)
for n in 0 1; do
	tell "stub$n" 'while [ ! -e /tmp/stop ]; do for p in $(pidof bulkhead-blk); do kill -9 $p && echo X >>/tmp/kills; done; usleep 300000; done &'
done
note "migration"
xl migrate -C /srv/there.cfg -s '' a 'xl migrate-receive' >/srv/migrate 2>&1 || { cat /srv/migrate; fail "xl migrate"; }
note "migrated"
answers a
for n in 0 1; do ask "stub$n" ': >/tmp/stop; bulkhead status; echo "KI''LLS $(wc -l </tmp/kills)"'; done
answers a
wait_for 10 "the source's nodes are gone" not xenstore-exists "/local/domain/$(xl domid stub0)/backend/vbd/$id"
ask stub0 '! grep -lx bulkhead-blk /proc/[0-9]*/comm'
ask stub1 "bulkhead kill $(xl domid a) xvda"
answers a
for n in 0 1; do echo "OBS migrate-driver: stub$n, $(console "stub$n" | sed -n 's/^KILLS //p') kills"; done
