# An ordinary vif line, dom0 without xen-netback: the guest's own netfront on our stub and tap, which xl's vif-bridge puts into a bridge.
# Address by hand and by DHCP, TCP both ways and files with checksums while the stub is killed twice a second; attached and detached in
# operation; destroyed in the middle of traffic. DOM0_ARGS="kills=N": how often.
# limit: 420 s
. /cases/functions.sh
. /cases/net_functions.sh
n=$(number kills 100)
bridge_up 10.9.0.1
servers
printf 'start 10.9.0.50\nend 10.9.0.60\ninterface br0\nlease_file /srv/leases\noption subnet 255.255.255.0\n' >/srv/udhcpd.conf
: >/srv/leases
serve busybox udhcpd -f /srv/udhcpd.conf
start_world
config a net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:01"]'
timed "create" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
[ -e "/sys/class/net/br0/brif/vif$id.0" ] || fail "vif$id.0 is not in the bridge"
hotplug_is "$id" connected || fail "the script has not said that it is connected"
address a 10.9.0.2/24 10.9.0.1
copied a 10.9.0.1
speeds "without deaths" a 10.9.0.1
ask a "ip addr flush dev eth0 && udhcpc -i eth0 -n -q -s /tmp/dhcp && ip addr show dev eth0 | grep -q 'inet 10.9.0.5'" 40

tell a "ping 10.9.0.1 >/tmp/ping 2>&1 &"
killing a "$n"
while kills_last; do
	copied a 10.9.0.1
	speeds "stub killed twice a second" a 10.9.0.1
done
killed $((n * 9 / 10))
ask a 'kill -INT $(pidof ping); usleep 300000; tail -n 2 /tmp/ping'
console a | grep -a -A1 'packets transmitted' | sed 's/^/OBS ping: /'
[ "$(field "$id" restarts vif0)" -ge $((n * 9 / 10)) ] || fail "fewer restarts than kills: $(field "$id" restarts vif0)"
bulkhead status
quiet_guest a

timed "network-detach" 0 xl network-detach a 0
[ -z "$(taps)" ] || fail "a tap is left: $(taps)"
sleep 1
holds >/srv/without
timed "network-attach" 0 xl network-attach a mac=00:16:3e:00:00:02 bridge=br0 vifname=web
wait_for 20 "the interface has its name" test -e /sys/class/net/br0/brif/web
address a 10.9.0.2/24 10.9.0.1
bulkhead kill "$id" vif0
copied a 10.9.0.1
timed "network-detach" 0 xl network-detach a 0
nothing_more /srv/without
timed "network-attach" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0
address a 10.9.0.2/24 10.9.0.1
timed "network-attach of a second one" 0 xl network-attach a bridge=br0
wait_for 10 "its connection" vif_is "$id" 1 4

tell a "iperf3 -c 10.9.0.1 -t 60 >/tmp/iperf 2>&1 &"
sleep 2
timed "destroy in the middle of traffic" 0 xl destroy a
no_vif_left "$id"
timed "create with a bridge that is not there" 3 xl create /srv/a.cfg 'vif=["bridge=none"]'
no_vif_left $((id + 1))
