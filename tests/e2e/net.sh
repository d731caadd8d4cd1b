#!/bin/bash
# Two domains on a bridge, each with its interface in a network namespace: ping and a TCP stream go on while their stubs are killed;
# nothing is left behind when they are detached.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_functions.sh"
WHY=$(net_missing)
[ -z "$WHY" ] || skip "$WHY"
KILLS=${KILLS:-10}

world_up
net_bridge
net_guest A 1 "bridge=$BR"
net_guest B 2 "bridge=$BR"
wait_for 10 "ping" ns A ping -c 1 -W 1 198.18.0.2

net_server B
ns A ping -q -i 0.01 -w 4 198.18.0.2 >"$T/ping" 2>&1 &
ping=$!
ns A iperf3 -c 198.18.0.2 -t 3 -J >"$T/iperf" 2>&1 &
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
