# An ordinary vif line, dom0 without xen-netback: the guest's own netfront on our stub and tap, which xl's vif-bridge puts into a bridge.
# Address by hand and by DHCP, TCP both ways and files with checksums while the stub is killed twice a second; attached and detached in
# operation; destroyed in the middle of traffic. DOM0_ARGS="kills=N": how often.
# limit: 400 s
. /cases/functions.sh
. /cases/net_functions.sh
n=$(number kills 100)
bridge_up 10.9.0.1
servers
printf 'start 10.9.0.50\nend 10.9.0.60\ninterface br0\nlease_file /srv/leases\noption subnet 255.255.255.0\n' >/srv/udhcpd.conf
: >/srv/leases
serve busybox udhcpd -f /srv/udhcpd.conf
start_world
holds >/srv/before
config a net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:01"]'
timed "create" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
[ -e "/sys/class/net/br0/brif/vif$id.0" ] || fail "vif$id.0 is not in the bridge"
hotplug_is "$id" connected || fail "the script has not said that it is connected"
address a 10.9.0.2/24 10.9.0.1
copied a 10.9.0.1
echo "OBS net, without deaths: guest to dom0 $(speed a 10.9.0.1 3), dom0 to guest $(speed a 10.9.0.1 3 -R) Mbit/s"
ask a "ip addr flush dev eth0 && udhcpc -i eth0 -n -q -s /tmp/dhcp && ip addr show dev eth0 | grep -q 'inet 10.9.0.5'" 40

tell a "ping -i 0.2 10.9.0.1 >/tmp/ping 2>&1 &"
killing a "$n"
while kills_last; do
	copied a 10.9.0.1
	echo "OBS net, stub killed twice a second: guest to dom0 $(speed a 10.9.0.1 3), dom0 to guest $(speed a 10.9.0.1 3 -R) Mbit/s"
done
killed $((n * 9 / 10))
ask a "killall -INT ping; sleep 0.3; cat /tmp/ping | tail -3"
console a | grep -a 'packets transmitted' | sed 's/^/OBS ping: /'
[ "$(field "$id" restarts vif0)" -ge $((n * 9 / 10)) ] || fail "fewer restarts than kills: $(field "$id" restarts vif0)"
bulkhead status
quiet_guest a

timed "network-detach" 0 xl network-detach a 0
[ -z "$(taps)" ] || fail "a tap is left: $(taps)"
timed "network-attach" 0 xl network-attach a mac=00:16:3e:00:00:02 bridge=br0 vifname=web
wait_for 20 "the interface has its name" test -e /sys/class/net/br0/brif/web
address a 10.9.0.2/24 10.9.0.1
bulkhead kill "$id" vif0
copied a 10.9.0.1
timed "network-detach" 0 xl network-detach a 0
timed "network-attach" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0
address a 10.9.0.2/24 10.9.0.1
timed "network-attach of a second one" 0 xl network-attach a bridge=br0
wait_for 10 "its connection" vif_is "$id" 1 4

tell a "iperf3 -c 10.9.0.1 -t 60 >/tmp/iperf 2>&1 &"
sleep 2
timed "destroy in the middle of traffic" 0 xl destroy a
no_vif_left "$id"
nothing_more /srv/before
timed "network line without a bridge that is there" 3 xl create /srv/a.cfg 'vif=["bridge=none"]'
nothing_more /srv/before
