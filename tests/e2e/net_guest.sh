#!/bin/bash
# What a guest makes of its interface: large frames, IPv6, two queues, both directions at once, while its stub is killed; and an
# interface that is taken away and given back, whose tap stays.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_functions.sh"
WHY=$(net_missing)
[ -z "$WHY" ] || skip "$WHY"

world_up
net_bridge
net_guest A 1 "bridge=$BR,mtu=9000" --queues 2 --reconnect
net_guest B 2 "bridge=$BR,mtu=9000" --queues 2
pings() { ns A ping -q -c 1 -W 1 "$@"; }
wait_for 10 "ping" pings 198.18.0.2
[ "$(field A vif0 queues)" = 2 ] || fail "not two queues: $(bh status A vif0 --json)"
for of in "-s 8972 198.18.0.2" "-s 8952 fd00:18::2"; do
	# shellcheck disable=SC2086
	wait_for 5 "ping in one frame of 9000 bytes ($of)" pings -M "do" $of
done
pings -M "do" -s 8973 198.18.0.2 >/dev/null 2>&1 && fail "a frame larger than the MTU"

net_server B
ns A iperf3 -c fd00:18::2 -t 1 -P 2 --bidir -J >"$T/iperf" 2>&1 &
iperf=$!
killed=0
while kill -0 $iperf 2>/dev/null; do
	bh kill A vif0 2>/dev/null && killed=$((killed + 1))
	sleep 0.1 # traffic between deaths
done
wait $iperf || fail "a stream broke: $(jq -r .error "$T/iperf")"
echo "$killed deaths, IPv6, two queues: $(jq -r '.end | "\(.sum_received.bits_per_second / 1e6 | floor) Mbit/s there, \(.sum_received_bidir_reverse.bits_per_second / 1e6 | floor) back"' "$T/iperf")"
[ $killed -gt 0 ] || fail "nothing was killed"

bh detach A vif0 || fail "detach"
ns A ip addr show eth0 | grep -q 198.18.0.1/24 || fail "the tap went with the vif"
link_is() { ns A cat /sys/class/net/eth0/carrier | grep -q "$1"; }
wait_for 5 "end of the link" link_is 0
bh attach A vif "mac=00:16:3e:00:00:11,bridge=$BR" >/dev/null || fail "attach"
wait_for 10 "connection again" state_is A vif0 up
wait_for 5 "ping" pings 198.18.0.2
ns A ip link show eth0 | grep -q 00:16:3e:00:00:11 || fail "it has another address now"
ns A ip link show eth0 | grep -q 'mtu 1500' || fail "no MTU was given this time"
echo "detached and attached again: the tap stayed, and is connected"
for vm in A B; do
	net_front_end $vm
	bh detach $vm vif0 || fail "detach"
done
