# A vif in NAT: our tap, Xen's vif-nat by way of script=vif-bulkhead-nat; the host beyond dom0 has no way to the guest's address, so its
# answers prove that it sees dom0's only. Ping, files with
# checksums, the stub killed meanwhile.
# limit: 150 s
. /cases/functions.sh
. /cases/net_functions.sh
outside_up
modules crc32c_generic libcrc32c nf_defrag_ipv4 nf_defrag_ipv6 nf_conntrack nf_nat nfnetlink nf_tables nft_chain_nat nft_masq
nft add table ip nat && nft add chain ip nat post '{ type nat hook postrouting priority 100; }' &&
	nft add rule ip nat post oifname out0 masquerade || fail "nft"
# shellcheck disable=SC2086 # a command's words
servers $OUT
start_world --vifs marked
config a net 0 'vif=["script=vif-bulkhead-nat,ip=10.7.0.5,mac=00:16:3e:00:00:01"]'
timed "create, NAT" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
hotplug_is "$id" connected || fail "the script has not said that it is connected"
address a 10.7.0.5/24 10.7.0.132
ask a "ip route add default via 10.7.0.132 && ping -c3 192.0.2.2"
copied a 192.0.2.2
killing a 10
while kills_last; do copied a 192.0.2.2; done
killed 9
speeds "NAT, a host beyond dom0" a 192.0.2.2
quiet_guest a
timed "destroy, NAT" 0 xl destroy a
no_vif_left "$id"
! ip route | grep 'vif' || fail "a route is left"
nft delete table ip nat
