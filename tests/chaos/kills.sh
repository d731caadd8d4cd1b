#!/bin/bash
# Chaos, part 1: SIGKILL of stub and standby at random moments, and again within 2 ms, so that it hits the resume; each engine,
# with a standby and by plain restart, one and two queues. Loads: the recorder, and fio through nbdkit.
# shellcheck source=tests/chaos/disks.sh
. "$(dirname "$0")/disks.sh"
need fio nbdkit

anew
truncate -s 64M "$T/a.img"
share 10
plain="standby=0 both=0"
recorded "mem, standby" mem:64M "depth=16" ""
recorded "mem, plain, 2 queues" mem:64M "queues=2 depth=32" "$plain" -o standby=no
recorded "io_uring, standby, 2 queues" "$T/a.img" "queues=2 depth=16 noflush" ""
recorded "io_uring, plain" "$T/a.img" "depth=32 pages=1" "$plain" -o standby=no
recorded "threads, standby" "$T/a.img" "depth=16" "" -o aio=threads
recorded "threads, plain, 2 queues" "$T/a.img" "queues=2 depth=8 noflush" "$plain" -o aio=threads -o standby=no
with_fio "fio: mem, standby" mem:64M "" ""
with_fio "fio: io_uring, standby" "$T/a.img" "" ""
with_fio "fio: io_uring, plain" "$T/a.img" "--bs=16k" "$plain" -o standby=no
with_fio "fio: threads, standby" "$T/a.img" "" "" -o aio=threads
[ -z "$(bh status | tail -n +2)" ] || fail "something is left: $(bh status)"
verdict
