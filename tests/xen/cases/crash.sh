# A guest's kernel panics under I/O. On restart its next life has the disk at once and finds what it had written;
# on destroy another domain gets the disk.
# limit: 220 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
start_world
disk='disk=["format=raw,vdev=xvda,access=rw,target=/srv/c.img"]'
again() { [ "$(console c | grep -c 'GUEST UP')" = "$1" ]; }

dd if=/dev/zero of=/srv/c.img bs=1M count=64 status=none
KERNEL_ARGS="panic=0 how=crash" guest c again 4 "$disk" 'on_crash="restart"'
first=$(xl domid c)
wait_for 30 "it has crashed" says c 'Kernel panic'
note "crashed"
wait_for 60 "its next life" again 2
note "it runs again"
second=$(xl domid c)
[ "$first" != "$second" ] || fail "it is the same domain"
bulkhead status
done_well c
says c 'GUEST AGAIN' || fail "the disk was not the one it had"
nothing_left "$second"

dd if=/dev/zero of=/srv/c.img bs=1M count=64 status=none
KERNEL_ARGS="panic=0 how=crash" guest c again 3 "$disk"
first=$(xl domid c)
wait_for 60 "the crash" says c 'Kernel panic'
gone c
note "crashed and destroyed"
KERNEL_ARGS="how=crash" guest c again 4 "$disk"
done_well c
says c 'GUEST AGAIN' || fail "the disk was not the one it had"
nothing_left "$first"
