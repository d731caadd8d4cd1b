#!/bin/bash
# The k-th call that fails in a stub, the supervisor or the store, for k = 1, 2, ... until none is left to fail: a disk is attached,
# written, its stub killed, read again, detached. The stub and the supervisor try again until it works, or one line says what
# failed and the next try works; nobody crashes, and no data is lost.
#   world.sh [PROGRAM KIND [FIRST_K [STEP]]]; without arguments: of each, TRIES of every STEP-th k, so that it takes half a minute
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/../e2e/functions.sh"
need jq cmp
FAIL=$BUILD/tests/fail
[ -x "$FAIL/arm" ] || fail "no $FAIL/arm: run make tests"
export BULKHEAD_FAILING=$T/failing
dd if=/dev/urandom of="$T/data" bs=1M count=2 2>/dev/null
chmod 711 "$T"

arm() { "$FAIL/arm" "$T/failing" "$1" "$2"; chmod 666 "$T/failing"; }
fired() { "$FAIL/arm" "$T/failing" >"$T/where"; }
front() { timeout 60 "$BUILD/bin/bulkhead-blkfront" --runtime-dir "$BULKHEAD_RUNTIME_DIR" --timeout 30 "$@"; }
detach() { bh detach A xvda || [ "$(bh status A --json | jq length)" = 0 ]; }

# Programs as they are, but for one.
world_with() { # PROGRAM
	local p
	world_down
	arm none 0
	rm -rf "$T/libexec" "$T/run"
	mkdir "$T/libexec"
	for p in "$BUILD"/bin/*; do ln -s "$p" "$T/libexec"; done
	ln -sf "$FAIL/bin/$1" "$T/libexec/$1"
	BULKHEAD_LIBEXEC=$T/libexec bh start --provider local >"$T/start" 2>&1 || fail "bulkhead start: $(cat "$T/start")"
	wait_for 10 "domain A" bh create A
	truncate -s 0 "$T/img"
	truncate -s 8M "$T/img"
}

attach() {
	bh attach A "vdev=xvda,target=$T/img" >"$T/attach" 2>&1 && return
	fired || fail "attach: $(cat "$T/attach")"
	[ "$(wc -l <"$T/attach")" = 1 ] || fail "attach failed by $(cat "$T/where"): not one line: $(cat "$T/attach")"
	wait_for 10 "second try of attach" bh attach A "vdev=xvda,target=$T/img"
}

# Written over a death: the first half before it, the rest while the successor starts.
write_once() {
	{
		head -c 1M "$T/data"
		wait_for 30 "stub" state_is A xvda up
		bh kill A xvda >/dev/null 2>&1 || wait_for 10 "kill" bh kill A xvda
		tail -c +1048577 "$T/data"
	} | front A xvda write 0 >"$T/write" 2>&1
}
# A connection may be refused, with one line; once it is there, nothing may fail.
write_over_death() {
	write_once && return
	fired || fail "write: $(cat "$T/write")"
	grep -q "while it was being connected" "$T/write" || fail "write: $(cat "$T/write")"
	write_once || fail "second try to connect: $(cat "$T/write")"
}

no_crash() {
	! grep -E 'bug:|AddressSanitizer|runtime error|was killed by signal' "$T/run/log" | grep -v "$1" >"$T/crash" ||
		fail "$(head -n 3 "$T/crash")"
}

one_try() { # PROGRAM KIND K
	arm "$2" "$3"
	attach
	write_over_death
	front A xvda read 0 2M >"$T/back" 2>"$T/read" || { fired && front A xvda read 0 2M >"$T/back" 2>"$T/read"; } ||
		fail "read: $(cat "$T/read")"
	cmp -s "$T/data" "$T/back" || fail "data are lost"
	bh detach A xvda >"$T/detach" 2>&1 || { fired && wait_for 15 "second try of detach ($(cat "$T/detach"))" detach; } ||
		fail "detach: $(cat "$T/detach")"
	fired
}

kinds_of() {
	case $1 in
	bulkhead-blk) echo memory fds mmap io grants ;;
	bulkheadd) echo fds io ;; # out of memory ends it: loop.h
	bulkhead-store) echo memory fds io ;;
	esac
}

tries() { # PROGRAM KIND FIRST STEP
	local k=$3 n=0 where end="none is left"
	while (trap - EXIT; one_try "$1" "$2" "$k"); do
		where=$(cat "$T/where")
		[ -z "${VERBOSE:-}" ] || echo "    $1 $2 $k: $where"
		no_crash "${ALLOWED:-nothing}"
		n=$((n + 1)) k=$((k + $4))
		[ $n -lt "${TRIES:-100000}" ] || { end="more are left"; break; }
	done
	[ ! -s "$T/failed" ] || exit 1
	[ $n -gt 0 ] || fail "$1: no call of $2 was made to fail"
	echo "ok: $1: $n calls of $2 failed, one at a time (number $3 to $((k - $4)) in steps of $4; the last was $where); $end"
}

fail() {
	echo "FAILED: $* (armed: $(cat "$T/where" 2>/dev/null))" | tee "$T/failed"
	exit 1
}

at_exit world_down
if [ $# -ge 2 ]; then
	world_with "$1"
	tries "$1" "$2" "${3:-1}" "${4:-1}"
	exit
fi
export TRIES=${TRIES:-5}
for program in bulkhead-blk bulkheadd bulkhead-store; do
	world_with $program
	for kind in $(kinds_of $program); do tries $program "$kind" 1 "${STEP:-9}"; done
done
