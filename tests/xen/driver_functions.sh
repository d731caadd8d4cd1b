# For cases with a driver domain, called stub where no name is given: sourced after functions.sh.
# pack [MODULE...]: the smallest system, busybox, our programs, xenstore's tools; more modules are loaded in that order. What is in START
# (a shell's commands) is done before Bulkhead starts.
pack() {
	local f l modules="xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc" lib=usr/lib/x86_64-linux-gnu o=/srv/stub
	mkdir -p $o/usr/bin $o/usr/libexec/bulkhead $o/usr/lib64 $o/$lib $o/modules $o/proc $o/sys $o/dev $o/run $o/srv $o/tmp $o/etc
	for f in bin lib lib64; do ln -s usr/$f $o/$f; done
	cp /bin/busybox $o/usr/bin/
	cp -L /usr/lib64/ld-linux-x86-64.so.2 $o/usr/lib64/
	echo 'root:x:0:0::/root:/bin/sh' >$o/etc/passwd
	for f in $modules brd "$@"; do cp "/modules/$f.ko" $o/modules/; done
	cp /usr/libexec/bulkhead/{bulkhead,bulkheadd,bulkhead-blk,bulkhead-net,bulkhead-vif,bulkhead-keep,bulkhead-autoprobe} $o/usr/libexec/bulkhead/
	cp -L /usr/bin/xenstore-{read,ls,exists} $o/usr/bin/
	ln -s ../libexec/bulkhead/bulkhead $o/usr/bin/bulkhead
	for f in $o/usr/libexec/bulkhead/bulkhead{,d,-vif,-keep,-autoprobe} $o/usr/bin/xenstore-*; do /usr/lib64/ld-linux-x86-64.so.2 --list "$f" 2>/dev/null; done | awk '$2 == "=>" { print $3 }' | sort -u |
		while read -r l; do cp -L "$l" $o/$lib/; done
	cp -L /$lib/libgcc_s.so.1 $o/$lib/
	cat >$o/init <<I
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
for m in $modules $*; do insmod /modules/\$m.ko; done
insmod /modules/brd.ko rd_nr=3 rd_size=65536
mount -t xenfs xenfs /proc/xen
truncate -s 64M /srv/a.img
ulimit -n 65536
${START:-}
bulkhead start --hang-ms 1000 || cat /run/bulkhead/log
echo "GUEST UP domain \$(xenstore-read domid)"
while :; do sh </dev/console; done
I
	chmod 755 $o/init
	(cd $o && find . | cpio -o -H newc 2>/dev/null) >/srv/stub.img
	rm -rf $o
}

# driver_domain [NAME]: of its configuration /srv/NAME.cfg.
driver_domain() {
	local name=${1:-stub}
	rm -f "/var/log/xen/guest-$name.log"
	timed "create the driver domain" 0 xl create "/srv/$name.cfg"
	wait_for 40 "the driver domain is up" says "$name" "GUEST UP domain"
	s=$(xl domid "$name")
}
# What happened there is seen in its console.
dump_there() {
	local name=${1:-stub}
	xl domid "$name" >/dev/null && (ask "$name" 'cat /run/bulkhead/log; bulkhead status; xenstore-ls backend; ps')
	console "$name" | tail -60
}
trap 'rc=$?; [ $rc = 0 ] || { dump_there; dump; }; cleanup' EXIT

