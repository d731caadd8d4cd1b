# Everything that may die does, under verified I/O: the stub, by a signal and by standing still, its standby, the supervisor, both at
# once, the stub while xenstored stands still, and a restart in order. At last the keeper, which is not expected to.
# limit: 180 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
guest a verify 32 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
wait_for 20 "the disk is connected" says a 'GUEST DISK'
id=$(xl domid a)
run=/run/bulkhead

# Asked by the log: a command costs half a second of this machine.
count() { grep -c "$1" $run/log; }
more() { [ "$(count "$1")" -gt "$2" ]; }
super() { cat $run/bulkheadd.pid; }
pids() { bulkhead status "$id" xvda --json | jq -r '.[0] | "\(.pid) \(.standby_pid)"'; }
# after WHAT COMMAND...: something dies of the command; another one goes on in its place, and has a standby.
after() {
	local what=$1 resumed standbys
	shift
	resumed=$(count ' resumed: ') standbys=$(count standby-ready)
	note "$what"
	"$@" || fail "$what"
	wait_for 20 "$what is repaired" more ' resumed: ' "$resumed"
	wait_for 10 "a standby after $what" more standby-ready "$standbys"
}
kill_both() { kill -9 "$(super)" "$stub"; }
# While it stands still nobody can be asked who is who: the pid is known from before.
kill_without_xenstored() {
	local resumed
	resumed=$(count ' resumed: ')
	kill -STOP "$(cat /run/xenstored.pid)"
	kill -9 "$stub"
	wait_for 10 "repaired without xenstored" more ' resumed: ' "$resumed"
	usleep 500000
	kill -CONT "$(cat /run/xenstored.pid)"
}

ports() { lsevtchn 0 | sed -n "s/VCPU [0-9]*//; /Remote domain: $id\b/p"; }

wait_for 10 "a standby" more standby-ready 0
before=$(ports)
after "SIGKILL" bulkhead kill "$id" xvda
after "SIGSEGV" bulkhead kill "$id" xvda --signal SEGV
after "a hang" bulkhead stop "$id" xvda
after "a restart" bulkhead restart "$id" xvda

read -r stub standby < <(pids)
standbys=$(count standby-ready)
note "the standby dies"
kill -9 "$standby"
wait_for 10 "another standby" more standby-ready "$standbys"

read -r stub standby < <(pids)
note "the supervisor dies"
kill -9 "$(super)"
wait_for 10 "the stub is adopted" more "adopted: up, stub $stub$" 0
[ "$(pids)" = "$stub $standby" ] || fail "stub and standby were $stub $standby, now: $(pids)"
after "SIGKILL under the adopter" kill -9 "$stub"
[ "$(pids)" != "$stub $standby" ] && [[ $(pids) == "$standby "* ]] || fail "the adopted standby $standby did not take over: $(pids)"
after "a hang under the adopter" bulkhead stop "$id" xvda
read -r stub standby < <(pids)
after "both at once" kill_both
read -r stub standby < <(pids)
after "a death while xenstored stands still" kill_without_xenstored
# The ports are those of the first bind, and the core of a stub that had the guest's data is nowhere.
[ "$(ports)" = "$before" ] || fail "the ports were bound anew"
! find / /run /srv /dev/shm -xdev -name 'core*' -type f -size +64k | grep . || fail "a core was dumped"

read -r stub standby < <(pids)
note "the keeper dies"
kill -9 "$(cat $run/keep.pid)"
after "SIGKILL without a keeper" kill -9 "$stub"
bulkhead status
says a 'GUEST FIO' && fail "the guest was done too early"
done_well a
grep -E 'keeper' $run/log
echo "OBS deaths: $(count ' resumed: ') takeovers"
nothing_left "$id"
kill "$(super)"
wait_for 10 "the supervisor ends" not kill -0 "$(super)"
