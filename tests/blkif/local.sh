#!/bin/bash
# The blkif suite against our backend on the local provider: A's frontend does everything wrong (and right) that the suite knows,
# while A's other disk is its canary and B verifies all it reads. Nobody but the abused disk may notice, no stub may die of it,
# and at the end everything is as it was. `local.sh SUITE-OPTIONS...` passes them on, for a part of it.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/../e2e/functions.sh"
need jq pgrep
# Each case is a process of its own, which ThreadSanitizer makes slow to start: five minutes for a backend that other tests run there.
case $BUILD in *-thread*) skip "too slow under ThreadSanitizer" ;; esac
SUITE=$BUILD/tests/blkif/bulkhead-blkif-suite
[ -x "$SUITE" ] || fail "no $SUITE: run make tests"
# Sanitized code is many times as slow.
case $BUILD in *-address*) PATIENCE=30000 ;; *) PATIENCE=3000 ;; esac

suite() { "$SUITE" --domain A --writable --expect bulkhead --patience "$PATIENCE" --canary device/vbd/51728 "$@"; }
front() { "$BUILD/bin/bulkhead-blkfront" --runtime-dir "$BULKHEAD_RUNTIME_DIR" "$@"; }
victim() { # short rounds, so that the end need not be known
	while [ ! -e "$T/enough" ]; do
		if front --queues 2 B xvda verify --seconds 2 --depth 4 --size-limit 16M >"$T/round" 2>&1; then
			awk '$1 == "gap_max_us:" { print $2 }' "$T/round" >>"$T/gaps"
		else
			{ cat "$T/round"; bh status B xvda; date +%T.%N; grep 'domain 2' "$T/run/log" | tail -n 5; } >"$T/victim-failed"
			return
		fi
	done
}
daemons() { pgrep -f -- "bulkhead(d|-hub|-store|-keep) .*$BULKHEAD_RUNTIME_DIR" | sort | tr '\n' ' '; }
rss_kb() { # of all daemons together
	# shellcheck disable=SC2086
	ps -o rss= -p "$(echo $daemons_before | tr ' ' ,)" | awk '{ n += $1 } END { print n }'
}
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat" 2>/dev/null; }
run() { # WHAT SUITE-OPTIONS...
	local what=$1
	shift
	suite "$@" >"$T/says" 2>&1
	local status=$?
	grep -E "FAILED|^Bail|^SEED" "$T/says"; [ -z "${TIMES:-}" ] || cat "$T/says"
	[ $status = 0 ] || fail "$what: $(tail -n 1 "$T/says")"
	echo "ok: $what: $(tail -n 1 "$T/says")"
}

world_up
bh create A >/dev/null && bh create B >/dev/null || fail create
truncate -s 64M "$T/a.img" && truncate -s 16M "$T/ro.img" "$T/4k.img"
for spec in "A vdev=xvda,target=$T/a.img" "A vdev=xvdb,target=mem:16M" "A vdev=xvdc,access=ro,target=$T/ro.img" \
	"A vdev=xvdd,target=mem:16M" "B vdev=xvda,target=mem:32M"; do
	# shellcheck disable=SC2086
	bh attach $spec >/dev/null || fail "attach $spec"
done
daemons_before=$(daemons)
[ "$(wc -w <<<"$daemons_before")" = 4 ] || fail "four daemons are meant: $daemons_before"
rss_before=$(rss_kb)
if [ $# -gt 0 ]; then
	suite --front device/vbd/51712 "$@"
	exit
fi
victim &
victim=$!
at_exit "touch $T/enough; wait $victim 2>/dev/null"

# What events without end cost: alone, so that the stub is the only thing to look at.
"$SUITE" --domain A --only ring.storm --canary none --front device/vbd/51760 >"$T/storm" 2>&1 &
storm=$!
wait_for 10 "stub under a storm" state_is A xvdd up
stub=$(field A xvdd pid) before=$(ticks "$stub")
sleep 0.4
after=$(ticks "$stub")
wait $storm || fail "the storm: $(cat "$T/storm")"
if [ -n "$after" ]; then
	echo "the stub under a storm of events: $(((after - before) * 5 / 2)) % of a processor"
	[ $((after - before)) -le 8 ] || fail "the storm of events costs a processor"
else
	echo "the storm was over before it could be looked at"
fi

run "a file, sectors of 512" --front device/vbd/51712 --destroy
broken=$(grep -c 'broken by the guest' "$T/run/log")
[ "$broken" -ge 6 ] || fail "the log tells of $broken broken rings only"
run "read-only" --front device/vbd/51744 --only io.read_only
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show --sector-size 4096 "$T/4k.img" 2>/dev/null); then
	at_exit "losetup -d $loop"
	bh detach A xvdd && bh attach A "vdev=xvdd,target=$loop" >/dev/null || fail "attach $loop"
	run "sectors of 4096" --front device/vbd/51760 --skip 'state.*' --skip 'setup.*' --skip 'ring.*' --skip 'grant.*'
	bh detach A xvdd || fail "detach $loop"
else
	echo "no loop device with sectors of 4096 here"
fi

touch "$T/enough"
wait "$victim"
[ ! -e "$T/victim-failed" ] || fail "the victim: $(cat "$T/victim-failed")"
[ "$(field B xvda restarts) $(field B xvda errors)" = "0 0" ] || fail "B's stub suffered: $(bh status B xvda)"
echo "ok: the victim's longest pause was $(sort -n "$T/gaps" | tail -n 1) us"
suffered=$(bh status --json | jq -r '.[] | select(.restarts != 0) | "\(.domain) \(.vdev)"')
[ -z "$suffered" ] || fail "stubs died: $suffered"
# A broken one is ended by the supervisor, or ends itself with status 20.
bad=$(grep -E ': died: ' "$T/run/log" | grep -vE 'killed by signal 9 \(Killed\)$|exited with status 20$')
[ -z "$bad" ] || fail "stubs died of something: $bad"

[ "$(daemons)" = "$daemons_before" ] || fail "daemons are not who they were: $daemons_before, now $(daemons)"
grown=$(($(rss_kb) - rss_before))
case $BUILD in
*-address*) ;; # keeps what was freed
*) [ "$grown" -lt 8192 ] || fail "the daemons have grown by $grown KiB" ;;
esac
echo "ok: the same daemons, grown by $grown KiB"
for disk in $(bh status --json | jq -r '.[] | "\(.domain)/\(.vdev)"'); do bh detach "${disk%/*}" "${disk#*/}" || fail "detach $disk"; done
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
no_stubs() { ! pgrep -x -P "$(tr ' ' , <<<"${daemons_before% }")" bulkhead-blk; }
wait_for 5 "end of every stub" no_stubs
[ -z "$(ls "$(journals)")" ] || fail "journals are left: $(ls "$(journals)")"
echo "ok: nothing is left"
