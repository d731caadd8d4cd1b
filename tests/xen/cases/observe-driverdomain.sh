# For comparison: what becomes of a guest whose disk is xen-blkback's in a stock driver domain (xl devd) when that domain is
# destroyed and made again. Nothing is claimed of it: it is shown.
# limit: 150 s
. /cases/functions.sh

# Of dom0's own files: its libraries, xl, the hotplug scripts, the modules.
pack() {
	local o=/srv/o
	mkdir -p $o/proc $o/sys $o/dev $o/run $o/srv $o/tmp $o/var/log/xen $o/var/lib/xen
	cp -a /bin /lib /lib64 /sbin $o/
	cp -a /etc $o/
	mkdir -p $o/usr/lib $o/modules
	cp -a /usr/bin /usr/sbin /usr/lib64 $o/usr/
	cp -a /usr/lib/x86_64-linux-gnu /usr/lib/xen-4.17 $o/usr/lib/
	cp /modules/{xen-privcmd,xenfs,xen-evtchn,xen-gntdev,xen-gntalloc,xen-blkback,brd}.ko $o/modules/
	ln -s /run $o/var/run
	ln -s /run/lock $o/var/lock
	cat >$o/init <<'I'
#!/bin/busybox sh
export PATH=/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${n%:*}" "/dev/${n#*:}"; done
mount -t tmpfs run /run
mkdir -p /run/xen /run/lock /run/xen-hotplug
for m in xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc xen-blkback; do insmod /modules/$m.ko; done
insmod /modules/brd.ko rd_nr=1 rd_size=65536
mount -t xenfs xenfs /proc/xen
xl devd -F &
sleep 1
echo "GUEST UP devd"
while :; do sleep 100; done
I
	chmod 755 $o/init
	(cd $o && find . | cpio -o -H newc 2>/dev/null) >/srv/stub.img
	rm -rf $o
}
driver_domain() {
	rm -f /var/log/xen/guest-stub.log
	timeout 60 xl create /srv/stub.cfg || fail "xl create of the driver domain"
	wait_for 40 "the driver domain is up" says stub 'GUEST UP devd'
}
stat_of() { echo "OBS driver domain, $1: $(console a | grep -a '^IO ' | tail -1)"; }

pack
RAMDISK=/srv/stub.img MEM=500 config stub none 0 'driver_domain=1'
driver_domain
guest a shell 0 'disk=["format=raw,vdev=xvda,access=rw,backendtype=phy,backend=stub,target=/dev/ram0"]'
wait_for 30 "the disk is connected" says a 'GUEST DISK'
tell a 'fio --thread --filename=/dev/xvda --direct=1 --ioengine=libaio --name=h --rw=randwrite --bs=4k --iodepth=16 --time_based --runtime=90 >/tmp/f 2>&1 &'
tell a 'while sleep 1; do awk "{ print \"IO answered\", \$1 + \$5, \"in flight\", \$9 }" /sys/block/xvda/stat; done &'
wait_for 20 "I/O" says a '^IO answered [1-9]'
usleep 3000000
stat_of "before"
xl destroy stub
echo "OBS driver domain: xl destroy ends with $?"
usleep 10000000
stat_of "10 s after its end"
driver_domain
usleep 10000000
stat_of "10 s after there is a new one (domain $(xl domid stub))"
