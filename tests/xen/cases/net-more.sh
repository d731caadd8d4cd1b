# Vifs otherwise than in `net`: two queues, IPv6, a rate, a PVH guest, each while stubs are killed; and one that may speak for itself only.
# limit: 360 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
. /cases/net_functions.sh
bridge_up 10.9.0.1
modules crc32c_generic libcrc32c nfnetlink nf_tables
ip -6 addr add fd09::1/64 dev br0 nodad || fail "IPv6"
servers
start_world
VCPUS=2 config a net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:01"]'
timed "create" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
[ "$(field "$id" queues vif0)" = 2 ] || fail "queues: $(field "$id" queues vif0)"
ask a "[ -e /sys/class/net/eth0/queues/tx-1 ]"
address a 10.9.0.2/24 10.9.0.1
ask a "ip -6 addr add fd09::2/64 dev eth0; until ping -6 -c1 -W1 fd09::1 >/dev/null; do :; done" 40
killing a 10
while kills_last; do
	speed a 10.9.0.1 3 -P 4
	echo "OBS net-more, two queues, four connections, stub killed twice a second: from the guest ${mbits:-none} Mbit/s"
	speed a fd09::1 3 -6
	echo "OBS net-more, IPv6: from the guest ${mbits:-none} Mbit/s"
	speed a fd09::1 3 -6 -R
	echo "OBS net-more, IPv6: to the guest ${mbits:-none} Mbit/s"
done
killed 9
quiet_guest a

timed "network-detach" 0 xl network-detach a 0
timed "network-attach with a rate" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0 rate=16Mb/s
address a 10.9.0.2/24 10.9.0.1
killing a 5
speed a 10.9.0.1 8
killed 5
echo "OBS net-more, rate=16Mb/s: from the guest $mbits Mbit/s"
echo "$mbits" | awk '{ exit !($1 > 8 && $1 < 20) }' || fail "the rate is not kept"

timed "network-detach" 0 xl network-detach a 0
timed "network-attach against false senders" 0 xl network-attach a mac=00:16:3e:00:00:01 bridge=br0 ip=10.9.0.2 script=vif-bulkhead-antispoof
nft list tables | grep -q "netdev bulkhead-vif$id.0" || fail "nothing is enforced: $(nft list tables)"
address a 10.9.0.2/24 10.9.0.1
bulkhead kill "$id" vif0
copied a 10.9.0.1
ask a "ip addr flush dev eth0; ip addr add 10.9.0.9/24 dev eth0; ! ping -c2 -W1 10.9.0.1 >/dev/null"
timed "destroy" 0 xl destroy a
no_vif_left "$id"
! nft list tables | grep bulkhead- || fail "a table is left"

TYPE=pvh config p net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:03"]'
timed "create of a PVH guest" 0 xl create /srv/p.cfg
wait_for 90 "p is up" says p "GUEST UP"
id=$(xl domid p)
address p 10.9.0.3/24 10.9.0.1
killing p 10
while kills_last; do copied p 10.9.0.1; done
killed 9
quiet_guest p
timed "destroy" 0 xl destroy p
no_vif_left "$id"
