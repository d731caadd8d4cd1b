#!/bin/bash
# A verified fio on a disk whose stub is killed again and again: no error, no wrong byte, no request lost. Every engine, with a
# standby and without.
. "$(dirname "$0")/functions.sh"
need fio jq nbdkit

# run TARGET KILLS [OPTIONS of attach]: fio runs for as long as the kills take.
run() {
	local target=$1 kills=$2 vdev=xvda secs sig
	shift 2
	secs=$((kills / 8 + 2))
	bh attach A "vdev=$vdev,target=$target" "$@" || fail "attach $target"
	nbd_up A $vdev
	fio --name=x --ioengine=nbd --uri="$(uri A $vdev)" --rw=randwrite --bs="${BS:-4k}" --size=32M --iodepth=16 \
		--time_based --runtime=$secs --verify=crc32c --verify_fatal=1 --verify_backlog=128 --verify_state_save=0 --randrepeat=0 \
		>"$T/fio.log" 2>&1 &
	local pid=$!
	for _ in $(seq "$kills"); do
		sleep "0.0$((RANDOM % 9 + 1))"
		case $((RANDOM % 4)) in 0) sig=SEGV ;; *) sig=KILL ;; esac
		until bh kill A $vdev --signal $sig 2>"$T/kill.err"; do
			kill -0 $pid 2>/dev/null || fail "fio ended early: $(tail -n 5 "$T/fio.log"); $(cat "$T/kill.err")"
			sleep 0.01
		done
	done
	wait $pid || fail "fio on $target: $(head -n 12 "$T/fio.log")"
	[ "$(field A $vdev errors)" = 0 ] || fail "$target: errors"
	[ "$(field A $vdev restarts)" -ge $((kills / 4)) ] || fail "$target: only $(field A $vdev restarts) of $kills deaths repaired"
	echo "$target $*: $(field A $vdev requests) requests, $(field A $vdev restarts) takeovers, $(field A $vdev replayed) replayed"
	nbd_down A $vdev
	bh detach A $vdev || fail "detach $target"
}

world_up
bh create A >/dev/null || fail create
truncate -s 64M "$T/a.img"
run mem:64M 40
run mem:64M 15 -o standby=no
run "$T/a.img" 40
BS=64k run "$T/a.img" 20 -o aio=threads
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
