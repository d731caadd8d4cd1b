#!/bin/bash
# bulkhead-vif: guests ping through bridge, nat, route and openvswitch, by IPv4 and IPv6; with antispoof nothing gets out that is not
# theirs; attached again or killed at any point, and detached, the host is as it was before.
# Guests and host are network namespaces; tests/tools/tapwire is what stands between a vif and its guest.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_host_functions.sh"

need strace python3
S=$T/state
net_host_up 1 2
PIDS=()
wires_end() {
	kill "${PIDS[@]}" 2>/dev/null
	wait 2>/dev/null
}
at_exit wires_end

guest() { # NUMBER: its tap, and what stands behind it (no function in the background: its process is the one to kill)
	vif tap "vif$1.0" || fail "no tap"
	ip netns exec "$H" "$BUILD/tests/tools/tapwire" "vif$1.0" "/run/netns/$N-$1" eth0 >"$T/wire$1" 2>&1 &
	PIDS[$1]=$!
	wait_for 10 "tapwire on vif$1.0" grep -q ready "$T/wire$1"
	g "$1" ip link set eth0 address "${MAC[$1]}" up
}
guests_end() {
	kill "${PIDS[@]}" 2>/dev/null
	wait 2>/dev/null
	PIDS=()
	for n in 1 2; do g $n ip link del eth0 2>/dev/null; done
}
attach() { vif attach "$@" >"$T/said" 2>&1 || fail "attach $*: $(cat "$T/said")"; }
detach() { vif detach "$1" || fail "detach $1"; }
both() { # MODE: two guests attached by setup_MODE, detached again
	snapshot >"$T/before"
	guest 1
	guest 2
	"setup_$1"
	snapshot >"$T/attached"
	"setup_$1" # again: nothing changes
	snapshot >"$T/again"
	diff "$T/attached" "$T/again" || fail "$1: attached twice, it is another"
	"check_$1"
	detach vif1.0
	detach vif2.0
	detach vif2.0
	guests_end
	same before "$1"
	echo "$1: ok"
}

setup_bridge() {
	for n in 1 2; do attach vif$n.0 mode=bridge bridge=br0 mac="${MAC[$n]}" ip="10.9.0.$n/24,fd09::$n" antispoof=1; done
}
check_bridge() {
	for n in 1 2; do address $n 10.9.0.$n/24 fd09::$n/64; done
	reaches 1 10.9.0.2 bridge
	reaches 2 fd09::1 bridge
	reaches 1 "$(ll 2)%eth0" bridge
	spoof
}
# Of single frames of guest 1 the true ones arrive, and no other.
frames() {
	ip netns exec $N-2 python3 tests/tools/frames.py listen eth0 >"$T/frames" &
	PIDS[3]=$!
	wait_for 20 "listener" grep -q listening "$T/frames"
	g 1 python3 tests/tools/frames.py send eth0
	wait_for 20 "true frames: $(cat "$T/frames")" heard 10
	g 1 python3 tests/tools/frames.py end eth0
	wait_for 20 "last frame" heard 11
	grep '^lie' "$T/frames" && fail "guest 2 hears lies"
}
heard() { [ "$(sort -u "$T/frames" | grep -c ^true)" = "$1" ]; }
# Guest 1 says it is somebody else: by address and by MAC.
spoof() {
	frames
	g 2 ip neigh flush dev eth0
	g 1 ip addr add 10.9.0.66/24 dev eth0
	g 1 ip addr add fd09::66/64 dev eth0 nodad
	silent 1 10.9.0.2 -I 10.9.0.66
	silent 1 fd09::2 -I fd09::66
	silent 2 10.9.0.66
	silent 2 fd09::66
	g 2 ip neigh | grep -E '(10.9.0|fd09::)66.*lladdr' && fail "guest 2 believes in a false address"
	reaches 1 10.9.0.2 "after its lies"
	g 1 ip link set eth0 address 00:16:3e:00:00:99
	silent 1 10.9.0.2
	g 1 ip link set eth0 address "${MAC[1]}"
	address 1 10.9.0.1/24 fd09::1/64
	reaches 1 10.9.0.2 "with its own MAC again"
	reaches 1 fd09::2 "with its own MAC again"
}

setup_nat() {
	attach vif1.0 mode=nat mac="${MAC[1]}" domid=1 handle=0 antispoof=1
	grep -q '^gateway=10.0.1.128$' "$T/said" || fail "nat says: $(cat "$T/said")"
	attach vif2.0 mode=nat mac="${MAC[2]}" ip=10.7.0.200,fd07::2 gatewaydev=eth0
}
check_nat() {
	address 1 10.0.1.1/16 via=10.0.1.128 fd62:756c:6b68:1::1/128 via=fe80::1
	address 2 10.7.0.200/32 via=10.7.0.73 fd07::2/128 via=fe80::1
	reaches 1 192.0.2.1 nat
	reaches 1 2001:db8:1::1 nat
	reaches 2 192.0.2.1 nat
	reaches 2 2001:db8:1::1 nat
	reaches 1 10.7.0.200 "nat, among guests"
	reaches 2 10.0.1.1 "nat, among guests"
	g 1 ip addr add 10.0.1.77/32 dev eth0
	silent 1 192.0.2.1 -I 10.0.1.77
	# One goes: what both want stays.
	detach vif1.0
	reaches 2 192.0.2.1 "nat, the other is gone"
	reaches 2 2001:db8:1::1 "nat, the other is gone"
}

setup_route() {
	attach vif1.0 mode=route mac="${MAC[1]}" ip=192.0.2.101,2001:db8:1::101 antispoof=1
	attach vif2.0 mode=route ip="192.0.2.102 2001:db8:1::102 198.51.100.0/28" gatewaydev=eth0
}
check_route() {
	for n in 1 2; do address $n 192.0.2.10$n/24 via=192.0.2.1 2001:db8:1::10$n/128 via=fe80::1; done
	reaches 1 192.0.2.1 route
	reaches w 192.0.2.101 route
	reaches 1 2001:db8:1::1 route
	reaches w 2001:db8:1::102 route
	reaches 1 192.0.2.102 "route, among guests"
	reaches 2 2001:db8:1::101 "route, among guests"
	g 2 ip addr add 198.51.100.5/32 dev eth0
	reaches h 198.51.100.5 "route, a network behind"
	g 1 ip addr add 192.0.2.177/32 dev eth0
	silent 1 192.0.2.1 -I 192.0.2.177
}

# A way out that is not there is refused, and changes nothing; one that goes later is no matter to what is attached.
way_out() {
	local say
	snapshot >"$T/before"
	vif tap vif1.0 || fail "no tap"
	h ip link add gone0 type bridge
	attach vif1.0 mode=nat mac="${MAC[1]}" ip=10.7.0.200 gatewaydev=gone0
	say=$(h "$VIF" --state="$S" attach vif1.0 mode=nat mac="${MAC[1]}" ip=10.7.0.200 gatewaydev=nosuch 2>&1) && fail "a way out that is not there is taken"
	[ "$say" = "bulkhead-vif: vif1.0: there is no interface nosuch, which is to lead out (gatewaydev=)" ] || fail "a way out that is not there: $say"
	h nft list table inet bulkhead-vif1.0 | grep -q '"gone0"' || fail "what was refused has undone what was there"
	h ip link del gone0
	attach vif1.0 mode=nat mac="${MAC[1]}" ip=10.7.0.200 gatewaydev=gone0
	detach vif1.0
	same before "a way out that went"
}

setup_openvswitch() {
	for n in 1 2; do attach vif$n.0 mode=openvswitch bridge=ovs0.7 mac="${MAC[$n]}" ip="10.9.0.$n,fd09::$n" antispoof=1 vm=guest$n; done
}
check_openvswitch() {
	h ovs-vsctl get interface vif1.0 external-ids | grep -q 'attached-mac.*xen-vm-name=guest1' || fail "openvswitch: no name at the port"
	[ "$(h ovs-vsctl get port vif1.0 tag)" = 7 ] || fail "openvswitch: no tag"
	check_bridge
}

# ---- every mode, then deaths: at every STEP-th system call that matters (STEP=1: all of them, two minutes a mode)
STEP=${STEP:-25}
SEED=${SEED:-$((RANDOM % STEP))}
echo "STEP=$STEP SEED=$SEED"
modes() { for m in bridge nat route; do both $m; done; }
ovs() {
	command -v ovs-vswitchd >/dev/null || { echo "openvswitch: not installed, not tried"; return; }
	ovs_up || fail "Open vSwitch does not start: $(tail -n 3 "$T/vs.log")"
	both openvswitch
	h ovs-vsctl list-ports ovs0 | grep . && fail "openvswitch: a port is left"
	h ovs-ofctl dump-flows ovs0 | grep in_port && fail "openvswitch: flows are left"
	deaths openvswitch bridge=ovs0 mac="${MAC[1]}" ip=10.9.0.1 antispoof=1
	h ovs-vsctl list-ports ovs0 | grep . && fail "openvswitch: a port is left after deaths"
	h ovs-ofctl dump-flows ovs0 | grep in_port && fail "openvswitch: flows are left after deaths"
}

# Options of strace that kill at the k-th of them.
killed_at() { # K COMMAND...
	local k=$1
	shift
	h strace -f -qq -o /dev/null -e trace=sendto,sendmsg,write,openat,ioctl,renameat,renameat2,unlinkat,fork,clone,execve,execveat,clone3,vfork,mkdir \
		-e inject=sendto,sendmsg,write,openat,ioctl,renameat,renameat2,unlinkat,mkdir:signal=KILL:when="$k" "$VIF" --state="$S" "$@" >/dev/null 2>&1
}
deaths() { # MODE ARGS... : attach is killed at each call, then detach
	local k n=0 mode=$1
	shift
	snapshot >"$T/before"
	for ((k = 1 + SEED % STEP; ; k += STEP)); do
		vif tap vif1.0 || fail "no tap"
		killed_at "$k" attach vif1.0 mode="$mode" "$@" && break
		vif detach vif1.0 || fail "$mode, killed at call $k: detach"
		same before "$mode, killed at call $k"
		n=$((n + 1))
	done
	[ "$n" -gt 0 ] || fail "$mode: no death"
	for ((k = 1 + SEED % STEP; ; k += STEP)); do
		killed_at "$k" detach vif1.0 && break
		vif tap vif1.0 || fail "no tap" # as it would be needed again, in part
		attach vif1.0 mode="$mode" "$@"
		n=$((n + 1))
	done
	same before "$mode, detach killed at every call"
	echo "$mode: $n deaths, nothing left"
}

modes
way_out
case ${BULKHEAD_BUILD:-} in *-*) echo "ok: without deaths, since a sanitizer's build can not be traced"; exit 0 ;; esac
deaths bridge bridge=br0 mac="${MAC[1]}" ip=10.9.0.1,fd09::1 antispoof=1 mtu=1400
deaths nat mac="${MAC[1]}" domid=1 antispoof=1
deaths route ip=192.0.2.101,2001:db8:1::101
ovs
echo ok
