# bulkheadd in a driver domain, in place of xl devd: an unmodified xl gives guests disks of it (backend=NAME), stubs are killed there
# under verified I/O, disks attached, detached, refused; guests and the domain itself destroyed.
# limit: 250 s
. /cases/functions.sh
export RAMDISK=/boot/small.img MEM=256

# The smallest system: busybox, our programs, xenstore's tools.
pack() {
	local f l lib=usr/lib/x86_64-linux-gnu o=/srv/stub
	mkdir -p $o/usr/bin $o/usr/libexec/bulkhead $o/usr/lib64 $o/$lib $o/modules $o/proc $o/sys $o/dev $o/run $o/srv $o/tmp $o/etc
	for f in bin lib lib64; do ln -s usr/$f $o/$f; done
	cp /bin/busybox $o/usr/bin/
	cp -L /usr/lib64/ld-linux-x86-64.so.2 $o/usr/lib64/
	echo 'root:x:0:0::/root:/bin/sh' >$o/etc/passwd
	cp /modules/{xen-privcmd,xenfs,xen-evtchn,xen-gntdev,xen-gntalloc,brd}.ko $o/modules/
	cp /usr/libexec/bulkhead/{bulkhead,bulkheadd,bulkhead-blk,bulkhead-keep,bulkhead-autoprobe} $o/usr/libexec/bulkhead/
	cp -L /usr/bin/xenstore-{read,ls,exists} $o/usr/bin/
	ln -s ../libexec/bulkhead/bulkhead $o/usr/bin/bulkhead
	for f in $o/usr/libexec/bulkhead/bulkhead{,d,-keep,-autoprobe} $o/usr/bin/xenstore-*; do /usr/lib64/ld-linux-x86-64.so.2 --list "$f" 2>/dev/null; done | awk '$2 == "=>" { print $3 }' | sort -u |
		while read -r l; do cp -L "$l" $o/$lib/; done
	cp -L /$lib/libgcc_s.so.1 $o/$lib/
	cat >$o/init <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /usr/bin
export PATH=/usr/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs srv /srv
for m in xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc; do insmod /modules/$m.ko; done
insmod /modules/brd.ko rd_nr=3 rd_size=65536
mount -t xenfs xenfs /proc/xen
truncate -s 64M /srv/a.img
ulimit -n 65536
bulkhead start --hang-ms 1000 || cat /run/bulkhead/log
echo "GUEST UP domain $(xenstore-read domid)"
while :; do sh </dev/console; done
I
	chmod 755 $o/init
	(cd $o && find . | cpio -o -H newc 2>/dev/null) >/srv/stub.img
	rm -rf $o
}

driver_domain() {
	rm -f /var/log/xen/guest-stub.log
	timed "create the driver domain" 0 xl create /srv/stub.cfg
	wait_for 40 "the driver domain is up" says stub "GUEST UP domain"
	s=$(xl domid stub)
}
no_nodes() { not xenstore-exists "/local/domain/$s/backend/vbd/$1" && not xenstore-exists "/libxl/$1"; }

# What happened there is seen in its console.
dump_there() { xl domid stub >/dev/null && (ask stub 'cat /run/bulkhead/log; bulkhead status; xenstore-ls backend; ps'); console stub | tail -60; }
trap 'rc=$?; [ $rc = 0 ] || { dump_there; dump; }; cleanup' EXIT

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
