#!/bin/bash
# An attached image goes on being the same file over deaths, when its name is changed, given to another file, or removed.
. "$(dirname "$0")/functions.sh"
need nbdkit qemu-io jq

io() { qemu-io -f raw -c "$1" "$(uri A xvda)" >"$T/io" 2>&1 && ! grep -qiE 'fail|error|mismatch' "$T/io" || fail "$1: $(cat "$T/io")"; }
die() {
	local before
	before=$(field A xvda restarts)
	bh kill A xvda || fail "kill"
	wait_for 10 "a successor" resumed_since "$before"
}
resumed_since() { [ "$(field A xvda restarts)" -gt "$1" ] && state_is A xvda up; }

world_up
bh create A >/dev/null || fail create
for opts in standby=yes standby=no; do
	truncate -s 16M "$T/a.img"
	bh attach A "vdev=xvda,target=$T/a.img" -o $opts >/dev/null || fail attach
	nbd_up A xvda
	io 'write -P 1 0 64k'
	mv "$T/a.img" "$T/moved.img"
	die
	io 'read -P 1 0 64k'
	truncate -s 16M "$T/a.img" # another file of that name
	die
	io 'write -P 2 0 64k'
	cmp -s <(head -c 65536 "$T/a.img") <(head -c 65536 /dev/zero) || fail "the other file of that name was written"
	rm "$T/moved.img" "$T/a.img"
	die
	io 'read -P 2 0 64k'
	nbd_down A xvda
	bh detach A xvda || fail detach
done
echo "ok"
