# A guest that is suspended in the middle of verified I/O: saved and goes on (a checkpoint), saved and restored, migrated to where
# it is. Its requests are lost nowhere and nothing is replayed for the domain that it has left.
# limit: 150 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=32 status=none
wait_for 10 "the blank stub" pgrep -x bulkhead-blk
sleep 1
holds >/srv/before
bulkhead events >/srv/events 2>&1 &
io='fio --thread --name=v --filename=/dev/xvda --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --verify=crc32c --verify_backlog=64 --size=8m --time_based --runtime=600'
answers() {
	tell a "fio --thread --name=r --filename=/dev/xvda --direct=1 --rw=read --size=256k >/dev/null && pgrep fio >/dev/null && echo ANSWER''$1"
	wait_for 30 "the disk answers ($1)" says a "ANSWER$1"
}
MEM=128 guest a shell 0 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
wait_for 20 "the disk" says a 'GUEST DISK'
tell a "$io &"
sleep 1
answers 1
id=$(xl domid a)
note "a checkpoint"
xl save -c a /srv/a.save || fail "xl save -c"
note "saved; $(bulkhead status | tail -1)"
answers 2
grep -q 'its domain is shut down' /srv/events || fail "nobody noticed that the domain was suspended"
note "save and restore"
xl save a /srv/a.save || fail "xl save"
nothing_left "$id"
nothing_more /srv/before
xl restore /srv/a.save || fail "xl restore"
id=$(xl domid a)
answers 3
bulkhead kill "$id" xvda
answers 4
note "migration"
xl migrate -s '' a 'xl migrate-receive' || fail "xl migrate"
nothing_left "$id"
id=$(xl domid a)
answers 5
bulkhead kill "$id" xvda
answers 6
bulkhead status
tell a 'pkill -INT fio; wait; dmesg | grep -v random: | tail; echo THE"" END'
wait_for 20 "the end" says a 'THE END'
! console a | grep -aqE 'verify: bad|I/O error' || fail "data: $(console a | grep -aE 'verify|error' | head)"
cat /srv/events
xl destroy a
nothing_left "$id"
nothing_more /srv/before
