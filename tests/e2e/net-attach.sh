#!/bin/bash
# bulkhead-vif: guests ping through bridge, nat, route and openvswitch, by IPv4 and IPv6; with antispoof nothing gets out that is not
# theirs; attached again or killed at any point, and detached, the host is as it was before.
# Guests and host are network namespaces; tests/tools/tapwire is what stands between a vif and its guest.
. "$(dirname "$0")/functions.sh"

[ "$(id -u)" = 0 ] || skip "not root"
[ -c /dev/net/tun ] || skip "/dev/net/tun is not there"
need ip nft ping strace jq python3
N=bhn$$ # names of the namespaces: host, world outside, guests 1 and 2
H=$N-h W=$N-w
ip netns add $H 2>/dev/null || skip "no network namespaces here"
VIF=$BUILD/bin/bulkhead-vif
S=$T/state
MAC=(x 00:16:3e:00:00:01 00:16:3e:00:00:02)
PIDS=()
gone() {
	kill "${PIDS[@]}" 2>/dev/null
	wait 2>/dev/null
	for n in h w 1 2; do ip netns del $N-$n 2>/dev/null; done
}
at_exit gone
h() { ip netns exec $H "$@"; }
w() { ip netns exec $W "$@"; }
g() { ip netns exec "$N-$1" "${@:2}"; }
vif() { h "$VIF" --state="$S" "$@"; }

# ---- the host: eth0 leads to the world, a router that knows nothing of guests
for n in w 1 2; do
	ip netns add "$N-$n"
	ip netns exec "$N-$n" ip link set lo up
done
h ip link set lo up
for n in h w 1 2; do ip netns exec "$N-$n" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; done
h ip link add eth0 type veth peer name eth0 netns $W
w ip addr add 192.0.2.1/24 dev eth0
w ip addr add 2001:db8:1::1/64 dev eth0 nodad
w ip link set eth0 up
h ip addr add 192.0.2.2/24 dev eth0
h ip addr add 2001:db8:1::2/64 dev eth0 nodad
h ip link set eth0 up
h ip route add default via 192.0.2.1
h ip -6 route add default via 2001:db8:1::1
# A bridge has its own address and a port of its own, or both would come and go with guests.
# What is answered for others is answered at once, not within 0.8 s.
h sh -c 'echo 0 >/proc/sys/net/ipv4/neigh/eth0/proxy_delay; echo 0 >/proc/sys/net/ipv6/neigh/eth0/proxy_delay'
h ip link add br0 type bridge
h ip link set br0 address 00:16:3e:ff:ff:01 up
h ip link add own0 type veth peer name own0 netns $W
w ip link set own0 up
h ip link set own0 master br0 up
# Up, with the addresses that IPv6 gives itself.
settled() {
	h ip -j addr | jq -e 'map(select(.ifname != "lo") | .operstate == "UP" and
		(.master or ([.addr_info[] | select(.scope == "link" and (.tentative | not))] != []))) | all'
}
wait_for 10 "interfaces that are up" settled

# All that an attachment may change. What the kernel learns by itself about neighbours is left out.
snapshot() {
	h ip -j -d link | jq 'map(del(.tso_max_size, .tso_max_segs, .linkinfo.info_data, .linkinfo.info_slave_data))'
	h ip -j addr | jq 'map(del(.addr_info[]? | .valid_life_time, .preferred_life_time))'
	for f in -4 -6; do
		h ip -j $f route show table all | jq 'map(del(.expires))'
		h ip -j $f neigh show proxy
	done
	h nft list ruleset
	h sh -c 'grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra \
		/proc/sys/net/ipv6/conf/*/proxy_ndp /proc/sys/net/ipv4/conf/*/proxy_arp'
}
same() { # as what, when
	snapshot >"$T/now"
	diff "$T/$1" "$T/now" || fail "$2: the host is not as it was"
	[ -z "$(vif list)" ] || fail "$2: a record is left"
}

guest() { # NUMBER: its tap, and what stands behind it (no function in the background: its process is the one to kill)
	vif tap "vif$1.0" || fail "no tap"
	ip netns exec $H "$BUILD/tests/tools/tapwire" "vif$1.0" "/run/netns/$N-$1" eth0 >"$T/wire$1" 2>&1 &
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
address() { # NUMBER ADDRESS... : of the guest, gateway4= gateway6=
	local n=$1 a
	shift
	g "$n" ip addr flush dev eth0
	g "$n" ip addr add "$(ll "$n")/64" dev eth0 nodad
	for a in "$@"; do
		case $a in
		via=*:*) g "$n" ip -6 route replace default via "${a#via=}" dev eth0 ;;
		via=*) g "$n" ip route replace default via "${a#via=}" dev eth0 onlink ;;
		*:*) g "$n" ip addr add "$a" dev eth0 nodad ;;
		*) g "$n" ip addr add "$a" dev eth0 ;;
		esac
	done
}
ll() { echo "fe80::216:3eff:fe00:$1"; }
attach() { vif attach "$@" >"$T/said" 2>&1 || fail "attach $*: $(cat "$T/said")"; }
detach() { vif detach "$1" || fail "detach $1"; }
reaches() { ip netns exec "$N-$1" ping -c 1 -W 3 -n "$2" >"$T/ping" 2>&1 || ip netns exec "$N-$1" ping -c 2 -W 3 -n "$2" >"$T/ping" 2>&1 || fail "$3: $N-$1 does not reach $2: $(cat "$T/ping")"; }
silent() { ip netns exec "$N-$1" ping -c 1 -W 0.3 -n "${@:3}" "$2" >/dev/null 2>&1 && fail "guest $1 was heard at $2 (${*:3})"; }
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

# Open vSwitch in user space, for the host's namespace only.
ovs_up() {
	export OVS_RUNDIR=$T OVS_LOGDIR=$T OVS_DBDIR=$T
	ovsdb-tool create "$T/conf.db" /usr/share/openvswitch/vswitch.ovsschema || return
	at_exit ovs_down
	h ovsdb-server "$T/conf.db" --remote="punix:$T/db.sock" --pidfile="$T/db.pid" --detach --log-file="$T/db.log" -vconsole:off &&
		h ovs-vsctl --no-wait init &&
		h ovs-vswitchd "unix:$T/db.sock" --pidfile="$T/vs.pid" --detach --log-file="$T/vs.log" -vconsole:off &&
		h ovs-vsctl --timeout=20 -- add-br ovs0 -- set bridge ovs0 datapath_type=netdev && h ip link set ovs0 up
}
ovs_down() {
	local p pids=()
	for p in vs db; do [ ! -f "$T/$p.pid" ] || pids+=("$(cat "$T/$p.pid")"); done
	kill "${pids[@]}" 2>/dev/null
	for _ in $(seq 250); do
		kill -0 "${pids[@]}" 2>/dev/null || return
		sleep 0.02
	done
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
case ${BULKHEAD_BUILD:-} in *-*) echo "ok: without deaths, since a sanitizer's build can not be traced"; exit 0 ;; esac
deaths bridge bridge=br0 mac="${MAC[1]}" ip=10.9.0.1,fd09::1 antispoof=1 mtu=1400
deaths nat mac="${MAC[1]}" domid=1 antispoof=1
deaths route ip=192.0.2.101,2001:db8:1::101
ovs
echo ok
