#!/bin/bash
# Who suffers with whom: stubs per device, per VM, one for all. And the supervisor that is asked to go leaves them running.
. "$(dirname "$0")/functions.sh"
need nbdkit qemu-io jq

io() { qemu-io -f raw -c 'write -P 5 0 64k' -c 'read -P 5 0 64k' "$(uri "$1" "$2")" >"$T/io" 2>&1 || fail "$1 $2: $(cat "$T/io")"; }
restarts() { bh status --json | jq -r '[.[] | "\(.domain)-\(.vdev)=\(.restarts)"] | sort | join(" ")'; }
is() { [ "$(restarts)" = "$1" ]; }
all_up() { [ "$(bh status --json | jq '[.[] | select(.state == "up")] | length')" = 3 ]; }

try() { # PLACEMENT EXPECTED-RESTARTS-AFTER-ONE-DEATH-OF-A-xvda
	world_up --placement="$1"
	bh create A >/dev/null && bh create B >/dev/null || fail create
	for d in "A xvda" "A xvdb" "B xvda"; do
		read -r vm vdev <<<"$d"
		bh attach "$vm" "vdev=$vdev,target=mem:8M" >/dev/null || fail "attach $d"
		nbd_up "$vm" "$vdev"
		io "$vm" "$vdev"
	done
	wait_for 10 "three disks up" all_up
	base=$(restarts)
	bh kill A xvda || fail kill
	wait_for 10 "repair under placement $1 (from $base to $2, now $(restarts))" is "$2"
	wait_for 10 "three disks up again" all_up
	io A xvda && io A xvdb && io B xvda
	stubs=$(bh status --json | jq -r '[.[].pid] | unique | length')
	pid=$(field B xvda pid)
	kill -HUP "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
	wait_for 10 "the supervisor's successor" all_up
	[ "$(field B xvda pid)" = "$pid" ] || fail "a supervisor that was asked to go took its stubs with it"
	io A xvda && io A xvdb && io B xvda
	echo "$1: $stubs stubs, restarts after one death of A's xvda: $(restarts)"
	for d in "A xvda" "A xvdb" "B xvda"; do nbd_down "${d% *}" "${d#* }"; done
	world_down
}
try per-device "A-xvda=1 A-xvdb=0 B-xvda=0"
try per-vm "A-xvda=1 A-xvdb=1 B-xvda=0"
try monolithic "A-xvda=1 A-xvdb=1 B-xvda=1"
