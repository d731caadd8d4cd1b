#!/bin/bash
# Hangs: a stopped stub, and a request that makes every stub hang, which is answered with an error in the end while
# everything else on the disk goes on.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need nbdkit qemu-io jq

up() { state_is a xvda up; }
restarted() { [ "$(field a xvda restarts)" -gt "$1" ] && up; }
io() { qemu-io -f raw -c "$1" "$(uri a xvda)" 2>&1; }

world_up --hang-ms 50
bh create a || fail "create"
bh attach a vdev=xvda,target=mem:64M,fault-hang=2048,standby=yes || fail "attach"
nbd_up a xvda
wait_for 10 "state up" up
io "write -P 7 0 64k" | grep -q "wrote 65536" || fail "a plain write"

for _ in 1 2 3; do
	before=$(field a xvda restarts)
	kill -STOP "$(field a xvda pid)"
	wait_for 5 "successor of the stopped stub" restarted "$before"
	io "read -P 7 0 64k" | grep -q "read 65536" || fail "a read after a hang"
done

out=$(timeout 30 qemu-io -f raw -c "read 1M 4k" "$(uri a xvda)" 2>&1)
echo "$out" | grep -qi "error" || fail "the request that hangs every stub was not answered with an error: $out"
wait_for 10 "state up" up
io "read -P 7 0 64k" | grep -q "read 65536" || fail "a read after the poison"
[ "$(field a xvda restarts)" -ge 8 ] || fail "the request was given up after $(field a xvda restarts) deaths, 3 of them not its own"
echo "ok: $(field a xvda restarts) hung stubs replaced"
