#!/bin/bash
# Every kind of bench runs to its end, through the command, and says what programs read: a short form of each.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need jq fio nbdkit
[ -x "$BUILD/bin/bulkhead-bench" ] || fail "no bulkhead-bench: run make"
case $BUILD in *-thread* | *-address*) skip "figures of an instrumented build mean nothing" ;; esac

rows() { # NAME OPTION...: its rows are well formed, and there are some
	local name=$1
	shift
	timeout 120 "$BUILD/bin/bulkhead" bench "$name" "$@" --json >"$T/$name" 2>"$T/err" || fail "bench $name: $(tail -n 3 "$T/err")"
	[ -s "$T/$name" ] || fail "bench $name printed nothing"
	jq -e --arg b "$name" '.bench == $b and (.variant | length > 0) and (.params | type == "string") and (.unit | length > 0) and
		(.median | type == "number") and (.rounds > 0) and has("p99") and has("baseline") and has("ratio")' "$T/$name" >/dev/null ||
		fail "bench $name: a row lacks something: $(head -n 1 "$T/$name")"
}
rows ring --only journal --rounds 1 --seconds 0.002
rows blk --only null --rounds 1 --seconds 0.05
rows latency --only null --rounds 1 --seconds 0.05
rows net --only "to null" --rounds 1 --seconds 0.02
rows outage --only "mem, standby" --kills 5
rows outage --only "vif on null, standby" --kills 5
rows second --only "threads, reads" --seconds 4
[ -z "$(ls -d "${TMPDIR:-/tmp}"/bulkhead-bench.* 2>/dev/null)" ] || echo "note: worlds of other benches are there"
"$BUILD/bin/bulkhead" bench nothing 2>"$T/err" && fail "a bench that does not exist ran"
grep -q 'no bench "nothing"' "$T/err" || fail "no clear line: $(cat "$T/err")"
echo "ok"
