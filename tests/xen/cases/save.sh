# A guest is saved in the middle of verified I/O: once to go on (a checkpoint), once to be restored. Nothing is replayed for a domain
# that is shut down, nothing is left of it, and no data is lost.
# limit: 180 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
io_guest a "$disk"
answers a
id=$(xl domid a)
note "checkpoint"
xl save -c a /srv/a.save || fail "xl save -c"
note "saved"
bulkhead status
answers a
bulkhead kill "$id" xvda
answers a
grep -E "domain $id: (note|drained|resumed|closed|removed)" /run/bulkhead/log
grep -q "domain $id: note: its domain is shut down" /run/bulkhead/log || fail "nobody noticed that the domain was suspended"
note "save"
xl save a /srv/a.save || fail "xl save"
nothing_left "$id"
sleep 1
holds
note "restore"
xl restore /srv/a.save || fail "xl restore"
id=$(xl domid a)
answers a
bulkhead kill "$id" xvda
answers a
grep -E "domain [0-9]*: (note|drained|resumed|closed|removed)" /run/bulkhead/log | tail -20
