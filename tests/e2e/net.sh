#!/bin/bash
# Two domains on a bridge, each with its interface in a network namespace: ping and a TCP stream go on while their stubs are killed;
# nothing is left behind when they are detached.
. "$(dirname "$0")/functions.sh"
[ "$(id -u)" = 0 ] || skip "taps and namespaces need root"
[ -e /dev/net/tun ] || skip "no /dev/net/tun"
need jq ip ping iperf3
ip netns add "bh-try-$$" 2>/dev/null || skip "no network namespaces here"
ip netns del "bh-try-$$"
KILLS=${KILLS:-10}
BR=bhbr$$
N=bhn$$

world_up
ip link add "$BR" type bridge 2>/dev/null || skip "no bridges here"
at_exit "ip link del $BR"
ip link set "$BR" up
i=0
for vm in A B; do
	i=$((i + 1))
	bh create $vm || fail "create"
	bh attach $vm vif mac=00:16:3e:00:00:0$i,bridge=$BR || fail "attach"
	ip netns add $N$vm
	at_exit "ip netns del $N$vm"
	"$BUILD/bin/bulkhead-netfront" --domain $vm --netns $N$vm --tap eth0 tap >"$T/front.$vm" 2>&1 &
	at_exit "kill $! 2>/dev/null"
	wait_for 10 "connection of $vm" state_is $vm vif0 up
	wait_for 10 "interface of $vm" ip -n $N$vm link show eth0
	ip -n $N$vm addr add 198.18.0.$i/24 dev eth0
	ip -n $N$vm link set eth0 up
	ip -n $N$vm link set lo up
done
wait_for 10 "ping" ip netns exec ${N}A ping -c 1 -W 1 198.18.0.2

ip netns exec ${N}B iperf3 -s -1 >"$T/server" 2>&1 &
at_exit "kill $! 2>/dev/null"
wait_for 5 "server" sh -c "ip netns exec ${N}B ss -ltn | grep -q 5201"
ip netns exec ${N}A ping -q -i 0.01 -w 4 198.18.0.2 >"$T/ping" 2>&1 &
ping=$!
ip netns exec ${N}A iperf3 -c 198.18.0.2 -t 3 -J >"$T/iperf" 2>&1 &
iperf=$!
killed=0
while [ $killed -lt "$KILLS" ] && kill -0 $iperf 2>/dev/null; do
	vm=$([ $((killed % 2)) = 0 ] && echo A || echo B)
	bh kill "$vm" vif0 && killed=$((killed + 1))
	sleep 0.2 # traffic between deaths
done
wait $iperf || fail "the TCP stream broke: $(tail -n 5 "$T/iperf")"
wait $ping
mbit=$(jq '.end.sum_received.bits_per_second / 1e6 | floor' "$T/iperf")
echo "$killed deaths: TCP $mbit Mbit/s, $(jq '.end.sum_sent.retransmits' "$T/iperf") retransmits; $(grep -E 'packets' "$T/ping")"
[ "$mbit" -gt 0 ] || fail "nothing came through"
lost=$(sed -n 's/.* \([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p; s/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$T/ping" | awk '{print $1 - $2}')
[ "$lost" -le $((2 * killed + 2)) ] || fail "ping lost $lost in $killed deaths"
bh status
tap=$(field A vif0 net.interface)
for vm in A B; do bh detach $vm vif0 --force || fail "detach"; done
wait_for 5 "end of $tap" sh -c "! ip link show $tap"
