# The blkif suite against our backend on real Xen; afterwards nothing but the abused disk has suffered, and nothing is left.
# limit: 700 s
. /cases/blkif_suite.sh
start_world
run_suite '' --expect bulkhead --destroy
suite_went_well
gone s
bad=$(grep -E ': died: ' /run/bulkhead/log | grep -vE 'killed by signal 9 \(Killed\)$|exited with status 20$')
[ -z "$bad" ] || fail "stubs died of something: $bad"
nothing_left "$ID"
