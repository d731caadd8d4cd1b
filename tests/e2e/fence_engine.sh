#!/bin/bash
# The fence of the file engine, on storage that is slow and reorders (tests/tools/slowfs.c): a generation is killed with
# writes under way, the next one overwrites the same blocks, and what is there in the end must be the successor's, in every
# trial. Then the same with the fence taken out, which must show blocks of the dead: else this test shows nothing.
# shellcheck source=tests/e2e/functions.sh
. "$(dirname "$0")/functions.sh"

tools=$BUILD/tests/tools
trials=${TRIALS:-3}

# show SPEC ARRIVALS SCENARIO -> sets new, old, waited
show() {
	local out
	new='' old='' waited=''
	out=$(timeout 120 "$tools/fence_trial" "$1" "$T/back" "$T/control" "$T/log" "$2" "$3" "$trials") || fail "$1 $3: no result"
	echo "$(printf '%-14s %-40s' "$3" "${1#"$T"}") $out"
	eval "$out"
}
holds() {
	show "$1" "$2" "$3"
	[ "$new" = "$trials" ] || fail "a dead generation's write landed over its successor's"
	[ -z "${4:-}" ] || [ "$waited" = "$trials" ] || fail "the fence did not wait for writes that were under way"
}
shows_the_need() {
	show "$1" "$2" "$3"
	[ "$old" -gt 0 ] || fail "without the fence nothing went wrong: the test cannot fail"
}

if ! [ -r /dev/fuse ] || ! [ -w /dev/fuse ]; then skip "/dev/fuse cannot be used here"; fi
need fusermount3 timeout
[ -x "$tools/slowfs" ] || skip "slowfs was not built: libfuse3-dev is not installed"

mkdir "$T/mnt"
truncate -s 1M "$T/back"
echo "0 0" >"$T/control"
"$tools/slowfs" "$T/back" "$T/control" "$T/log" "$T/mnt" -o max_threads=64 2>"$T/slowfs.err" || skip "no FUSE: $(cat "$T/slowfs.err")"
at_exit umount_slow
wait_for 10 "file on slowfs" test -f "$T/mnt/f"

# The last column: writes that must be under way before the kill. A thread pool has one, since FUSE lets through one
# synchronous write of a file at a time; which is also why the fence cannot be missed there.
for method in aio=uring aio=uring,sqpoll=off; do
	holds "$T/mnt/f,$method" 16 fence waits
	shows_the_need "$T/mnt/f,$method" 16 none
	holds "$T/mnt/f,$method" 16 deep-fence waits
	shows_the_need "$T/mnt/f,$method" 16 deep
done
holds "$T/mnt/f,aio=threads" 1 fence waits
holds "$T/mnt/f,aio=threads" 1 deep-fence waits
# Reaped is not fenced: where no kernel thread of the ring's own keeps the process from being reaped, its writes come later.
holds "$T/mnt/f,aio=uring" 16 reap-fence
holds "$T/mnt/f,aio=uring,sqpoll=off" 16 reap-fence waits
shows_the_need "$T/mnt/f,aio=uring,sqpoll=off" 16 reap

# The same on a block device, where synchronous writes are as free to overtake as others.
if [ "$(id -u)" != 0 ] || ! loop=$(losetup -f --show --direct-io=on "$T/mnt/f" 2>"$T/losetup.err"); then
	echo "not on a block device: $(cat "$T/losetup.err" 2>/dev/null || echo needs root)"
	exit 0
fi
at_exit "losetup -d $loop"
for method in aio=uring:16 aio=threads:8; do
	holds "$loop,${method%:*}" "${method#*:}" fence waits
	shows_the_need "$loop,${method%:*}" "${method#*:}" none
	holds "$loop,${method%:*}" "${method#*:}" deep-fence waits
done
