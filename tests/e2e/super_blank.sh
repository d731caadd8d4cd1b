#!/bin/bash
# The blank stub: a restart goes by it; killed or stopped, it is replaced and costs no request; it ends with its supervisor.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need nbdkit qemu-io jq

super() { cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid"; }
blank() { pgrep -P "$(super)" -x bulkhead-blank; }
# One that waits already, or whose kernel does not say what it does.
another() { b=$(blank) && [ "$b" != "$1" ] && grep -q "skb\|recv\|^0$" "/proc/$b/wchan"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
up() { state_is a xvda up; }
restarted() { [ "$(field a xvda restarts)" -gt "$1" ] && up; }
check() { timeout 30 qemu-io -f raw -c "read -P 7 0 64k" "$(uri a xvda)" 2>&1 | grep -q "read 65536" || fail "a read $1"; }
# Kills the stub and waits for the next.
restart() {
	local before
	before=$(field a xvda restarts)
	kill -9 "$(field a xvda pid)"
	wait_for 20 "successor $1" restarted "$before"
	check "$1"
}

# shellcheck disable=SC2119
world_up
bh create a || fail "create"
bh attach a vdev=xvda,target=mem:64M,standby=no || fail "attach"
nbd_up a xvda
wait_for 10 "state up" up
timeout 30 qemu-io -f raw -c "write -P 7 0 64k" "$(uri a xvda)" 2>&1 | grep -q "wrote 65536" || fail "a plain write"

# It may be seen a moment before its supervisor knows that it is ready: then the start is an exec, and the next one counts.
taken=0
for _ in 1 2 3 4 5; do
	wait_for 10 "blank stub" another 0
	was=$b
	restart "after a death"
	[ "$(field a xvda pid)" != "$was" ] || taken=$((taken + 1))
done
[ "$taken" -gt 0 ] || fail "none of 5 restarts went by the blank stub"

wait_for 10 "blank stub" another 0
was=$b
kill -9 "$was"
restart "after the blank stub was killed"
wait_for 10 "next blank stub" another "$was"

was=$b
kill -STOP "$was"
restart "with the blank stub stopped"
wait_for 10 "blank stub instead of the stopped one" another "$was"
wait_for 10 "end of the stopped blank stub" gone "$was"

was=$b
kill -9 "$(super)"
wait_for 10 "end of the blank stub of a supervisor that died" gone "$was"
wait_for 10 "state up" up
wait_for 10 "blank stub of the next supervisor" another "$was"
check "after the supervisor's death"
echo "ok: $taken of 5 restarts went by the blank stub"
