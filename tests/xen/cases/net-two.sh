# Beside a loaded xen-netback: a vif marked with script=vif-bulkhead is ours, the other one the kernel's, in one guest, each in a bridge of
# its own; TCP both ways on each, in interleaved rounds, and the ratio within each round. DOM0_ARGS="rounds=N secs=N".
# limit: 400 s
. /cases/functions.sh
. /cases/net_functions.sh
rounds=$(number rounds 7) secs=$(number secs 3)
bus=/sys/bus/xen-backend
bridge_up 10.9.0.1
{ ip link add br1 type bridge && ip link set br1 up && ip addr add 10.9.1.1/24 dev br1; } || fail "bridge"
modules xen-netback
servers
start_world --vifs marked
config a net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:01,script=vif-bulkhead", "bridge=br1,mac=00:16:3e:00:00:02"]'
timed "create with a vif of each kind" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
driver() { basename "$(readlink "$bus/devices/$1/driver")"; }
[ "$(driver "vif-$id-0")" = "" ] && [ "$(driver "vif-$id-1")" = vif ] || fail "drivers: $(driver "vif-$id-0"), $(driver "vif-$id-1")"
[ "$(taps)" = "vif$id.0" ] || fail "taps: $(taps)"
address a 10.9.0.2/24 10.9.0.1 eth0
address a 10.9.1.2/24 10.9.1.1 eth1
ask a "grep -q 00:16:3e:00:00:01 /sys/class/net/eth0/address"
copied a 10.9.0.1
copied a 10.9.1.1

# calls WHAT [OPTION]: what our stub asks the kernel for in a second of TCP, and how many packets those calls moved.
stat() { cat "/sys/class/net/vif$id.0/statistics/$1"; }
calls() {
	local pid from
	pid=$(field "$id" pid vif0)
	tell a "iperf3 -c 10.9.0.1 -t 5 ${2:-} >/dev/null 2>&1; echo CALLS''$1"
	sleep 2
	strace -c -f -o /srv/calls -p "$pid" 2>/dev/null &
	wait_for 5 "strace" grep -q 'TracerPid:.*[1-9]' "/proc/$pid/status"
	from=($(stat rx_packets) $(stat rx_bytes) $(stat tx_packets) $(stat tx_bytes))
	sleep 1
	kill -INT $!
	wait $!
	echo "OBS net-two, $1, a second under strace: $(($(stat rx_packets) - from[0])) packets of $(($(stat rx_bytes) - from[1])) bytes from the guest," \
		"$(($(stat tx_packets) - from[2])) of $(($(stat tx_bytes) - from[3])) to it;" \
		"calls:$(awk '$4 ~ /^[0-9]+$/ && NF < 7 { is = is " " $NF " " $4 } END { print is }' /srv/calls)"
	wait_for 30 "the end of that" says a "CALLS$1"
}
calls out
calls in -R
: >/srv/speeds
for i in $(seq "$rounds"); do
	for way in "" -R; do
		# Each round begins with another one.
		for n in $((i % 2)) $((1 - i % 2)); do
			speed a "10.9.$n.1" "$secs" $way
			echo "$i ${way:-out} $n $mbits" | tee -a /srv/speeds
		done
	done
done
awk '
	function median(of, n,   i, j, t, a) {
		for (i = 1; i <= n; i++) { t = of[i]; for (j = i; j > 1 && a[j - 1] > t; j--) a[j] = a[j - 1]; a[j] = t }
		return sprintf("%.2f (%.2f .. %.2f)", n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2, a[1], a[n])
	}
	{ v[$2, $3, $1] = $4; if ($1 > r) r = $1 }
	END { for (w = 0; w < 2; w++) { way = w ? "-R" : "out"
		for (i = 1; i <= r; i++) { ours[i] = v[way, 0, i]; kern[i] = v[way, 1, i]; q[i] = kern[i] ? ours[i] / kern[i] : 0 }
		printf "OBS net-two, %s, Mbit/s: Bulkhead %s, xen-netback %s, ratio %s\n", w ? "dom0 to guest" : "guest to dom0",
			median(ours, r), median(kern, r), median(q, r) } }' /srv/speeds
bulkhead status
quiet_guest a
timed "network-detach of ours" 0 xl network-detach a 0
timed "network-detach of the kernel's" 0 xl network-detach a 1
timed "network-attach of ours" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0 script=vif-bulkhead
address a 10.9.0.2/24 10.9.0.1
timed "destroy" 0 xl destroy a
no_vif_left "$id"
bulkhead stop
timed "create with a vif of ours, Bulkhead stopped" 3 xl create /srv/a.cfg
told "not offered by Bulkhead"
rmmod xen-netback
