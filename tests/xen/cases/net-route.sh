# A routed vif: our tap, Xen's own vif-route as its script; the guest has an address of the network beyond dom0. Ping, files with
# checksums, the stub killed meanwhile.
# limit: 150 s
. /cases/functions.sh
. /cases/net_functions.sh
outside_up
echo 1 >/proc/sys/net/ipv4/conf/out0/proxy_arp
# shellcheck disable=SC2086 # a command's words
servers $OUT
start_world
config a net 0 'vif=["script=vif-route,ip=192.0.2.101,gatewaydev=out0,mac=00:16:3e:00:00:01"]'
timed "create, routed" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
hotplug_is "$id" connected || fail "the script has not said that it is connected"
address a 192.0.2.101/24 192.0.2.2
$OUT ping -c3 192.0.2.101 || fail "the guest is not reached from outside"
killing a 10
while kills_last; do copied a 192.0.2.2; done
killed 9
speeds "routed, a host beyond dom0" a 192.0.2.2
quiet_guest a
timed "destroy, routed" 0 xl destroy a
no_vif_left "$id"
! ip route | grep 'vif' || fail "a route is left"
