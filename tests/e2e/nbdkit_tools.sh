#!/bin/bash
# The tools that people have, on a guest's disk through the nbdkit plugin: fio, nbdcopy, qemu-img, qemu-io, a file system by
# nbdfuse; several connections; the frontend killed and started again (5-6-1). Every command of the plugin's manual is here.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need nbdkit fio nbdcopy nbdinfo qemu-img qemu-io jq

SIZE=$((64 << 20))
IMG=$T/a.img
truncate -s $SIZE "$IMG"
world_up --log-level info
bh create A >/dev/null || fail "create"
bh attach A "vdev=xvda,target=$IMG" >/dev/null || fail "attach"

# ---- what is said to a mistaken user
wrong() {
	local want=$1
	shift
	if nbdkit -f -U "$T/wrong.sock" "$PLUGIN" "$@" >"$T/wrong" 2>&1; then
		fail "nbdkit $* did not fail"
	fi
	grep -q "$want" "$T/wrong" || fail "nbdkit $*: said '$(cat "$T/wrong")', not '$want'"
}
wrong "vm=NAME and vdev=DEVICE" vm=A
wrong "no domain B" vm=B vdev=xvda
wrong "no such device" vm=A vdev=xvdb
wrong "no device name" vm=A vdev=floppy
wrong "1, 2, 4, 8 or 16" vm=A vdev=xvda ring-pages=3
wrong "native, x86_32 or x86_64" vm=A vdev=xvda protocol=arm
wrong "unknown parameter" vm=A vdev=xvda colour=red

nbd_up A xvda
U=$(uri A xvda)

# ---- geometry and abilities
nbdinfo --json "$U" >"$T/info" || fail "nbdinfo"
[ "$(jq -r '.exports[0]."export-size"' "$T/info")" = $SIZE ] || fail "size: $(cat "$T/info")"
for can in can_flush can_fua can_trim can_zero can_multi_conn; do
	[ "$(jq -r ".exports[0].$can" "$T/info")" = true ] || fail "no $can: $(cat "$T/info")"
done

comes_out_as_in() {
	nbdcopy --connections=4 "$1" "$T/out" || fail "nbdcopy out: $2"
	cmp "$T/in" "$T/out" || fail "$2: not what went in"
}

# ---- nbdcopy in and out, over several connections
head -c $SIZE /dev/urandom >"$T/in"
nbdcopy --connections=4 --requests=32 --flush "$T/in" "$U" || fail "nbdcopy in"
comes_out_as_in "$U" "what came out"
cmp "$T/in" "$IMG" || fail "the image is not what went in"

# ---- qemu-img, qemu-io
qemu-img info -f raw "$U" | grep -q "virtual size: 64 MiB" || fail "qemu-img info"
qemu-img compare -f raw -F raw "$T/in" "$U" >"$T/cmp" || fail "qemu-img compare: $(cat "$T/cmp")"
qemu-io -f raw -c "write -P 0x11 0 1M" -c "write -P 0x22 512 512" -c "write -z 65536 65536" -c "write -f -P 0x33 4096 4096" \
	-c "discard 1M 1M" -c "flush" -c "read -P 0x11 0 512" -c "read -P 0x22 512 512" -c "read -P 0x11 1024 3072" \
	-c "read -P 0x33 4096 4096" -c "read -P 0 65536 65536" -c "aio_write -P 0x44 2M 300k" -c "aio_write -P 0x55 3M 300k" \
	-c "aio_flush" -c "read -P 0x44 2M 300k" -c "read -P 0x55 3M 300k" "$U" >"$T/qio" 2>&1 || fail "qemu-io: $(cat "$T/qio")"
! grep -qi "failed\|error" "$T/qio" || fail "qemu-io: $(cat "$T/qio")"

# ---- fio, with verification; then several processes, each with a connection of its own
fio --name=v --ioengine=nbd --uri="$U" --rw=randrw --bsrange=512-256k --size=32m --iodepth=32 --verify=crc32c \
	--verify_fatal=1 --verify_state_save=0 --do_verify=1 --randseed=1 >"$T/fio" 2>&1 || fail "fio: $(tail -n 20 "$T/fio")"
fio --name=m --ioengine=nbd --uri="$U" --rw=randwrite --bs=4k --size=8m --offset_increment=8m --numjobs=4 --iodepth=16 \
	--verify=crc32c --verify_fatal=1 --verify_state_save=0 --fsync=64 >"$T/fio" 2>&1 || fail "fio with four jobs: $(tail -n 20 "$T/fio")"

# ---- the frontend is killed with requests in flight, and comes again
fio --name=k --ioengine=nbd --uri="$U" --rw=randwrite --bs=4k --size=32m --iodepth=32 --time_based --runtime=60 \
	>/dev/null 2>&1 &
FIO=$!
wait_for 10 "requests of fio" test "$(field A xvda requests)" -gt 100
kill -9 "$(cat "$T/A-xvda.pid")"
wait $FIO 2>/dev/null
nbd_up A xvda queues=2 ring-pages=2
nbdcopy "$T/in" "$U" || fail "nbdcopy after the kill"
comes_out_as_in "$U" "data after the kill"

# ---- the backend is killed meanwhile: nobody notices
nbdcopy "$T/in" "$U" &
COPY=$!
for _ in 1 2 3 4 5; do
	bh kill A xvda >/dev/null 2>&1
	sleep 0.05
done
wait $COPY || fail "nbdcopy while the backend dies"
comes_out_as_in "$U" "data after deaths of the backend"

# ---- a file system
if [ -w /dev/fuse ] && command -v nbdfuse fuse2fs mke2fs fusermount3 e2fsck mountpoint >/dev/null; then
	touch "$T/disk"
	mkdir "$T/mnt"
	nbdfuse -P "$T/fuse.pid" "$T/disk" "$U" >"$T/fuse" 2>&1 &
	at_exit "fusermount3 -uz $T/mnt 2>/dev/null; fusermount3 -uz $T/disk 2>/dev/null"
	wait_for 10 "nbdfuse" test -s "$T/fuse.pid"
	mke2fs -q -t ext4 -F "$T/disk" >"$T/mke2fs" 2>&1 || fail "mke2fs: $(cat "$T/mke2fs")"
	fuse2fs -f -o fakeroot,rw "$T/disk" "$T/mnt" >"$T/fuse2fs" 2>&1 &
	FS=$!
	wait_for 10 "file system" mountpoint -q "$T/mnt"
	cp -r tests "$T/mnt/tests" || fail "copy into the file system"
	bh kill A xvda >/dev/null
	diff -r tests "$T/mnt/tests" || fail "the file system has other content"
	fusermount3 -u "$T/mnt" || fail "unmount"
	wait $FS || fail "fuse2fs: $(cat "$T/fuse2fs")"
	e2fsck -fn "$T/disk" >"$T/fsck" 2>&1 || fail "e2fsck: $(cat "$T/fsck")"
	if [ "$(id -u)" = 0 ] && mount -o loop "$T/disk" "$T/mnt" 2>/dev/null; then
		at_exit "umount $T/mnt 2>/dev/null"
		diff -r tests "$T/mnt/tests" || fail "the kernel's file system sees other content"
		bh kill A xvda >/dev/null
		cp -r tests "$T/mnt/again" || fail "writing through the kernel's file system"
		sync -f "$T/mnt" || fail "sync of the kernel's file system"
		umount "$T/mnt" || fail "unmount of the loop device"
		e2fsck -fn "$T/disk" >"$T/fsck" 2>&1 || fail "e2fsck: $(cat "$T/fsck")"
	else
		echo "no loop mount: not root, or not possible here"
	fi
	fusermount3 -u "$T/disk" || fail "unmount of nbdfuse"
else
	echo "no file system test: no /dev/fuse, or nbdfuse, fuse2fs, mke2fs not installed"
fi
nbd_down A xvda

# ---- read-only
bh attach A "vdev=xvdb,access=ro,target=$T/in" >/dev/null || fail "attach read-only"
nbd_up A xvdb
nbdinfo --is readonly "$(uri A xvdb)" || fail "a read-only disk that can be written"
comes_out_as_in "$(uri A xvdb)" "reading the read-only disk"
nbd_down A xvdb

# ---- an orderly end leaves the device closed, ready for the next
state_is A xvda closed || fail "xvda is $(field A xvda state) after nbdkit's end"
exit 0
