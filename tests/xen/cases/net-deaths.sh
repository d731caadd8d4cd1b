# Everything behind a vif that may die does, under TCP: the stub by signals and by standing still, the supervisor, both at once, xenstored;
# the guest is saved and restored. After each the guest's network goes on.
# limit: 300 s
. /cases/functions.sh
. /cases/net_functions.sh
run=/run/bulkhead
bridge_up 10.9.0.1
servers
start_world
guest a net 0 'vif=["bridge=br0,mac=00:16:3e:00:00:01"]'
id=$(xl domid a)
address a 10.9.0.2/24 10.9.0.1
tell a 'while :; do iperf3 -c 10.9.0.1 -t 600 >/tmp/iperf 2>&1 || usleep 300000; done &'

count() { grep -c "$1" $run/log; }
more() { [ "$(count "$1")" -gt "$2" ]; }
super() { cat $run/bulkheadd.pid; }
stub() { field "$id" pid vif0; }
sent() { cat "/sys/class/net/vif$id.0/statistics/rx_bytes"; }
goes_on() { [ "$(sent)" -gt $((${1:-0} + 200000)) ]; }
# TCP begins again when its timer is over, which the outage may have made longer.
traffic() { wait_for 15 "packets after $1" goes_on "$(sent)"; }
after() {
	local what=$1 resumed
	shift
	resumed=$(count ' resumed: ')
	note "$what"
	"$@" || fail "$what"
	wait_for 20 "$what is repaired" more ' resumed: ' "$resumed"
	traffic "$what"
}
kill_both() { kill -9 "$(super)" "$pid"; }
traffic "the start"
after "SIGKILL" bulkhead kill "$id" vif0
after "SIGSEGV" bulkhead kill "$id" vif0 --signal SEGV
after "a hang" bulkhead stop "$id" vif0
after "a restart" bulkhead restart "$id" vif0
pid=$(stub)
note "the supervisor dies"
kill -9 "$(super)"
wait_for 10 "the stub is adopted" more "adopted: up, stub $pid$" 0
traffic "the supervisor's death"
after "SIGKILL under the adopter" kill -9 "$pid"
pid=$(stub)
after "both at once" kill_both
[ "$(ls /sys/class/net/br0/brif)" = "vif$id.0" ] || fail "in the bridge: $(ls /sys/class/net/br0/brif)"
quiet_guest a

note "checkpoint"
xl save -c a /srv/a.save >/srv/out 2>&1 || { cat /srv/out; fail "xl save -c"; }
wait_for 10 "resumed after the checkpoint" goes_on "$(sent)"
pid=$(stub)
after "SIGKILL after the checkpoint" kill -9 "$pid"
note "save and restore"
xl save a /srv/a.save >/srv/out 2>&1 || { cat /srv/out; fail "xl save"; }
no_vif_left "$id"
xl restore /srv/a.save >/srv/out 2>&1 || { cat /srv/out; fail "xl restore"; }
id=$(xl domid a)
ask a 'kill $(pidof iperf3); until ping -c1 -W1 10.9.0.1 >/dev/null; do :; done' 40
traffic "restore"
copied a 10.9.0.1
after "SIGKILL after restore" bulkhead kill "$id" vif0

note "xenstored dies"
nodes vif "$id"
kill -9 "$(cat /run/xenstored.pid)"
usleep 300000
after "SIGKILL without xenstored" bulkhead kill "$id" vif0
another_xenstored
wait_for 15 "the nodes are back" xenstore-exists "/local/domain/0/backend/vif/$id/0/state"
nodes_differ vif "$id"
after "SIGKILL when the nodes are back" bulkhead kill "$id" vif0
timeout 30 xl destroy "$id"
echo "destroyed: $?"
no_vif_left "$id"
echo "OBS net-deaths: $(count ' resumed: ') takeovers"
[ "$(find $run/journals $run/devs -type f | wc -l)" = 0 ] || fail "journals or states are left"
