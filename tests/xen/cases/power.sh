# What an operator does to a guest under verified I/O: pause for 20 s (it isn't hung), vcpu-set, reboot, shutdown.
# limit: 200 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
start_world
again() { [ "$(console r | grep -c 'GUEST UP')" = "$1" ]; }
disk='format=raw,vdev=xvda,access=rw,target=/srv'
restarts() { bulkhead status | awk '$2 == "xvda" { print $6 }'; }

dd if=/dev/zero of=/srv/p.img bs=1M count=64 status=none
RAMDISK=/boot/guest.img MEM=700 VCPUS=2 guest p verify 30 "disk=[\"$disk/p.img\"]"
wait_for 20 "the disk is connected" says p 'GUEST DISK'
id=$(xl domid p)
xl vcpu-set p 1 || fail "vcpu-set 1"
usleep 2000000
xl pause p
sleep 20
[ "$(restarts)" = 0 ] || fail "a paused guest's stub was replaced"
xl unpause p
xl vcpu-set p 2 || fail "vcpu-set 2"
wait_for 60 "p is done" says p 'GUEST DONE'
console p | grep -aE 'GUEST'
says p 'GUEST verify rc=0' || fail "p's job failed"
console p | grep -a 'GUEST dmesg' | grep -vE 'CPU|spinlock event irq|Xen timer' && fail "p's kernel complains"
gone p
nothing_left "$id"

dd if=/dev/zero of=/srv/r.img bs=1M count=64 status=none
KERNEL_ARGS="how=wait" guest r again 2 "disk=[\"$disk/r.img\"]" 'on_reboot="restart"'
wait_for 30 "it is under load" says r 'GUEST GOES'
id=$(xl domid r)
timeout 60 xl reboot r || fail "xl reboot"
wait_for 60 "it runs again" again 2
[ "$(xl domid r)" != "$id" ] || fail "it is the same domain"
says r 'GUEST AGAIN' || wait_for 20 "the disk is the one it had" says r 'GUEST AGAIN'
id=$(xl domid r)
timeout 60 xl shutdown -w r || fail "xl shutdown"
gone r
nothing_left "$id"
