#!/bin/bash
# Two domains with a wire between them: numbered packets both ways at full rate, while the stub of one end, then of the other, is
# killed. None is corrupted; of each death at most one is lost and one is repeated, each way.
. "$(dirname "$0")/functions.sh"
need jq
[ -x "$BUILD/bin/bulkhead-netfront" ] || fail "no bulkhead-netfront: run make"
KILLS=${KILLS:-10}

count() { sed -n "s/^$1: //p" "$T/verify"; }

world_up
bh create A && bh create B || fail "create"
bh attach A vif params=pair:wire && bh attach B vif params=pair:wire || fail "attach"

"$BUILD/bin/bulkhead-netfront" --domain A --seconds 3 verify --peer B >"$T/verify" 2>&1 &
verify=$!
at_exit "kill $verify 2>/dev/null"
wait_for 10 "connection of A" state_is A vif0 up
wait_for 10 "connection of B" state_is B vif0 up
killed=0
while [ $killed -lt "$KILLS" ] && kill -0 $verify 2>/dev/null; do
	vm=$([ $((killed % 2)) = 0 ] && echo A || echo B)
	pid=$(field "$vm" vif0 pid)
	if [ "$pid" -gt 0 ] && bh kill "$vm" vif0 2>/dev/null; then
		killed=$((killed + 1))
		wait_for 5 "takeover" sh -c "[ \$($BUILD/bin/bulkhead status $vm vif0 --json | jq '.[0].pid') != $pid ]"
	fi
	sleep 0.1 # packets between deaths
done
wait $verify
status=$?
for way in out back; do
	echo "$way: $(count ${way}_sent) sent, $(count ${way}_lost) lost, $(count ${way}_repeated) repeated, $(count ${way}_corrupted) corrupted in $killed deaths"
	[ "$(count ${way}_received)" -gt 1000 ] || fail "hardly any packets came: $(cat "$T/verify")"
	[ "$(count ${way}_corrupted)" = 0 ] && [ "$(count ${way}_foreign)" = 0 ] || fail "corrupted: $(cat "$T/verify")"
	[ "$(count ${way}_lost)" -le $killed ] || fail "more than one lost in a death: $(cat "$T/verify")"
	[ "$(count ${way}_repeated)" -le $killed ] || fail "more than one repeated in a death: $(cat "$T/verify")"
done
[ $status = 0 ] || fail "verify says $status: $(cat "$T/verify")"
[ $killed -gt 0 ] || fail "nothing was killed"
for vm in A B; do bh detach $vm vif0 || fail "detach"; done
[ "$(bh list --json | jq -r '[.[].disks] | join("")')" = "" ] || fail "something is attached still"
