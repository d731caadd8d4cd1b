#!/bin/bash
# The reservation of an image: qemu's tools refuse it while it is attached, other VMs too, readers share, and it lasts over
# deaths of stub and supervisor; after detach it is free at once.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need qemu-img qemu-io jq

locked() { ! qemu-io -f raw -c "write 0 512" "$1" >/dev/null 2>&1; }
free() { ! locked "$1"; }
says() { bh status "$1" xvda --json | jq -r '.[0].text' | grep -q "$2"; }

truncate -s 16M "$T/a.img" "$T/ro.img"
world_up --hang-ms 50
for vm in a b c; do bh create "$vm" || fail "create $vm"; done
free "$T/a.img" || fail "the image can not be written before it is attached"
bh attach a "vdev=xvda,target=$T/a.img" || fail "attach"
wait_for 5 "lock on the image" locked "$T/a.img"
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
locked "$T/a.img" || fail "the image is free while its supervisor is dead"

bh attach b "vdev=xvda,target=$T/a.img" >"$T/out" 2>&1
says b "in use as xvda of a" || grep -q "in use" "$T/out" || fail "a second writer is not refused clearly: $(cat "$T/out")"
for vm in b c; do
	bh attach "$vm" "vdev=xvdb,access=ro,target=$T/ro.img" || fail "readers do not share"
done
locked "$T/ro.img" || fail "an image with readers can be written"

# Also while the keeper, which has the same description, is slow to close it.
keeper=$(cat "$BULKHEAD_RUNTIME_DIR/keep.pid")
kill -STOP "$keeper"
at_exit "kill -CONT $keeper 2>/dev/null"
bh detach a xvda || fail "detach"
wait_for 5 "free image after detach" free "$T/a.img"
kill -CONT "$keeper"

# A block device that the kernel uses itself: as swap, here.
truncate -s 16M "$T/swap"
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show "$T/swap" 2>/dev/null); then
	at_exit "swapoff $loop 2>/dev/null; losetup -d $loop"
	mkswap "$loop" >/dev/null 2>&1 && swapon "$loop" || skip "no swap on a loop device here"
	bh attach a "vdev=xvdc,target=$loop" >"$T/out" 2>&1 && fail "a swap device was attached"
	grep -q "$loop is in use by this host" "$T/out" || fail "a swap device is not refused clearly: $(cat "$T/out")"
	swapoff "$loop"
	bh attach a "vdev=xvdc,target=$loop" || fail "a device that is free now"
	bh detach a xvdc || fail "detach"
	bh attach a "vdev=xvdc,target=$loop" || fail "the same again at once"
fi
echo "ok"
