# Live migrations to where the guest is, in the middle of verified I/O: for a while there are two domains of one VM, and its image
# goes from the one to the other. In the second one every stub is killed three times a second all the while, also the source's between the
# guest's suspend and its end.
# A PVH guest: Debian's Xen can not migrate a PV one ("Failed to enable logdirty").
# limit: 300 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
MEM=400 TYPE=pvh io_guest a "$disk"
# The second domain's console is logged under the name that it has until the first is gone.
console() { tr -d '\r' </var/log/xen/guest-a.log; [ ! -e /var/log/xen/guest-a--incoming.log ] || tr -d '\r' </var/log/xen/guest-a--incoming.log; }
says() { console | grep -qa "$2"; }
answers a
kill_stubs() { while [ ! -e /srv/stop ]; do pkill -9 -x bulkhead-blk; usleep 300000; done; }
for kills in without with; do
	id=$(xl domid a)
	note "migration $kills kills"
	holds >/srv/before
	rm -f /srv/stop
	[ $kills = without ] || kill_stubs &
	xl migrate -s '' a 'xl migrate-receive' >/srv/migrate 2>&1 || { cat /srv/migrate; fail "xl migrate"; }
	note "migrated"
	: >/srv/stop
	wait
	answers a
	nothing_more /srv/before
	nothing_of "$id"
	id=$(xl domid a)
	answers a
	bulkhead kill "$id" xvda
	answers a
done
grep -E "domain [0-9]*: (note|offered|drained|resumed|closed|removed)" /run/bulkhead/log | tail -30
