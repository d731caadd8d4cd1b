# net_host_functions.sh - a host and the world outside in network namespaces, where a vif's tap is attached: for scripts that have sourced
# functions.sh.
# shellcheck shell=bash
#   net_host_up GUESTS...  makes it, and a namespace for each guest; skips where that can not be. S: the state of bulkhead-vif, given
#   h, w, g N COMMAND...   runs it in the host, in the world, in guest N
#   vif ARG...             bulkhead-vif there
#   snapshot               all that an attachment may change
#   same FILE WHEN         it is as that snapshot was, and no record is left
#   address N ADDRESS...   of guest N's eth0; via=GATEWAY; ll N: its link-local one
#   ovs_up                 Open vSwitch in the host, with the bridge ovs0
#   reaches N ADDRESS WHEN, silent N ADDRESS [ping options]

N=bhn$$ # names of the namespaces: host, world outside, guests
H=$N-h W=$N-w
VIF=$BUILD/bin/bulkhead-vif
MAC=(x 00:16:3e:00:00:01 00:16:3e:00:00:02)
h() { ip netns exec "$H" "$@"; }
w() { ip netns exec "$W" "$@"; }
g() { ip netns exec "$N-$1" "${@:2}"; }
vif() { h "$VIF" --state="$S" "$@"; }

# Up, with the addresses that IPv6 gives itself.
settled() {
	h ip -j addr | jq -e 'map(select(.ifname != "lo") | .operstate == "UP" and
		(.master or ([.addr_info[] | select(.scope == "link" and (.tentative | not))] != []))) | all'
}

# eth0 leads to the world, a router that knows nothing of guests.
net_host_up() {
	local n
	[ "$(id -u)" = 0 ] || skip "not root"
	[ -c /dev/net/tun ] || skip "/dev/net/tun is not there"
	need ip nft ping jq
	ip netns add "$H" 2>/dev/null || skip "no network namespaces here"
	at_exit net_host_down
	for n in w "$@"; do
		ip netns add "$N-$n"
		ip netns exec "$N-$n" ip link set lo up
	done
	h ip link set lo up
	for n in h w "$@"; do ip netns exec "$N-$n" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; done
	h ip link add eth0 type veth peer name eth0 netns "$W"
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
	h ip link add own0 type veth peer name own0 netns "$W"
	w ip link set own0 up
	h ip link set own0 master br0 up
	wait_for 10 "interfaces that are up" settled
}
net_host_down() {
	for n in $(ip netns list | grep -o "^$N-[a-z0-9]*"); do ip netns del "$n"; done
}

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
reaches() { ip netns exec "$N-$1" ping -c 1 -W 3 -n "$2" >"$T/ping" 2>&1 || ip netns exec "$N-$1" ping -c 2 -W 3 -n "$2" >"$T/ping" 2>&1 || fail "$3: $N-$1 does not reach $2: $(cat "$T/ping")"; }
silent() { ip netns exec "$N-$1" ping -c 1 -W 0.3 -n "${@:3}" "$2" >/dev/null 2>&1 && fail "guest $1 was heard at $2 (${*:3})"; }

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
