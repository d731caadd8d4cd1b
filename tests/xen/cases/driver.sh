# bulkheadd in a driver domain, in place of xl devd: an unmodified xl gives guests disks of it (backend=NAME), stubs are killed there
# under verified I/O, disks attached, detached, refused; guests and the domain itself destroyed.
# limit: 250 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256
. /cases/driver_functions.sh
no_nodes() { not xenstore-exists "/local/domain/$s/backend/vbd/$1" && not xenstore-exists "/libxl/$1"; }

pack
RAMDISK=/srv/stub.img config stub none 0 'driver_domain=1'
driver_domain
guest a copy 20 'disk=["vdev=xvda,access=rw,backend=stub,target=/srv/a.img"]'
id=$(xl domid a)
wait_for 20 "the disk is connected" says a 'GUEST DISK'
for _ in $(seq 10); do ask stub "usleep 300000; bulkhead kill $id xvda"; done
ask stub "bulkhead status; bulkhead list | grep $id.*xvda"
done_well a
wait_for 10 "the nodes are gone" no_nodes "$id"

config b shell 0 'disk=["vdev=xvda,access=rw,backend=stub,target=/dev/ram0"]'
timed "create" 0 xl create /srv/b.cfg
wait_for 40 "b is up" says b "GUEST UP"
wait_for 20 "its disk" says b "GUEST DISK"
id=$(xl domid b)
timed "block-attach" 0 xl block-attach b vdev=xvdb,access=rw,backend=stub,target=/srv/a.img
ask b 'until [ -b /dev/xvdb ]; do usleep 50000; done; dd if=/dev/xvdb of=/dev/null bs=1M count=1'
timed "block-detach" 0 xl block-detach b xvdb
t=$(uptime_s)
xl block-attach b vdev=xvdb,access=rw,backend=stub,target=/srv/none.img && fail "what is not there is attached"
t=$(echo "$(uptime_s) $t" | awk '{ printf "%.1f", $1 - $2 }')
echo "OBS block-attach of what is not there: $t s"
[ "${t%.*}" -lt 9 ] || fail "libxl waited"
ask stub "grep 'none.img: there is no such file' /run/bulkhead/log"
timed "block-detach of what was refused" 0 xl block-detach b xvdb
ask stub 'kill -9 $(cat /run/bulkhead/bulkheadd.pid)'
timed "block-attach, bulkheadd killed" 0 xl block-attach b vdev=xvdb,access=rw,backend=stub,target=/srv/a.img
ask b 'until [ -b /dev/xvdb ]; do usleep 50000; done; dd if=/dev/xvdb of=/dev/null bs=1M count=1'
timed "destroy" 0 xl destroy b
wait_for 10 "the nodes are gone" no_nodes "$id"
ask stub '! grep -lx bulkhead-blk /proc/[0-9]*/comm'

# The domain itself: its successor, a new domain, serves new guests.
timed "destroy the driver domain" 0 xl destroy stub
driver_domain
timed "create" 0 xl create /srv/b.cfg
wait_for 20 "its disk is offered" xenstore-exists "/local/domain/$s/backend/vbd/$(xl domid b)/51712/sectors"
timed "destroy" 0 xl destroy b
timed "destroy the driver domain" 0 xl destroy stub
