#!/bin/bash
# A disk grows and shrinks under verified I/O while stub and supervisor are killed: no I/O error where the disk is, the frontend knows
# the size each time, and beyond the end there is an error and no more. Files (noticed by itself, or at a word), memory, a block device.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need fio nbdkit nbdinfo qemu-io jq

size_is() { [ "$(nbdinfo --size "$(uri a "$1")")" = "$2" ]; }
can_write() { qemu-io -f raw -c "write $2 4k" "$(uri a "$1")" >/dev/null 2>&1; }
up() { state_is a xvda up; }
super() { cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid"; }

truncate -s 64M "$T/a.img"
world_up --hang-ms 50
bh create a || fail "create"
bh attach a "vdev=xvda,target=$T/a.img" || fail "attach"
bh attach a "vdev=xvdb,target=mem:8M,standby=no" || fail "attach"
bh resize a xvda | grep -q 'is waiting: ' || fail "a disk without a connection is not told apart"
truncate -s 68M "$T/a.img" # after it was offered
nbd_up a xvda
nbd_up a xvdb
size_is xvda $((68 << 20)) || fail "a size that changed before the connection is not known"

fio --name=load --ioengine=nbd --uri="$(uri a xvda)" --rw=randwrite --bs=4k --iodepth=16 --size=32M --time_based --runtime=4 \
	--verify=crc32c --verify_fatal=1 --verify_backlog=256 --verify_state_save=0 --randseed="${SEED:-1}" --minimal >"$T/fio" 2>&1 &
fio_pid=$!
for m in 80 96 48 128 40; do
	bh kill a xvda || fail "kill"
	truncate -s ${m}M "$T/a.img"
	[ $m = 96 ] && kill -9 "$(super)"
	[ $m = 48 ] || bh resize a xvda >"$T/out" 2>&1 || wait_for 5 "supervisor" bh resize a xvda
	wait_for 5 "size of $m MiB" size_is xvda $((m << 20))
	bh kill a xvda || fail "kill"
	can_write xvda $(((m << 20) - 4096)) || fail "the last page of $m MiB can not be written"
	! can_write xvda $((m << 20)) || fail "a write behind the end of $m MiB is answered well"
	[ "$(stat -c %s "$T/a.img")" = $((m << 20)) ] || fail "the image of $m MiB has $(stat -c %s "$T/a.img") bytes"
done
wait "$fio_pid" || fail "fio: $(tail -n 5 "$T/fio")"
wait_for 5 "state up" up

bh resize a xvdb 20M || fail "resize of a memory disk"
bh kill a xvdb
kill -9 "$(super)"
wait_for 5 "size of 20 MiB" size_is xvdb $((20 << 20))
can_write xvdb 19M || fail "the new end of a memory disk can not be written"
wait_for 5 "supervisor" bh resize a xvdb 4M
size_is xvdb $((4 << 20)) || fail "a memory disk does not shrink"
[ "$(field a xvdb params)" = "mem:$((4 << 20)),standby=no" ] || fail "params: $(field a xvdb params)"
bh resize a xvda 4M 2>&1 | grep -q 'a size is for mem: disks' || fail "a size for a file is not refused clearly"
truncate -s 0 "$T/a.img"
bh resize a xvda 2>&1 | grep -q 'can not be used' || fail "an emptied image is not refused clearly"
truncate -s 16M "$T/a.img"
bh resize a xvda || fail "an image that is back"
size_is xvda $((16 << 20)) || fail "an image that is back has $(nbdinfo --size "$(uri a xvda)")"

truncate -s 16M "$T/loop"
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show "$T/loop" 2>/dev/null); then
	at_exit "losetup -d $loop"
	bh attach a "vdev=xvdc,target=$loop" || fail "attach of a block device"
	nbd_up a xvdc
	truncate -s 24M "$T/loop"
	losetup -c "$loop"
	wait_for 5 "size of 24 MiB" size_is xvdc $((24 << 20)) # by itself
	nbd_down a xvdc
fi
echo "ok"
