# An ordinary disk line, dom0 without xen-blkback: the guest's own blkfront on our stub, which is killed 20 times under verified I/O.
# limit: 180 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
guest a verify 16 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
wait_for 20 "the disk is connected" says a 'GUEST DISK'
id=$(xl domid a)
kills a 20
bulkhead status
done_well a
nothing_left "$id"
