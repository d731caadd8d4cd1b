#!/bin/bash
# What a person meets who gives a VM a network interface: each mistake is one line that names what is wrong, and a failure; status,
# metrics and list tell what there is. Taps and bridges only as root.
. "$(dirname "$0")/functions.sh"
need jq

# STATUS PATTERN ARG...: the command fails so, with one line that has the pattern.
wrong() {
	local status=$1 pattern=$2 rc
	shift 2
	bh "$@" >"$T/out" 2>"$T/err"
	rc=$?
	[ $rc = "$status" ] || fail "bulkhead $*: exit status $rc, not $status: $(cat "$T/err")"
	[ "$(wc -l <"$T/err")" = 1 ] || fail "bulkhead $*: not one line: $(cat "$T/err")"
	grep -q -e "$pattern" "$T/err" || fail "bulkhead $*: says $(cat "$T/err"), not $pattern"
	[ ! -s "$T/out" ] || fail "bulkhead $*: printed $(cat "$T/out")"
}

wrong 1 'begin with: bulkhead start' attach A vif
world_up --hang-ms 2000 # deaths are counted: a busy machine adds none
bh create A >/dev/null && bh create B >/dev/null || fail "create"
wrong 1 'no domain nosuch; bulkhead list' attach nosuch vif
wrong 100 'brdge= is no key' attach A vif brdge=br0
wrong 100 '"bridge" is not KEY=VALUE' attach A vif bridge
wrong 100 '^bulkhead: mac is "zz:16:3e:00:00:01", not an' attach A vif mac=zz:16:3e:00:00:01
wrong 100 'mac is "01:16:3e:00:00:01"' attach A vif mac=01:16:3e:00:00:01
wrong 100 'rate=fast: as in 10Mb/s' attach A vif rate=fast
wrong 100 'mtu is 20, less than 68' attach A vif mtu=20
wrong 100 'mode is "bridg", not bridge' attach A vif mode=bridg
wrong 100 'devid=99999: a number' attach A vif devid=99999
wrong 100 'missing behind -o' attach A vif -o
wrong 100 'attach A vif devid=0' attach A vif0 bridge=br0
wrong 1 'vif0 of A: "quees" is no option' attach A vif params=pair:w -o quees=2
wrong 1 'queues=999: a whole number up to 16' attach A vif params=pair:w -o queues=999
wrong 1 'loss=200: of a hundred' attach A vif params=pair:w -o loss=200
wrong 1 'no netport "foo": tap' attach A vif params=foo
wrong 1 'mode=bridge attaches a tap' attach A vif params=null,bridge=br0
wrong 1 'antispoof=1 needs a mode' attach A vif antispoof=1
wrong 1 'A has no vif7' detach A vif7
wrong 1 'A has no vif7' status A vif7
wrong 1 'A has no vif7' kill A vif7
[ "$(bh list --json | jq -r '[.[].disks] | join("")')" = "" ] || fail "a mistake left a device"
if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then
	wrong 1 'tap lo .*another interface' attach A vif vifname=lo
	wrong 1 '"a/b" can be no interface' attach A vif vifname=a/b
	wrong 1 'vif0 of A: .*bridge' attach A vif bridge=nosuchbr
	wrong 1 'vif0 of A: mode=nat: .*no interface nosuchdev' attach A vif mode=nat,gatewaydev=nosuchdev
	wrong 1 'vif0 of A: mode=route: .*no interface nosuchdev' attach A vif mode=route,ip=10.7.0.5,gatewaydev=nosuchdev
else
	wrong 1 'params=pair' attach A vif
fi

bh attach A vif params=pair:w >/dev/null && bh attach B vif params=pair:w >/dev/null || fail "attach"
wrong 1 'A has a vif0 already' attach A vif devid=0,params=null
wrong 1 'vif0 is waiting: it has no stub' kill A vif0
wrong 1 'loss=101%: of a hundred packets' filter A vif0 loss=101%
wrong 1 'delay=5s: a number up to' filter A vif0 loss=1% delay=5s
wrong 1 '"colour" is no option of a filter: loss,' filter A vif0 colour=red
wrong 1 'A has no vif7' filter A vif7 loss=1
wrong 100 'filter takes VM VDEV and KEY=VALUE' filter A vif0
"$BUILD/bin/bulkhead-netfront" --domain A --seconds 60 --rate 1000 verify --peer B >"$T/verify" 2>&1 &
verify=$!
at_exit "kill $verify 2>/dev/null"
some_sent() { [ "$(field A vif0 net.tx_packets)" -gt 10 ]; }
wait_for 10 "packets" some_sent
bh kill A vif0 || fail "kill"
repaired() { [ "$(field A vif0 restarts)" = 1 ] && state_is A vif0 up; }
wait_for 5 "repair" repaired
bh restart B vif0 || fail "restart"
bh metrics >"$T/metrics" || fail "metrics"
grep -q '^bulkhead_device_restarts_total{vm="A",domid="1",device="vif0"} 1$' "$T/metrics" || fail "metrics: $(cat "$T/metrics")"
grep -q '^bulkhead_vif_dropped_packets_total{vm="A",domid="1",device="vif0",reason="rx_lost"} ' "$T/metrics" || fail "no drops in the metrics"
grep -vE '^(# (HELP|TYPE) bulkhead_[a-z0-9_]+ .+|bulkhead_[a-z0-9_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} [0-9.e+-]+)$' "$T/metrics" &&
	fail "these lines of the metrics are not Prometheus's"
[ "$(grep -v '^#' "$T/metrics" | sed 's/ [^ ]*$//' | sort | uniq -d | wc -l)" = 0 ] || fail "a metric comes twice"
bh status | grep -q '^A  *vif0 ' || fail "status"
kill $verify
wait $verify
for vm in A B; do bh detach $vm vif0 --force || fail "detach"; done
echo "mistakes are told, metrics are Prometheus's"
