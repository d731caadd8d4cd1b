#!/bin/bash
# Chaos, part 3: on storage that is slow and reorders (tests/tools/slowfs.c), so that the writes of dead generations are still
# on their way when their successors serve: none may land over newer data. With SQPOLL, and with threads, a process is gone
# only when its writes have landed; without SQPOLL it is the fence alone that holds them apart: that variant shows its need.
# shellcheck source=tests/chaos/disks.sh
. "$(dirname "$0")/disks.sh"

if ! [ -r /dev/fuse ] || ! [ -w /dev/fuse ]; then skip "/dev/fuse cannot be used here"; fi
need fusermount3
[ -x "$BUILD/tests/tools/slowfs" ] || skip "slowfs was not built: libfuse3-dev is not installed"
mkdir "$T/mnt"
truncate -s 16M "$T/back"
echo "1 25" >"$T/control" # ms, of each write
"$BUILD/tests/tools/slowfs" "$T/back" "$T/control" /dev/null "$T/mnt" -o max_threads=64 2>"$T/slowfs.err" || skip "no FUSE: $(cat "$T/slowfs.err")"
at_exit umount_slow
wait_for 10 "file on slowfs" test -f "$T/mnt/f"

share 5
guest="limit=1048576 round=4"
mix="faults=10 super=4 store=3 all=4 calm=512"
anew
recorded "slow: io_uring, standby" "$T/mnt/f" "depth=16 $guest" "pause=5,150"
anew
recorded "slow: io_uring, plain, 2 queues" "$T/mnt/f" "queues=2 depth=32 $guest" "pause=5,150 standby=0 both=0" -o standby=no
anew
recorded "slow: io_uring, no SQPOLL" "$T/mnt/f" "depth=32 $guest" "pause=5,150" -o sqpoll=off
anew
recorded "slow: io_uring, mixed" "$T/mnt/f" "depth=16 $guest" "pause=5,150 $mix"
anew
recorded "slow: threads, mixed" "$T/mnt/f" "depth=8 $guest" "pause=5,150 $mix" -o aio=threads
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
verdict
