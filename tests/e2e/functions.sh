# functions.sh - a local world of its own for a test script: sourced, never run. No root needed, no fixed path or port.
# shellcheck shell=bash
#   world_up [bulkheadd options]   world_down (also at exit)   bh ARG... (the command, in this world)
#   nbd_up VM VDEV [plugin options]  -> serves it at $T/VM-VDEV.sock; nbd_down VM VDEV
#   wait_for SECONDS WHAT COMMAND...   skip REASON   fail TEXT   uri VM VDEV

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILD=$PWD/${BULKHEAD_BUILD:-build/gcc}
T=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-e2e.XXXXXX")
export BULKHEAD_RUNTIME_DIR=$T/run
CLEANUP=()

at_exit() { CLEANUP=("$1" "${CLEANUP[@]}"); }
cleanup() {
	local status=$?
	trap - EXIT INT TERM
	for c in "${CLEANUP[@]}"; do eval "$c"; done
	if [ "$status" != 0 ] && [ "$status" != 77 ] && [ "$status" -lt 128 ] && [ -f "$T/run/log" ]; then
		echo "--- last lines of the daemons' log"
		tail -n 25 "$T/run/log"
	fi
	rm -rf "$T"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	echo "FAILED: $*"
	exit 1
}
skip() {
	echo "skip: $*"
	exit 77
}
need() {
	local p
	for p in "$@"; do command -v "$p" >/dev/null || skip "$p is not installed"; done
}

bh() { "$BUILD/bin/bulkhead" "$@"; }

# Polls with a deadline; says what it waited for.
wait_for() {
	local seconds=$1 what=$2 end
	shift 2
	end=$(($(date +%s%N) + seconds * 1000000000))
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt "$end" ] || fail "no $what within $seconds s"
		sleep 0.02
	done
}

world_up() {
	local late=()
	# Sanitized code is many times as slow: what is late there is not hung.
	case $BUILD in *-address* | *-thread*) late=(--hang-ms 500) ;; esac
	bh start --provider local "${late[@]}" "$@" >"$T/start" 2>&1 || fail "bulkhead start: $(cat "$T/start")"
	at_exit world_down
}
world_down() { bh stop >/dev/null 2>&1; }

# Where this world's journals are (recovery/super/sup_dirs.c): beside the runtime directory's other files when that is on
# tmpfs, else in /dev/shm, in a folder named by the FNV-1a hash of its path.
journals() {
	local h=$((0xcbf29ce484222325)) i c
	if [ "$(stat -f -c %T "$BULKHEAD_RUNTIME_DIR")" = tmpfs ]; then
		echo "$BULKHEAD_RUNTIME_DIR/journals"
		return
	fi
	for ((i = 0; i < ${#BULKHEAD_RUNTIME_DIR}; i++)); do
		printf -v c %d "'${BULKHEAD_RUNTIME_DIR:i:1}"
		h=$(((h ^ c) * 0x100000001b3))
	done
	printf '/dev/shm/bulkhead-%u/%016x/journals\n' "$(id -u)" "$h"
}

state_is() { [ "$(bh status "$1" "$2" --json | jq -r '.[0].state')" = "$3" ]; }
field() { bh status "$1" "$2" --json | jq -r ".[0].$3"; }

# The plugin in an nbdkit that was built without sanitizers: AddressSanitizer is loaded first; ThreadSanitizer can not be (it would
# have to know nbdkit's own locks), so that the guest's end is the plain build's there, if there is one.
PLUGIN=$BUILD/lib/nbdkit-bulkhead-plugin.so
case $BUILD in
*-thread*) PLUGIN=${BUILD%%-thread*}/lib/nbdkit-bulkhead-plugin.so ;;
esac
nbdkit() {
	[ -e "$PLUGIN" ] || fail "no plugin at $PLUGIN: run make"
	case $BUILD in
	*-address*) LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 command nbdkit "$@" ;;
	*) command nbdkit "$@" ;;
	esac
}

uri() { echo "nbd+unix:///?socket=$T/$1-$2.sock"; }
nbd_up() {
	local vm=$1 vdev=$2
	shift 2
	rm -f "$T/$vm-$vdev.sock" "$T/$vm-$vdev.pid"
	nbdkit -f -t 256 -U "$T/$vm-$vdev.sock" -P "$T/$vm-$vdev.pid" "$PLUGIN" \
		vm="$vm" vdev="$vdev" runtime-dir="$BULKHEAD_RUNTIME_DIR" "$@" >>"$T/nbdkit.log" 2>&1 &
	wait_for 15 "nbdkit for $vm $vdev ($(tail -n 1 "$T/nbdkit.log" 2>/dev/null))" test -s "$T/$vm-$vdev.pid"
	at_exit "nbd_down $vm $vdev"
}
nbd_down() {
	local pid
	pid=$(cat "$T/$1-$2.pid" 2>/dev/null) || return 0
	rm -f "$T/$1-$2.pid"
	kill "$pid" 2>/dev/null
	for _ in $(seq 200); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.02
	done
	kill -9 "$pid" 2>/dev/null
}

# For a file system of tests/tools/slowfs at $T/mnt, which may still be at work.
umount_slow() {
	for _ in $(seq 500); do
		fusermount3 -u "$T/mnt" 2>/dev/null && return
		mountpoint -q "$T/mnt" || return
		sleep 0.02
	done
}
