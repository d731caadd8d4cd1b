#!/bin/bash
# A guest that means harm beside one that works: every attack of tests/tools/hostile_front.c on A's disk, while B verifies all it
# reads. Nobody but A may notice, A's stub must not die of it, status must say what became of the disk, and A may come back.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"
need jq pgrep
ATTACK=$BUILD/tests/tools/hostile_front
[ -x "$ATTACK" ] || fail "no $ATTACK: run make tests"

front() { "$BUILD/bin/bulkhead-blkfront" --runtime-dir "$BULKHEAD_RUNTIME_DIR" "$@"; }
victim() { # short rounds, so that the end need not be known
	while [ ! -e "$T/enough" ]; do
		if front --queues 2 B xvda verify --seconds 2 --depth 8 --size-limit 16M >"$T/round" 2>&1; then
			awk '$1 == "gap_max_us:" { print $2 }' "$T/round" >>"$T/gaps"
		else
			cp "$T/round" "$T/victim-failed"
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

# What state the disk must be in, and what its stub may have lived through.
judge() { # NAME EXPECTED
	local now
	now=$(bh status A xvda --json | jq -r '.[0] | "\(.state) \(.restarts) \(.text)"')
	case "$2 $now" in
	"served up 0 "*) ;;
	"broken broken 0 broken by the guest"*) ;;
	"refused waiting 0 "?* | "refused broken 0 broken by the guest"*) ;;
	"any up 0 "* | "any waiting 0 "* | "any connecting 0 "* | "any draining 0 "* | "any closed 0 "*) ;;
	*) fail "$1: expected $2, status says: $now" ;;
	esac
	echo "ok: $1: ${now% } $(grep -E '^[0-9]+ (grants|events)' "$T/says")"
}

# Sanitized code is many times as slow.
case $BUILD in *-address* | *-thread*) LATE_MS=30000 ;; *) LATE_MS=5000 ;; esac

attack() { # NAME EXPECTED
	local status stub before after from
	from=$(date +%s%N)
	"$ATTACK" "$BULKHEAD_RUNTIME_DIR" A xvda "$1" >"$T/says" 2>"$T/attack" &
	if [ "$1" = event_storm ]; then
		sleep 0.5
		stub=$(field A xvda pid) before=$(ticks "$stub")
		sleep 1
		after=$(ticks "$stub")
		echo "the stub under a storm of events: $((after - before)) % of a processor"
		[ $((after - before)) -le 15 ] || fail "the storm of events costs a processor"
	fi
	wait $! 2>/dev/null
	status=$?
	case $1 in
	dies*) [ $status = 137 ] || fail "$1: status $status: $(cat "$T/attack")" ;;
	*) [ $status = 0 ] || fail "$1: $(cat "$T/attack")" ;;
	esac
	judge "$1" "$2"
	front A xvda info >"$T/info" 2>&1 || fail "after $1 a good frontend cannot connect: $(cat "$T/info"); was: $(cat "$T/attack")"
	[ ! -e "$T/victim-failed" ] || fail "the victim, after $1: $(cat "$T/victim-failed")"
	[ $((($(date +%s%N) - from) / 1000000)) -lt $LATE_MS ] || fail "$1 took more than $LATE_MS ms"
}

world_up
bh create A >/dev/null && bh create B >/dev/null || fail create
truncate -s 64M "$T/a.img"
bh attach A "vdev=xvda,target=$T/a.img" >/dev/null && bh attach B "vdev=xvda,target=mem:32M" >/dev/null || fail attach
daemons_before=$(daemons)
[ "$(wc -w <<<"$daemons_before")" = 4 ] || fail "four daemons are meant: $daemons_before"
rss_before=$(rss_kb)
victim &
victim=$!
at_exit "touch $T/enough; wait $victim 2>/dev/null"

# A list on the command line is tried alone.
"$ATTACK" list >"$T/list"
while read -r name expected <&3; do
	[ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
	attack "$name" "$expected"
done 3<"$T/list"

[ "$(field B xvda restarts) $(field B xvda errors)" = "0 0" ] || fail "B's stub suffered: $(bh status B xvda)"
touch "$T/enough"
wait "$victim"
[ ! -e "$T/victim-failed" ] || fail "the victim: $(cat "$T/victim-failed")"
echo "ok: the victim's longest pause was $(sort -n "$T/gaps" | tail -n 1) us"
[ "$(daemons)" = "$daemons_before" ] || fail "daemons are not who they were: $daemons_before, now $(daemons)"
grown=$(($(rss_kb) - rss_before))
case $BUILD in
*-address* | *-thread*) ;; # keeps what was freed
*) [ "$grown" -lt 8192 ] || fail "the daemons have grown by $grown KiB" ;;
esac
echo "ok: the same daemons, grown by $grown KiB"

# A broken one is ended by the supervisor, or ends itself with status 20.
bad=$(grep -E ': died: ' "$T/run/log" | grep -vE 'killed by signal 9 \(Killed\)$|exited with status 20$')
[ -z "$bad" ] || fail "stubs died of something: $bad"
bh detach A xvda && bh detach B xvda || fail detach
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
no_stubs() { ! pgrep -x -P "$(tr ' ' , <<<"${daemons_before% }")" bulkhead-blk; }
wait_for 5 "end of every stub" no_stubs
[ -z "$(ls "$(journals)")" ] || fail "journals are left: $(ls "$(journals)")"
echo "ok: nothing is left"
