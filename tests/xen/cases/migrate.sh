# A live migration to where the guest is, in the middle of verified I/O: for a while there are two domains of one VM, and its image
# goes from the one to the other.
# limit: 100 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
io_guest a "$disk"
bulkhead events >/srv/events 2>&1 &
sleep 1
answers a
for _ in 1 2; do
	id=$(xl domid a)
	note "migration"
	xl migrate -s '' a 'xl migrate-receive' >/srv/migrate 2>&1 || { cat /srv/migrate /srv/events; fail "xl migrate"; }
	note "migrated"
	nothing_left "$id"
	id=$(xl domid a)
	answers a
	bulkhead kill "$id" xvda
	answers a
done
cat /srv/events
