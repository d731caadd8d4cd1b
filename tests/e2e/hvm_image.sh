#!/bin/bash
# The image of an HVM guest's IDE disk: its own QEMU (here: qemu-io) may open it until it unplugs the disk, other VMs may not, and when
# it has let go nobody may. As ever for a disk that QEMU does not emulate.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need qemu-io jq xenstore-write nbdkit

export XENSTORED_PATH=$BULKHEAD_RUNTIME_DIR/store.sock
locked() { ! qemu-io -f raw -c "write 0 512" "$1" >/dev/null 2>&1; }
free() { ! locked "$1"; }
# A QEMU that has the image open, to read and to write, until it is told to go.
hold() {
	mkfifo "$T/holder.in"
	qemu-io -f raw "$1" <"$T/holder.in" >"$T/holder.out" 2>&1 &
	holder=$!
	exec 9>"$T/holder.in"
	echo "write -P 5 1M 4k" >&9
	wait_for 10 "QEMU with the image open: $(cat "$T/holder.out")" grep -q wrote "$T/holder.out"
}
let_go() {
	echo quit >&9
	exec 9>&-
	wait "$holder"
	rm "$T/holder.in"
}

truncate -s 16M "$T/a.img" "$T/e.img"
world_up
bh create a || fail "create a"
bh create b || fail "create b"
xenstore-write /libxl/1/type hvm || fail "xenstore-write"
bh attach a "vdev=xvda,target=$T/a.img" || fail "attach"
bh attach a "vdev=xvde,target=$T/e.img" || fail "attach"
locked "$T/e.img" || fail "the image of xvde, which is no IDE disk, is not reserved"
grep -q "xvda of domain 1: .*may be opened by its guest's QEMU" "$T/run/log" || fail "nothing is said of it"
hold "$T/a.img"
bh attach b "vdev=xvda,target=$T/a.img" >"$T/out" 2>&1 && fail "another VM may have it"
grep -q 'in use as xvda of a' "$T/out" || fail "another VM is not refused clearly: $(cat "$T/out")"
nbd_up a xvda
[ "$(qemu-io -f raw -c "read -P 5 1M 4k" "$(uri a xvda)" | grep -c 'read 4096/4096')" = 1 ] || fail "what QEMU wrote is not read"
sleep 1.5 # it is looked at each second, and QEMU still has it
kill -0 "$holder" || fail "QEMU has gone"
! grep -q "it is reserved" "$T/run/log" || fail "it is said to be reserved while QEMU has it open"
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
let_go
wait_for 10 "the word that it is reserved" grep -q "xvda of domain 1: .*it is reserved" "$T/run/log"
locked "$T/a.img" || fail "the image is not reserved after QEMU has let it go"
nbd_down a xvda
bh detach a xvda || fail "detach"
wait_for 5 "free image after detach" free "$T/a.img"
bh attach b "vdev=xvda,target=$T/a.img" || fail "it can not be attached elsewhere"
locked "$T/a.img" || fail "the image of a PV guest is not reserved"
echo "ok"
