#!/bin/bash
# `bulkhead attach VM vif mode=nat|route|openvswitch antispoof=1`, through the supervisor: the guest reaches the world and nobody hears it lie,
# its stub and the supervisor are killed, in the middle of attaching and detaching too; detached, the host is as it was before. What can not
# be attached says why; a detach and the next attach of the same tap keep their order.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_host_functions.sh"
S=$T/run/net
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "SEED=$SEED"
net_host_up 1
ovs=0 # before the supervisor, whose helpers are to find it
if command -v ovs-vswitchd >/dev/null && ovs_up 2>/dev/null; then ovs=1; fi
bulkhead() { h "$BUILD/bin/bulkhead" "$@"; }
stop() { bulkhead stop >/dev/null 2>&1; }
at_exit stop
bulkhead start --provider local >"$T/start" 2>&1 || fail "bulkhead start: $(cat "$T/start")"
bulkhead create A >/dev/null || fail "create"

up() { [ "$(field A vif0 state)" = up ]; }
gone() { [ "$(bh status --json | jq length)" = 0 ] && [ -z "$(vif list)" ]; }
supervisor() { pgrep -f -- "bulkheadd --runtime-dir $BULKHEAD_RUNTIME_DIR" | head -n 1; }
kill_supervisor() {
	local pid
	pid=$(supervisor)
	[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
}
attach() { bulkhead attach A vif "mac=${MAC[1]},$1" >"$T/said" 2>&1; }
front() {
	"$BUILD/bin/bulkhead-netfront" --domain A --netns "$N-1" --tap eth0 --background --pid-file "$T/front" tap >>"$T/front.log" 2>&1 ||
		fail "the frontend: $(tail -n 1 "$T/front.log")"
	wait_for 10 "state up" up
}
front_end() {
	local pid
	pid=$(cat "$T/front" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null
	wait_for 5 "end of the frontend" sh -c "! kill -0 $pid"
	rm -f "$T/front"
}
at_exit front_end
detach() {
	front_end
	bulkhead detach A vif0 --force >"$T/said" 2>&1 || fail "detach: $(cat "$T/said")"
}

check() { # MODE ADDRESS... : of the guest
	local mode=$1
	shift
	address 1 "$@"
	reaches 1 "$TO" "$mode"
	g 1 ip addr add "$LIE/32" dev eth0
	silent 1 "$TO" -I "$LIE"
	g 1 ip addr del "$LIE/32" dev eth0
	g 1 ip link set eth0 address 00:16:3e:00:00:99
	silent 1 "$TO"
	g 1 ip link set eth0 address "${MAC[1]}"
	address 1 "$@"
	reaches 1 "$TO" "$mode, after lies"
}
one() { # MODE, its other options, the guest's addresses
	local mode=$1 options=$2
	shift 2
	snapshot >"$T/before"
	attach "mode=$mode,antispoof=1,$options" || fail "$mode: $(cat "$T/said")"
	front
	check "$mode" "$@"
	bulkhead kill A vif0 || fail "kill"
	kill_supervisor
	wait_for 10 "state up" up
	check "$mode, after deaths" "$@"
	detach
	wait_for 10 "end of it" gone
	same before "$mode"
	echo "$mode: ok"
}

# The supervisor dies at any moment of attaching, and of detaching; what is said last holds.
deaths() { # MODE, options
	local n
	snapshot >"$T/before"
	for n in 1 2; do
		attach "mode=$1,antispoof=1,$2" &
		sleep "0.0$((RANDOM % 9))" # the moment of its death
		kill_supervisor
		wait $! || bulkhead attach A vif "mac=${MAC[1]},devid=0,mode=$1,antispoof=1,$2" >/dev/null 2>&1
		bulkhead detach A vif0 --force >"$T/said" 2>&1 &
		sleep "0.0$((RANDOM % 9))"
		kill_supervisor
		wait $! || bulkhead detach A vif0 --force >/dev/null 2>&1
		wait_for 20 "end of it, death $n" gone
		same before "$1, death $n of the supervisor"
	done
	echo "$1: $((2 * n)) deaths of the supervisor, nothing left"
}

TO=192.0.2.1
LIE=10.7.0.77 one nat ip=10.7.0.5,gatewaydev=eth0 10.7.0.5/32 via=10.7.0.132
LIE=192.0.2.177 one route "ip=192.0.2.101 2001:db8:1::101" 192.0.2.101/24 via=192.0.2.1 2001:db8:1::101/128 via=fe80::1
if [ $ovs = 1 ]; then
	h ip addr add 10.9.0.254/24 dev ovs0
	TO=10.9.0.254 LIE=10.9.0.66 one openvswitch bridge=ovs0,ip=10.9.0.1 10.9.0.1/24
else
	echo "openvswitch: not here, not tried"
fi
deaths nat ip=10.7.0.5

# What can not be attached says why, and leaves nothing.
snapshot >"$T/before"
attach mode=route,ip=10.7.0.256 && fail "a wrong address is taken"
grep -q '10.7.0.256' "$T/said" || fail "a wrong address: $(cat "$T/said")"
attach mode=openvswitch,bridge=nosuch && fail "a bridge that is not there is taken"
grep -q 'nosuch' "$T/said" || fail "a bridge that is not there: $(cat "$T/said")"
wait_for 10 "end of it" gone
same before "what can not be attached"

# Detached and attached again at once: the one waits for the other, however long that takes.
attach mode=nat,antispoof=1,ip=10.7.0.5 || fail "attach: $(cat "$T/said")"
helper() { pgrep -f -- "bulkhead-vif .*--state=$S $1 " >/dev/null; }
exec 9>"$S/lock"
flock 9
bulkhead detach A vif0 --force >/dev/null 2>&1
wait_for 10 "bulkhead-vif" helper detach
attach mode=nat,antispoof=1,ip=10.7.0.5 &
at=$!
for _ in 1 2 3 4 5 6 7 8; do
	helper attach && fail "an attachment overtakes what is detached"
	sleep 0.05 # in which it might begin
done
flock -u 9
wait $at || fail "attach after a slow detach: $(cat "$T/said")"
for _ in 1 2 3; do
	bulkhead detach A vif0 --force >/dev/null 2>&1
	attach mode=nat,antispoof=1,ip=10.7.0.5 || fail "attach at once: $(cat "$T/said")"
done
front
LIE=10.7.0.77 check "after many" 10.7.0.5/32 via=10.7.0.132
detach
wait_for 10 "end of it" gone
same before "after many"
echo ok
