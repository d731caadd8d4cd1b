# Linux as a PVH guest: hardware's page tables and interrupts instead of Xen's own. Killed 10 times under verified I/O.
# limit: 100 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/p.img bs=1M count=64 status=none
TYPE=pvh guest p verify 12 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/p.img"]'
wait_for 20 "the disk is connected" says p 'GUEST DISK'
id=$(xl domid p)
kills p 10
done_well p
nothing_left "$id"
