#!/bin/bash
# `bulkhead filter`: packets of a running vif are lost as told, also by whoever follows when its stub or the supervisor dies, until it is off.
. "$(dirname "$0")/functions.sh"
need jq pgrep

world_up --hang-ms 2000 # a busy machine stops stubs, and what waited then comes later
for vm in A B; do
	bh create $vm >/dev/null || fail "create"
	bh attach $vm vif params=pair:w >/dev/null || fail "attach"
done
bh filter A vif0 delay=1ms || fail "filter of a vif that nobody uses yet" # the first stub has it in its record
[ "$(field A vif0 net.filter)" = delay=1 ] || fail "status: $(field A vif0 net.filter)"
"$BUILD/bin/bulkhead-netfront" --domain A --seconds 120 --rate 3000 verify --peer B >"$T/verify" 2>&1 &
verify=$!
at_exit "kill $verify 2>/dev/null"

sent() { field A vif0 net.tx_packets; }
both() { bh status --json | jq -r '[(.[] | select(.domain == "A") | .net.tx_packets), (.[] | select(.domain == "B") | .net.rx_packets)] | @tsv'; }
more() { [ "$(sent)" -ge "$1" ]; }
pass() { wait_for 20 "packets of A" more $(($(sent) + $1)); } # so many of A's
comes() { # FROM TO: of so many hundred of A's packets B has
	local s r s2 r2
	pass 50 # what was on its way
	read -r s r < <(both)
	pass 300
	read -r s2 r2 < <(both)
	r=$((100 * (r2 - r) / (s2 - s)))
	echo "$3: $r of 100 come"
	[ $r -ge "$1" ] && [ $r -le "$2" ] || fail "$3: $r of 100 packets come, not $1 to $2"
}
up_again() { [ "$(field A vif0 generation)" -gt "$1" ] && state_is A vif0 up; }
dies() { # COMMAND...
	local g
	g=$(field A vif0 generation)
	"$@" || fail "$*"
	wait_for 10 "successor" up_again "$g"
}
pid_of_supervisor() { pgrep -f -- "bulkheadd --runtime-dir $BULKHEAD_RUNTIME_DIR" | head -n 1; }
another() { [ -n "$(pid_of_supervisor)" ] && [ "$(pid_of_supervisor)" != "$1" ] && state_is A vif0 up; }

wait_for 10 "packets" more 100
comes 80 150 "delay alone"
bh filter A vif0 loss=100% || fail "filter"
comes 0 2 "loss=100%"
dies bh kill A vif0
comes 0 2 "after a death"
pid=$(pid_of_supervisor)
[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
wait_for 10 "another supervisor" another "$pid"
[ "$(field A vif0 net.filter)" = loss=100 ] || fail "status of the next supervisor: $(field A vif0 net.filter)"
dies bh kill A vif0
comes 0 2 "after a death under the next supervisor"
bh status | grep -q 'filter: loss=100' || fail "status: $(bh status)"
bh filter A vif0 loss=50% seed=3 || fail "filter"
comes 25 75 "loss=50%"
bh filter A vif0 off || fail "filter off"
comes 80 150 "off"
bh status | grep -q filter && fail "a filter that is off is shown"
dies bh kill A vif0
comes 80 150 "off, after a death"
echo ok
