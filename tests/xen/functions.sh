# For cases in dom0. A case sources this, starts its supervisor, has its guests, and ends with nothing left.
set -u
export PATH=/usr/bin:/usr/sbin:/usr/libexec/bulkhead
# After a guest's or a device's end, what of ours is left is a failure.
trap 'rc=$?; [ $rc = 0 ] || [ $rc = 77 ] || dump; cleanup' EXIT

skip() { echo "SKIP: $*"; exit 77; }
fail() {
	! emulator_slipped || skip "QEMU's emulation of SVM lost a guest, which stood at an address of Xen's ($*): run it again"
	echo "FAILED: $*"
	exit 1
}
# A PVH or HVM guest that "triple faults" with Xen's own code segment and address as its own.
emulator_slipped() { xl dmesg 2>/dev/null | grep -A5 'Triple fault' | grep -q 'RIP: *e008:'; }
note() { echo "-- $(cut -d' ' -f1 /proc/uptime) $*"; }

# Modules, if they are not there yet: of a case before.
modules() { for m; do [ -d "/sys/module/${m//-/_}" ] || insmod "/modules/$m.ko" || fail "insmod $m"; done; }

# wait_for SECONDS WHAT COMMAND...
wait_for() {
	local secs=$1 what=$2 until
	shift 2
	until=$(($(cut -d. -f1 /proc/uptime) + secs))
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt $until ] || fail "$what: not within $secs s"
		usleep 50000
	done
}

dump() {
	echo "---- state"
	xl list
	xenstore-ls -f /local/domain/0/backend | grep -E '/(state|online|script|.*error|.*status) '
	timeout 5 bulkhead status
	tail -40 /run/bulkhead/log 2>/dev/null
	tail -n 40 /var/log/xen/*.log
	dmesg | tail -20
	echo "----"
}

cleanup() {
	local d
	for d in $(xl list 2>/dev/null | awk 'NR > 1 && $2 > 0 { print $2 }'); do timeout 30 xl destroy "$d"; done
	timeout 20 bulkhead stop >/dev/null 2>&1
	rm -f /var/log/xen/guest-*.log
	true
}

console() { tr -d '\r' <"/var/log/xen/guest-$1.log"; }
says() { grep -qa "$2" "/var/log/xen/guest-$1.log"; }

# config NAME JOB SECONDS LINES...: writes /srv/NAME.cfg. KERNEL, RAMDISK, KERNEL_ARGS, MEM, VCPUS, TYPE from the environment.
config() {
	local name=$1 job=$2 secs=$3 kernel=/boot/vmlinux
	shift 3
	[ "${TYPE:-}" != hvm ] || kernel=/boot/vmlinuz # its BIOS wants that
	cat >"/srv/$name.cfg" <<C
name="$name"
type="${TYPE:-pv}"
kernel="${KERNEL:-$kernel}"
ramdisk="${RAMDISK-/boot/guest.img}"
memory=${MEM:-320}
vcpus=${VCPUS:-1}
extra="console=hvc0 quiet job=$job secs=$secs ${KERNEL_ARGS:-}"
on_poweroff="destroy"
on_crash="destroy"
C
	printf '%s\n' "$@" >>"/srv/$name.cfg"
}

# guest NAME JOB SECONDS LINES...: a guest that is up when this returns.
guest() {
	create "$@"
	wait_for 90 "$1 is up" says "$1" 'GUEST UP'
}

# create NAME JOB SECONDS LINES...: the same, as soon as xl has made it.
create() {
	config "$@"
	rm -f "/var/log/xen/guest-$1.log"
	timeout 60 xl create "/srv/$1.cfg" >"/srv/$1.xl" 2>&1 || { cat "/srv/$1.xl"; fail "xl create $1"; }
}

# kills NAME TIMES: its xvda's stub, twice a second, while its job runs; half of them at least.
kills() {
	local i id
	id=$(xl domid "$1")
	for i in $(seq "$2"); do
		usleep 200000 # the command takes as long again
		says "$1" 'GUEST .* rc=' && break
		bulkhead kill "$id" xvda || says "$1" 'GUEST .* rc=' || fail "kill $i of $1's stub"
	done
	note "$i kills"
	[ "$i" -gt $(($2 / 2)) ] || fail "the job was over after $i kills"
}

# The guest's end: its job ended well, its kernel said nothing.
done_well() {
	wait_for "${2:-60}" "$1 is done" says "$1" 'GUEST DONE'
	console "$1" | grep -aE 'GUEST|lat|IOPS|FIG'
	console "$1" | grep -qaE '(^|# )GUEST [a-z]* rc=0' || fail "$1's job failed"
	says "$1" 'GUEST DMESG 0' || fail "$1's kernel complains"
	gone "$1"
}

# field DOMID KEY [VDEV]: of the disk's status.
field() { bulkhead status "$1" "${3:-xvda}" --json | jq -r ".[0].$2"; }

# hv_suite WHAT ARGUMENT...: the provider's suite (tests/xen/hv_xen.c).
hv_suite() {
	local out rc
	out=$(CMOCKA_MESSAGE_OUTPUT=stdout timeout 120 hv_xen "${@:2}" 2>&1)
	rc=$?
	echo "$out" | grep -vE '^\[ (RUN|      OK)|^gnttab: error'
	echo "OBS conform, $1: $(echo "$out" | grep -c '^\[       OK \]') tests of the provider passed"
	[ $rc = 0 ] || fail "hv_xen, $1, ended with $rc"
}

# A store that is empty, in the place of one that was killed; who speaks to it anew speaks to this one.
another_xenstored() {
	xenstored --pid-file /run/xenstored.pid
	xen-init-dom0 >/dev/null
	kill "$(cat /run/xenconsoled.pid)" 2>/dev/null
	sleep 1
	xenconsoled --log=guest --log-dir=/var/log/xen --pid-file=/run/xenconsoled.pid
}

# nodes KIND DOMID: the devices of that kind, at both ends, to /srv/KIND.back and .front; nodes_differ KIND DOMID says in what they do now.
nodes() {
	xenstore-ls -p "/local/domain/0/backend/$1" >"/srv/$1.back"
	xenstore-ls -p "/local/domain/$2/device/$1" >"/srv/$1.front"
}
nodes_differ() {
	echo "backend, before and after:"
	xenstore-ls -p "/local/domain/0/backend/$1" | diff "/srv/$1.back" -
	echo "frontend, before and after:"
	xenstore-ls -p "/local/domain/$2/device/$1" | diff "/srv/$1.front" -
}

# A number from dom0's command line (DOM0_ARGS="kills=1000"), or the second argument.
number() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p" | grep . || echo "$2"; }
# spread WHAT UNIT: of the numbers that come in, one a line.
spread() {
	sort -n | awk -v w="$1" -v u="$2" '{ v[NR] = $1 } function at(p) { i = int(p * NR + 0.999999); return v[i < 1 ? 1 : i] }
		END { if (NR) printf "OBS %s: n %d, min %s, p50 %s, p90 %s, p99 %s, max %s %s\n", w, NR, v[1], at(.5), at(.9), at(.99), v[NR], u }'
}

gone() { wait_for 40 "$1 is gone" not xl domid "$1"; }
not() { ! "$@"; }

# An emulated CPU may stand still for longer than a worker may.
start_world() { rm -f /run/bulkhead/log; bulkhead start --hang-ms 1000 "$@" || { cat /run/bulkhead/log; fail "bulkhead start"; }; }

# tell NAME COMMAND...: to a guest whose job is shell; it answers on its console.
tell() {
	local tty
	tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty") || fail "$1 has no console"
	echo "${*:2}" >"$tty"
}

# What a world holds: before and after something this must be the same.
holds() {
	local keep super
	keep=$(pgrep -o bulkhead-keep) super=$(pgrep -o -x bulkheadd)
	echo "keeper's descriptors: $(find "/proc/$keep/fd" | wc -l)"
	echo "supervisor's descriptors: $(find "/proc/$super/fd" | wc -l)"
	echo "stubs: $(pgrep -c 'd-(blk|net)$')"
	echo "taps: $(find /sys/class/net/*/ -maxdepth 1 -name tun_flags | wc -l)"
	echo "journals and states: $(find /run/bulkhead/journals /run/bulkhead/devs -type f | wc -l)"
	echo "ports to guests: $(lsevtchn 0 | grep 'Interdomain' | grep -vc 'Remote domain: 0')"
	echo "locks: $(grep -c OFDLCK /proc/locks)"
	echo "nodes: $(xenstore-ls /local/domain/0/backend 2>/dev/null | wc -l)"
}
holds_as() { [ "$(holds)" = "$(cat "$1")" ]; }
# nothing_more FILE: holds has come back to what it wrote to FILE.
nothing_more() {
	local _
	for _ in $(seq 100); do
		holds_as "$1" && return
		usleep 100000
	done
	holds | diff "$1" -
	fail "something is left"
}

# nothing_of DOMID: of a domain that is gone. nothing_left: the same, and no other one has a stub.
nothing_of() {
	wait_for 10 "the nodes of domain $1 are gone" not xenstore-exists "/local/domain/0/backend/vbd/$1"
	! lsevtchn 0 | grep -q "Interdomain.*Remote domain: $1\b" || fail "a port to domain $1 is left"
	! xl list | grep -q "(null)" || fail "the domain is held by something mapped"
}
nothing_left() {
	wait_for 10 "the stubs of domain $1 are gone" not pgrep -x bulkhead-blk
	nothing_of "$1"
}

uptime_s() { cut -d' ' -f1 /proc/uptime; }

# timed WHAT STATUS COMMAND...: a command of xl's that must end with that status, and not because a time of libxl's was over. Its output
# is in /tmp/out. How long it took is said only: under emulation a script of xl's takes seconds.
timed() {
	local what=$1 want=$2 t rc
	shift 2
	t=$(uptime_s)
	timeout 60 "$@" >/tmp/out 2>&1
	rc=$?
	t=$(echo "$(uptime_s) $t" | awk '{ printf "%.1f", $1 - $2 }')
	echo "OBS $what: status $rc, $t s"
	[ $rc = "$want" ] || { cat /tmp/out; fail "$what: status $rc, not $want"; }
	! grep -E 'unable to (add|remove) device with path|timed out' /tmp/out || fail "$what: libxl waited in vain"
}
told() { grep -q "$1" /tmp/out || { cat /tmp/out; fail "xl does not say '$1'"; }; }

# ask NAME COMMAND: in a guest whose job is the shell; fails when the command does. Its output is in the guest's log.
asked=0
ask() {
	asked=$((asked + 1))
	tell "$1" "( $2 ); echo \"AN\"SWER$asked=\$?"
	wait_for "${3:-20}" "$1's answer to: $2" says "$1" "ANSWER$asked="
	says "$1" "ANSWER$asked=0" || { console "$1" | tail -5; fail "$1: $2"; }
}
# The shell's end, and with it the guest's.
leave() { tell "$1" exit; }

# same DEV: the command for a guest that writes to its disk, and reads the same back from there.
same() {
	echo "dd if=/dev/urandom of=/tmp/$1 bs=1M count=4 2>/dev/null; dd if=/tmp/$1 of=/dev/$1 bs=1M conv=fsync 2>/dev/null;" \
		"echo 7 >/proc/sys/vm/drop_caches; [ \"\$(md5sum </tmp/$1)\" = \"\$(dd if=/dev/$1 bs=1M count=4 2>/dev/null | md5sum)\" ]"
}

# A guest's shell as its only job: verified writes go on for ever, beside which its disk is asked for an answer now and then.
io_guest() {
	MEM=${MEM:-192} guest "$1" shell 0 "${@:2}"
	wait_for 20 "$1's disk" says "$1" 'GUEST DISK'
	tell "$1" '(fio --thread --name=v --filename=/dev/xvda --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --size=8m' \
		'--rate_iops=100 --verify=crc32c --verify_backlog=64 --verify_fatal=1 --time_based --runtime=600 >/tmp/fio 2>&1;' \
		"cat /tmp/fio; echo IO''ENDED) &"
}
answers=0
answers() {
	answers=$((answers + 1))
	tell "$1" "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/xvda of=/dev/null bs=4k count=4 skip=$((3000 + answers * 8)) 2>/dev/null && echo ANSWER''$answers"
	wait_for 30 "$1's disk answers ($answers)" says "$1" "ANSWER$answers"
	! says "$1" IOENDED || fail "verified I/O: $(console "$1" | tail -20)"
}
