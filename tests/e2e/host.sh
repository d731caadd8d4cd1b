#!/bin/bash
# The host's side: why Xen can not be used here, in one line; what xl's script says of a refused disk; the service's unit.
source "$(dirname "$0")/functions.sh"
need xenstore-read jq nbdkit qemu-io

says() { # WHAT STATUS COMMAND...: ends with that status and one line that has WHAT
	local what=$1 status=$2 out got
	shift 2
	out=$("$@" 2>&1 </dev/null)
	got=$?
	[ $got = "$status" ] || fail "$*: exit status $got, $status was expected: $out"
	[ "$(echo "$out" | wc -l)" = 1 ] && grep -q "$what" <<<"$out" || fail "$*: not one line with '$what': $out"
	echo "ok: $out"
}

if [ ! -e /proc/xen/capabilities ]; then
	bh doctor --provider xen >"$T/doctor" && fail "the doctor finds Xen: $(cat "$T/doctor")"
	grep -q "^missing *xen " "$T/doctor" || fail "the doctor does not miss Xen: $(cat "$T/doctor")"
	says "does not run on Xen\|/proc/xen" 1 bh start --provider xen
	says "does not run on Xen\|/proc/xen" 125 "$BUILD/bin/bulkhead-keep" --provider xen
	says "does not run on Xen\|/proc/xen" 111 "$BUILD/bin/bulkheadd" --runtime-dir "$T" --provider xen
fi
says "auto, local or xen" 100 bh start --provider zen
bh doctor --json --provider local >"$T/doctor" || fail "the doctor finds fault with provider local: $(cat "$T/doctor")"
[ "$(jq -r '.ok, (.points[] | select(.name == "keeper").verdict)' "$T/doctor" | xargs)" = "true missing" ] ||
	fail "no keeper runs, but the doctor says: $(cat "$T/doctor")"
world_up
bh doctor --json --provider local >"$T/doctor" || fail "the doctor finds fault with a world that works: $(cat "$T/doctor")"
[ "$(jq -r '.points[] | select(.name == "keeper" or .name == "supervisor").verdict' "$T/doctor" | xargs)" = "ok ok" ] ||
	fail "keeper and supervisor run, but the doctor says: $(cat "$T/doctor")"
bh create A >/dev/null || fail "create"

# A refused disk, written as xl writes it: libxl sees state 2, runs our script whatever the disk came with, and that says why and fails.
# It stays refused, over the supervisor's death too, until it is detached.
export XENSTORED_PATH=$BULKHEAD_RUNTIME_DIR/store.sock XENBUS_PATH=backend/vbd/1/51712
front=/local/domain/1/device/vbd/51712 back=/local/domain/0/backend/vbd/1/51712
there() { xenstore-exists "$back/hotplug-error"; }
xenstore-write $front/backend $back $front/state 1 $back/frontend $front $back/frontend-id 1 $back/online 1 $back/dev xvda \
	$back/type phy $back/mode w $back/script /etc/xen/scripts/block $back/params "$T/none.img" $back/state 1 ||
	fail "the nodes can not be written"
wait_for 5 "reason in hotplug-error" there
says "xvda: $T/none.img: there is no such file" 1 tools/xen/block-bulkhead add
tools/xen/block-bulkhead remove || fail "the script keeps a disk from being removed"
[ "$(xenstore-read $back/state $back/script | xargs)" = "2 /etc/xen/scripts/block-bulkhead" ] || fail "libxl would wait, or run another script"
bh status A xvda | grep -q "none.img: there is no such file" || fail "status does not say why"
grep -q "none.img: there is no such file" "$BULKHEAD_RUNTIME_DIR/log" || fail "the log does not say why"
truncate -s 1M "$T/none.img"
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
refused_again() { [ "$(grep -c "none.img: there is no such file" "$BULKHEAD_RUNTIME_DIR/log")" = 2 ]; }
wait_for 5 "refusal by the next supervisor" refused_again
xenstore-write $back/online 0 $back/state 5
closed() { [ "$(xenstore-read $back/state)" = 6 ]; }
wait_for 5 "state 6" closed
xenstore-rm $back && xenstore-write $front/state 1 $back/frontend $front $back/frontend-id 1 $back/online 1 $back/dev xvda \
	$back/type phy $back/mode w $back/params "$T/none.img" $back/state 1 || fail "the nodes can not be written"
offered() { xenstore-exists $back/sectors; }
wait_for 5 "offer of the disk that is there now" offered
tools/xen/block-bulkhead add || fail "the script finds fault with a disk that is offered"
xenstore-rm $back/sectors
says "not offered by Bulkhead" 1 tools/xen/block-bulkhead add

# Its stub is confined in full: as root. Without root it has no user of its own, but its system calls are filtered all the same.
unset XENSTORED_PATH
bh attach A vdev=xvdb,target=mem:4M >/dev/null || fail "attach"
nbd_up A xvdb
qemu-io -f raw -c 'read 0 4k' "$(uri A xvdb)" >/dev/null || fail "xvdb can not be read"
case $BUILD in *-address* | *-thread*) want=reduced ;; *) [ "$(id -u)" = 0 ] && want=full || want=reduced ;; esac
status=$(bh status A xvdb --json)
[ "$(jq -r '.[0].confinement' <<<"$status")" = "$want" ] || fail "the stub's confinement is not $want: $status"
[ "$BUILD" != "${BUILD%-*}" ] || [ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(jq '.[0].pid' <<<"$status")/status")" = 2 ] ||
	fail "the stub's system calls are not filtered"
nbd_down A xvdb

command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed: the unit was not looked at" && exit 0; }
sed "s|@LIBEXEC@|$BUILD/bin|" tools/systemd/bulkhead.service.in >"$T/bulkhead.service"
systemd-analyze verify --man=no "$T/bulkhead.service" || fail "systemd does not like the unit"
