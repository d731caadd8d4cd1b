# Everything that may die does, under verified I/O: the stub, by a signal and by standing still, its standby, the supervisor, both at
# once, the stub while xenstored stands still, and a restart in order. At last the keeper, which is not expected to.
# limit: 90 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
guest a verify 40 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
wait_for 20 "the disk is connected" says a 'GUEST DISK'
id=$(xl domid a)
run=/run/bulkhead

f() { field "$id" "$1"; }
super() { cat $run/bulkheadd.pid; }
# A new generation serves and has a standby.
repaired() { [ "$(f generation)" -gt "$1" ] && ready; }
ready() { [ "$(f state)" = up ] && [ "$(f standby_pid)" -gt 0 ]; }
newer() { [ "$(super)" != "$1" ] && bulkhead status; }
moves() { [ "$(f requests)" -gt "$1" ]; }
# after WHAT COMMAND...: something dies of the command, and a new generation goes on answering.
after() {
	local what=$1 gen
	shift
	gen=$(f generation)
	note "$what"
	"$@" || fail "$what"
	wait_for 20 "$what is repaired" repaired "$gen"
	wait_for 10 "I/O after: $what" moves "$(f requests)"
}
both() { kill -9 "$(super)" "$(f pid)"; }
with_xenstored_stopped() {
	local gen
	gen=$(f generation)
	kill -STOP "$(cat /run/xenstored.pid)"
	kill -9 "$1"
	wait_for 10 "repaired without xenstored" repaired "$gen"
	wait_for 10 "I/O without xenstored" moves "$(f requests)"
	kill -CONT "$(cat /run/xenstored.pid)"
}

wait_for 10 "a standby" ready
before=$(lsevtchn 0 | grep "Remote domain: $id\b")
after "SIGKILL" bulkhead kill "$id" xvda
after "SIGSEGV" bulkhead kill "$id" xvda --signal SEGV
after "a hang" bulkhead stop "$id" xvda
after "a restart" bulkhead restart "$id" xvda

note "the standby dies"
standby=$(f standby_pid)
kill -9 "$standby"
other() { ready && [ "$(f standby_pid)" != "$standby" ]; }
wait_for 10 "another standby" other

note "the supervisor dies"
old=$(super) stub=$(f pid) standby=$(f standby_pid) gen=$(f generation)
kill -9 "$old"
wait_for 10 "another supervisor" newer "$old"
wait_for 10 "it has a standby" ready
[ "$(f pid) $(f generation)" = "$stub $gen" ] || fail "the stub was not adopted: $(f pid) $(f generation) instead of $stub $gen"
[ "$(f standby_pid)" = "$standby" ] || fail "the standby was not adopted"
after "SIGKILL under the adopter" bulkhead kill "$id" xvda
after "a hang under the adopter" bulkhead stop "$id" xvda
after "both at once" both
after "a death while xenstored stands still" with_xenstored_stopped "$(f pid)"
# The ports are those of the first bind, and the core of a stub that had the guest's data is nowhere.
[ "$(lsevtchn 0 | grep "Remote domain: $id\b")" = "$before" ] || fail "the ports were bound anew"
! find / /run /srv /dev/shm -xdev -name 'core*' -type f -size +64k | grep . || fail "a core was dumped"

note "the keeper dies"
kill -9 "$(cat $run/keep.pid)"
after "SIGKILL without a keeper" kill -9 "$(f pid)"
bulkhead status
done_well a
grep -E 'keeper' $run/log
nothing_left "$id"
kill "$(super)"
wait_for 10 "the supervisor ends" not kill -0 "$(super)"
