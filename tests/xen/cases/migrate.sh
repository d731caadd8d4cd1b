# A live migration to where the guest is, in the middle of verified I/O: for a while there are two domains of one VM, and its image
# goes from the one to the other.
# A PV guest needs Xen's log-dirty mode, which Debian's lacks; a PVH guest needs a CPU without rdtscp when it is emulated
# (XEN_CPU=max,-smap,-smep,-rdtscp).
# limit: 150 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
grep -qw rdtscp /proc/cpuinfo || TYPE=pvh
io_guest a "$disk"
# The second domain's console is logged under the name that it has until the first is gone.
console() { tr -d '\r' </var/log/xen/guest-a.log; [ ! -e /var/log/xen/guest-a--incoming.log ] || tr -d '\r' </var/log/xen/guest-a--incoming.log; }
says() { console | grep -qa "$2"; }
answers a
for _ in 1 2; do
	id=$(xl domid a)
	note "migration"
	xl migrate -s '' a 'xl migrate-receive' >/srv/migrate 2>&1 || {
		! grep -q 'Failed to enable logdirty' /srv/migrate || skip "this Xen can not migrate a PV guest: no log-dirty mode"
		cat /srv/migrate
		fail "xl migrate"
	}
	note "migrated"
	nothing_left "$id"
	id=$(xl domid a)
	answers a
	bulkhead kill "$id" xvda
	answers a
done
grep -E "domain [0-9]*: (note|offered|drained|resumed|closed|removed)" /run/bulkhead/log | tail -30
