#!/bin/bash
# A guest's hash mapping chooses the queue of what comes to it: all to one queue, then to the other, over deaths of stub and supervisor;
# the next connection begins without it. Where BPF is refused, the vif works, and that is said.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_functions.sh"
why=$(net_missing)
[ -z "$why" ] || skip "$why"
"$BUILD/bin/bulkhead" doctor | grep -q '^ok *steering' || skip "no BPF program can be loaded here"
TAP=$NS-t
world_up

steering() { [ "$(field A vif0 net.steering)" = "$1" ]; }
# What has come to queue N by now, as the frontend counts it.
counted() {
	local n
	n=$(grep -c '^rx_drops' "$T/front.log")
	kill -USR1 "$(cat "$T/A.front")"
	wait_for 10 "counters" sh -c "[ \$(grep -c '^rx_drops' '$T/front.log') -gt $n ]"
	COUNT=()
	for n in 0 1; do COUNT[n]=$(grep "^queue $n: rx_packets:" "$T/front.log" | tail -n 1 | grep -o '[0-9]*$'); done
}
PINGS=20
all_to() { # QUEUE WHEN
	local before
	counted
	before=("${COUNT[@]}")
	ping -n -q -i 0.002 -c $PINGS -W 1 198.18.0.1 >/dev/null || fail "$2: no answer"
	ping -6 -n -q -i 0.002 -c $PINGS -W 1 fd00:18::1 >/dev/null || fail "$2: no answer by IPv6"
	counted
	echo "$2: queue 0 $((COUNT[0] - before[0])), queue 1 $((COUNT[1] - before[1]))"
	[ $((COUNT[$1] - before[$1])) -ge $((2 * PINGS)) ] || fail "$2: not all came to queue $1"
	[ $((COUNT[1 - $1] - before[1 - $1])) -lt $PINGS ] || fail "$2: some came to the other queue than $1"
}
# The frontend says nothing when it has done it: it is done when a packet comes there.
next() { # QUEUE WHEN
	kill -USR2 "$(cat "$T/A.front")"
	wait_for 10 "a packet in queue $1, $2" comes_to "$1"
	all_to "$1" "$2"
}
comes_to() {
	local before
	counted
	before=${COUNT[$1]}
	ping -n -q -c 1 -W 1 198.18.0.1 >/dev/null
	counted
	[ "${COUNT[$1]}" -gt "$before" ]
}
host() { # the host's own end, without a bridge
	ip addr add 198.18.0.254/24 dev "$TAP"
	ip addr add fd00:18::fe/64 dev "$TAP" nodad
	ip link set "$TAP" up
}
kill_stub() {
	local pid
	pid=$(field A vif0 pid)
	kill -9 "$pid"
	wait_for 10 "successor" sh -c "[ \$('$BUILD/bin/bulkhead' status A vif0 --json | jq '.[0] | select(.state == \"up\") | .pid') != $pid ]"
}
kill_supervisor() {
	local pid
	pid=$(pgrep -f -- "bulkheadd --runtime-dir $BULKHEAD_RUNTIME_DIR" | head -n 1)
	[ "${pid:-0}" -gt 1 ] || fail "no supervisor"
	kill -9 "$pid"
	wait_for 10 "another supervisor" state_is A vif0 up
}

net_guest A 1 "vifname=$TAP" --queues 2 --steer
host
wait_for 10 "the guest's mapping" steering guest
all_to 0 "at first"
next 1 "moved"
kill_stub
all_to 1 "its stub killed"
next 0 "moved by the successor"
kill_supervisor
wait_for 10 "the guest's mapping, after a death of the supervisor" steering guest
all_to 0 "the supervisor killed"
next 1 "moved after that"
kill_stub
all_to 1 "both killed"
net_front_end A
net_front A --queues 2
wait_for 10 "state up" state_is A vif0 up
steering port || fail "the next connection begins with the mapping of the last: $(field A vif0 net.steering)"
net_front_end A
net_front A --queues 1 --steer
wait_for 10 "state up" state_is A vif0 up
steering port || fail "one queue: $(field A vif0 net.steering)"
net_front_end A

# A host that refuses it.
[ "$(cat /proc/sys/kernel/unprivileged_bpf_disabled 2>/dev/null || echo 0)" != 0 ] || { echo "BPF for everybody here: refusal not tried" && exit; }
world_down
export BULKHEAD_RUNTIME_DIR=$T/other
setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin "$BUILD/bin/bulkhead" start --provider local >"$T/start" 2>&1 ||
	fail "start without the right to BPF: $(cat "$T/start")"
bh create B >/dev/null || fail "create"
bh attach B vif "mac=00:16:3e:00:00:02,vifname=$NS-u" >"$T/said" || fail "attach: $(cat "$T/said")"
ip netns add "${NS}B" || fail "a namespace for B"
at_exit "ip netns del ${NS}B"
net_front B --queues 2 --steer
at_exit "net_front_end B"
wait_for 10 "state up" state_is B vif0 up
[ "$(field B vif0 net.steering)" = refused ] || fail "refusal is not said: $(field B vif0 net.steering)"
bh status | grep -q 'no BPF' || fail "refusal is not said in status"
[ "$(grep -c 'BPF is refused' "$BULKHEAD_RUNTIME_DIR/log")" = 1 ] || fail "refusal is not said once in the log"
echo ok
