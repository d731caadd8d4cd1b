#!/bin/bash
# Chaos, part 2: everything at once, by chance: SIGKILL, SIGSEGV, SIGABRT and SIGSTOP (a hang) to stubs, SIGKILL to standbys, to
# the supervisor, to the store, and to all of them together; connections made anew meanwhile.
# shellcheck source=tests/chaos/disks.sh
. "$(dirname "$0")/disks.sh"
need fio nbdkit

truncate -s 64M "$T/a.img"
share 6
mix="faults=15 super=4 store=3 all=4"
plain="standby=0 both=0"
anew
recorded "mem, standby" mem:64M "depth=16" "$mix"
anew
recorded "io_uring, standby, 2 queues" "$T/a.img" "queues=2 depth=16" "$mix"
anew
recorded "io_uring, plain, 2 queues" "$T/a.img" "queues=2 depth=8 noflush" "$mix $plain" -o standby=no
anew
recorded "threads, standby" "$T/a.img" "depth=16" "$mix" -o aio=threads
anew
recorded "io_uring, connected anew" "$T/a.img" "depth=16 round=1 idle=0 anew" "$mix"
anew
with_fio "fio: io_uring, standby" "$T/a.img" "" "$mix"
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
verdict
