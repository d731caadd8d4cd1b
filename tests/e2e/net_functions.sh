# net_functions.sh - domains whose interface is in a network namespace: for scripts that have sourced functions.sh.
# shellcheck shell=bash
#   net_missing            what this machine lacks for that, in a line; nothing where it lacks nothing
#   net_bridge             makes the bridge $BR
#   net_guest VM N VIF [netfront options]  the domain VM, its interface VIF (as in xl.cfg) as eth0 of a namespace, with the addresses
#                          198.18.0.N and fd00:18::N
#   net_front VM [netfront options], net_front_end VM   its frontend alone
#   ns VM COMMAND...       runs it there
#   net_server VM          an iperf3 server there, for one test

BR=bhbr$$
NS=bhn$$

net_missing() {
	local try=bhtry$$ p
	for p in ip ping iperf3 jq; do
		command -v "$p" >/dev/null || { echo "$p is not installed" && return; }
	done
	[ "$(id -u)" = 0 ] || { echo "taps and namespaces need root" && return; }
	[ -c /dev/net/tun ] || { echo "no /dev/net/tun (modprobe tun)" && return; }
	ip netns add $try 2>/dev/null || { echo "no network namespaces here" && return; }
	if ! ip -n $try tuntap add $try mode tap 2>/dev/null; then
		echo "no tap can be made here"
	elif ! ip -n $try link add ${try}b type bridge 2>/dev/null; then
		echo "no bridges here (modprobe bridge)"
	fi
	ip netns del $try
}

net_bridge() {
	ip link add "$BR" type bridge || fail "no bridge can be made"
	at_exit "ip link del $BR"
	ip link set "$BR" up
}

ns() {
	local vm=$1
	shift
	ip netns exec "$NS$vm" "$@"
}

net_front() {
	local vm=$1
	shift
	"$BUILD/bin/bulkhead-netfront" --domain "$vm" --netns "$NS$vm" --tap eth0 --background --pid-file "$T/$vm.front" "$@" tap \
		>>"$T/front.log" 2>&1 || fail "the frontend of $vm: $(tail -n 1 "$T/front.log")"
}
net_front_end() {
	local pid
	pid=$(cat "$T/$1.front" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null
	wait_for 5 "end of the frontend of $1" sh -c "! kill -0 $pid"
}

net_guest() {
	local vm=$1 n=$2 vif=$3
	shift 3
	bh create "$vm" >/dev/null || fail "create"
	bh attach "$vm" vif "mac=00:16:3e:00:00:0$n,$vif" >/dev/null || fail "attach"
	ip netns add "$NS$vm" || fail "a namespace for $vm"
	at_exit "ip netns del $NS$vm"
	net_front "$vm" "$@"
	at_exit "net_front_end $vm"
	ns "$vm" ip link set lo up
	ns "$vm" ip addr add "198.18.0.$n/24" dev eth0
	ns "$vm" ip addr add "fd00:18::$n/64" dev eth0 nodad
}

net_server() {
	ns "$1" iperf3 -s -1 >"$T/server" 2>&1 &
	at_exit "kill $! 2>/dev/null"
	wait_for 5 "server" sh -c "ip netns exec $NS$1 ss -ltn | grep -q 5201"
}
