# xl destroy in the middle of I/O, with a kill just before; everything is as after the first time.
# limit: 100 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=16 status=none
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
for i in 1 2; do
	MEM=320 guest a load 60 "$disk"
	id=$(xl domid a)
	wait_for 20 "the disk" says a 'GUEST DISK'
	sleep 1
	bulkhead kill "$id" xvda
	xl destroy a || fail "destroy"
	nothing_left "$id"
	[ $i = 1 ] && sleep 1 && holds | tee /srv/before
done
nothing_more /srv/before
