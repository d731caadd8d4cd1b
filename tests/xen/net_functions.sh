# For cases with a network in dom0: sourced after functions.sh. Their guests' job is net: a shell, told what to do.
export RAMDISK=/boot/net.img MEM=${MEM:-192}

trap 'rc=$?; [ $rc = 0 ] || [ $rc = 77 ] || dump; cleanup; net_down' EXIT

modules tun
bridge_up() {
	modules llc stp bridge
	{ ip link add br0 type bridge && ip link set br0 up && ip addr add "$1/24" dev br0; } || fail "bridge"
}

# servers COMMAND...: iperf3, a web server with a file, and one that takes a file; run by COMMAND (another network namespace's).
file=/srv/www/file
servers() {
	mkdir -p /srv/www
	dd if=/dev/urandom of=$file bs=1M count=8 status=none
	sum=$(md5sum <$file)
	serving=''
	serve "$@" iperf3 -s
	serve "$@" busybox httpd -f -h /srv/www
	[ -p /srv/never ] || mkfifo /srv/never # an end of nc's input would be passed on
	serve taker "$@"
}
serve() {
	"$@" >/srv/serve.log 2>&1 &
	serving="$serving $!"
}
taker() {
	local nc
	trap 'kill $nc; exit' TERM
	while :; do
		"$@" busybox nc -l -p 7000 <>/srv/never >/srv/got &
		nc=$!
		wait $nc && md5sum </srv/got >>/srv/sums
	done
}
net_down() {
	# shellcheck disable=SC2086 # pids
	[ -z "${serving:-}" ] || kill $serving
	for l in br0 br1 out0; do [ ! -e /sys/class/net/$l ] || ip link del $l; done
	[ ! -e /run/netns/outside ] || ip netns del outside
	echo 0 >/proc/sys/net/ipv4/ip_forward
}

# up GUEST ADDRESS/BITS SERVER [DEV]: has its address and reaches the server.
address() {
	ask "$1" "ip addr add $2 dev ${4:-eth0}; ip link set ${4:-eth0} up; until ping -c1 -W1 $3 >/dev/null; do :; done" 40
}

# copied GUEST SERVER: a file each way over TCP, right.
copied() {
	ask "$1" "wget -q -O /tmp/file http://$2/file && [ \"\$(md5sum </tmp/file)\" = \"$sum\" ]" 120
	rm -f /srv/sums
	ask "$1" "nc $2 7000 </tmp/file" 120
	wait_for 20 "the file that $1 sends" test -s /srv/sums
	[ "$(cat /srv/sums)" = "$sum" ] || fail "$1 sent another file"
}

# speed GUEST SERVER SECONDS [OPTION...]: TCP's, in Mbit/s, goes into $mbits; from the guest, with -R to it.
speed() {
	ask "$1" "iperf3 -c $2 -t $3 -f m ${*:4} >/tmp/iperf 2>&1 && echo SPE''ED \$(awk '/receiver/ { speed = \$(NF - 2) } END { print speed }' /tmp/iperf) || { cat /tmp/iperf; false; }" $(($3 + 40))
	mbits=$(console "$1" | sed -n 's/^SPEED //p' | tail -1)
}
# speeds WHAT GUEST SERVER: both ways.
speeds() {
	speed "$2" "$3" 3
	local out=$mbits
	speed "$2" "$3" 3 -R
	echo "OBS net, $1: from the guest $out, to it $mbits Mbit/s"
}

# killing GUEST TIMES [DEVICE]: its vif's stub is killed twice a second, meanwhile; killed waits for it.
killing() {
	(
		id=$(xl domid "$1")
		for _ in $(seq "$2"); do
			usleep 500000
			bulkhead kill "$id" "${3:-vif0}" >/dev/null && echo kill
		done >/srv/kills
	) &
	killer=$!
}
kills_last() { kill -0 "$killer" 2>/dev/null; }
killed() {
	wait "$killer"
	[ "$(wc -l </srv/kills)" -ge "$1" ] || fail "only $(wc -l </srv/kills) stubs were killed"
	note "$(wc -l </srv/kills) stubs killed"
}

# quiet_guest NAME: its kernel has said nothing.
quiet_guest() { ask "$1" "dmesg | grep -vE 'random: |clocksource|hrtimer: interrupt took|IPv6: ADDRCONF' >/tmp/said; cat /tmp/said; [ ! -s /tmp/said ]"; }

# taps: those of ours.
taps() { for t in /sys/class/net/*/tun_flags; do [ ! -e "$t" ] || basename "$(dirname "$t")"; done; }
no_taps() { [ -z "$(taps)" ]; }
vif_is() { [ "$(xenstore-read "/local/domain/0/backend/vif/$1/$2/state")" = "$3" ]; }
hotplug_is() { [ "$(xenstore-read "/local/domain/0/backend/vif/$1/0/hotplug-status")" = "$2" ]; }
# no_vif_left DOMID: nodes, ports, processes and taps of it are gone.
no_vif_left() {
	wait_for 10 "the nodes of domain $1's vifs are gone" not xenstore-exists "/local/domain/0/backend/vif/$1"
	wait_for 10 "the taps are gone" no_taps
	wait_for 10 "the stubs of domain $1 are gone" not pgrep -x bulkhead-net
	nothing_of "$1"
}

# A host beyond dom0 at 192.0.2.2, on dom0's interface out0, 192.0.2.1; OUT runs a command there. It knows of no way to guests.
OUT="ip netns exec outside"
outside_up() {
	modules veth
	{ ip netns add outside && ip link add out0 type veth peer name in0 netns outside && ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up &&
		$OUT ip addr add 192.0.2.2/24 dev in0 && $OUT ip link set in0 up && $OUT ip link set lo up; } || fail "the network beyond dom0"
	echo 1 >/proc/sys/net/ipv4/ip_forward
}
