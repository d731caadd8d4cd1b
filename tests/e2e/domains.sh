#!/bin/bash
# A domain that is destroyed with its disk in use leaves nothing behind, and its name may be used again.
. "$(dirname "$0")/functions.sh"
need nbdkit qemu-io jq

stubs() { pgrep -P "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")" -x bulkhead-blk | wc -l; }
no_stubs() { [ "$(stubs)" = 0 ]; }
no_journals() { [ -z "$(ls -A "$(journals)")" ]; }
store() { XENSTORED_PATH=$BULKHEAD_RUNTIME_DIR/store.sock "$@"; }
no_nodes() { ! store xenstore-ls -f / 2>/dev/null | grep -q "$1"; }

world_up
for round in 1 2; do
	bh create A >/dev/null || fail "create in round $round"
	bh attach A "vdev=xvda,target=mem:8M" >/dev/null || fail attach
	nbd_up A xvda
	qemu-io -f raw -c 'write 0 64k' "$(uri A xvda)" >/dev/null || fail "write"
	[ "$(bh list --json | jq -r '.[0].disks')" = xvda ] || fail "list: $(bh list)"
	domid=$(field A xvda domid)
	bh destroy A || fail "destroy in round $round"
	[ "$(bh list --json | jq length)" = 0 ] || fail "still listed: $(bh list)"
	wait_for 10 "end of the stubs" no_stubs
	wait_for 10 "end of the journal" no_journals
	wait_for 10 "end of its nodes ($(store xenstore-ls -f / | grep "/$domid/"))" no_nodes "/domain/$domid/\|vbd/$domid/"
	[ "$(bh status --json | jq length)" = 0 ] || fail "status: $(bh status)"
	nbd_down A xvda
	nodes[round]=$(store xenstore-ls -f /)
done
[ "${nodes[1]}" = "${nodes[2]}" ] || fail "nodes are left: ${nodes[2]}"
echo "ok"
