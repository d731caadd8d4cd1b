#!/bin/bash
# Stub, supervisor and store are killed, one by one and all at once, under a verifying load: no I/O error, no wrong byte.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need fio nbdkit jq

pid_of() { cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid"; }
store_pid() { pgrep -f -- "bulkhead-store --runtime-dir $BULKHEAD_RUNTIME_DIR\$" | head -n 1; }
# 0 (no stub at this moment) would be this script's own process group.
kill_pid() { [ "${1:-0}" -le 1 ] 2>/dev/null || kill -9 "$1" 2>/dev/null; }
kill_stub() { kill_pid "$(field a xvda pid 2>/dev/null)"; }
kill_store() {
	kill_pid "$(store_pid)"
}
up() { state_is a xvda up; }

world_up --hang-ms 50
bh create a || fail "create"
bh attach a vdev=xvda,target=mem:64M || fail "attach"
nbd_up a xvda
wait_for 10 "state up" up

fio --name=load --ioengine=nbd --uri="$(uri a xvda)" --rw=randwrite --bs=4k --iodepth=16 --size=64M --time_based --runtime=12 \
	--verify=crc32c --verify_fatal=1 --verify_backlog=256 --verify_state_save=0 --randseed="${SEED:-1}" --minimal >"$T/fio" 2>&1 &
fio_pid=$!
sleep 0.5
for round in 1 2 3 4 5; do
	kill_stub
	sleep 0.2
	kill_pid "$(pid_of)"
	sleep 0.2
	kill_store
	sleep 0.2
	wait_for 10 "state up in round $round" up
	stub=$(field a xvda pid)
	kill_pid "$stub"
	kill_pid "$(pid_of)"
	kill_store
	wait_for 10 "state up after round $round" up
	sleep 0.3
done
wait "$fio_pid" || fail "fio: $(tail -n 5 "$T/fio")"
[ "$(field a xvda errors)" = 0 ] || fail "$(field a xvda errors) requests were answered with errors"
restarts=$(field a xvda restarts)
[ "$restarts" -ge 8 ] || fail "only $restarts deaths were repaired"
echo "ok: $restarts deaths of the stub, 10 of the supervisor, 10 of the store, no error"
