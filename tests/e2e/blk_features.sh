#!/bin/bash
# Every ABI, one and several queues, small and large rings, with and without persistent grants and indirect segments: random
# stamps are written and read while the stub dies.
. "$(dirname "$0")/functions.sh"
need jq

verify() { # OPTIONS of bulkhead-blkfront
	local before
	before=$(field A xvda restarts)
	"$BUILD/bin/bulkhead-blkfront" --runtime-dir "$BULKHEAD_RUNTIME_DIR" "$@" A xvda verify --seconds 2 --depth 16 --size-limit 16M \
		>"$T/verify" 2>&1 &
	local pid=$!
	for _ in 1 2 3 4; do
		sleep 0.4
		bh kill A xvda 2>/dev/null
	done
	wait $pid || fail "verify $*: $(cat "$T/verify")"
	[ "$(field A xvda restarts)" -gt "$before" ] || fail "verify $*: no death was repaired"
	echo "ok: $* $(grep -i request "$T/verify" | head -n 1)"
}

world_up
bh create A >/dev/null || fail create
truncate -s 32M "$T/a.img"
bh attach A "vdev=xvda,target=$T/a.img" >/dev/null || fail attach
verify --protocol native --queues 1 --ring-pages 1
verify --protocol x86_32 --queues 1 --ring-pages 1
verify --protocol x86_32 --queues 2 --ring-pages 4
verify --protocol x86_64 --queues 2 --ring-pages 16
verify --queues 4 --ring-pages 2
verify --no-persistent
verify --no-persistent --no-indirect --queues 2
[ "$(field A xvda errors)" = 0 ] || fail "errors"

# 4096-byte sectors.
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show --sector-size 4096 "$T/b.img" 2>/dev/null || { truncate -s 16M "$T/b.img" &&
	losetup -f --show --sector-size 4096 "$T/b.img"; }); then
	at_exit "losetup -d $loop"
	bh detach A xvda || fail detach
	bh attach A "vdev=xvda,target=$loop" >/dev/null || fail "attach $loop"
	"$BUILD/bin/bulkhead-blkfront" --runtime-dir "$BULKHEAD_RUNTIME_DIR" A xvda info >"$T/info" || fail info
	grep -q 4096 "$T/info" || fail "sector size: $(cat "$T/info")"
	verify --queues 2
fi
