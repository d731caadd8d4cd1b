# The host's side: the doctor, what a start says that can not be, a refused disk, the stub's confinement.
# limit: 200 s
. /cases/functions.sh

failed=
bad() { echo "FAILED: $*"; failed=1; } # and on: a boot is dear
says_that() { # WHAT STATUS COMMAND...: ends with that status and one line that has WHAT
	local what=$1 status=$2 out rc
	shift 2
	out=$("$@" 2>&1 </dev/null)
	rc=$?
	[ $rc = "$status" ] || bad "$*: exit status $rc, $status was expected: $out"
	[ "$(echo "$out" | wc -l)" = 1 ] || bad "$*: more than one line: $out"
	echo "$out" | grep -q "$what" || bad "$*: not '$what': $out"
	echo "OBS host: $out"
}
verdict() { bulkhead doctor --json | jq -r ".points[] | select(.name == \"$1\").verdict"; }

note "the doctor, before anything runs"
bulkhead doctor || bad "the doctor finds fault with this host"
for p in xen xenfs gntdev evtchn privcmd xenstore libxenctrl seccomp uids; do
	[ "$(verdict $p)" = ok ] || bad "the doctor: $p is not ok"
done
[ "$(verdict keeper)" = missing ] || bad "the doctor: a keeper?"

note "what is missing"
mv /dev/xen/gntdev /dev/xen/away
says_that "/dev/xen/gntdev is not there: modprobe xen-gntdev" 1 bulkhead start
says_that "/dev/xen/gntdev is not there: modprobe xen-gntdev" 125 bulkhead-keep --provider xen
bulkhead doctor >/tmp/doctor && bad "the doctor does not miss gntdev"
grep -q "^missing *gntdev" /tmp/doctor || bad "the doctor does not miss gntdev"
mv /dev/xen/away /dev/xen/gntdev
mv /dev/xen/evtchn /dev/xen/away
says_that "/dev/xen/evtchn is not there: modprobe xen-evtchn" 1 bulkhead start
mv /dev/xen/away /dev/xen/evtchn
if umount -l /proc/xen; then
	says_that "mount -t xenfs xenfs /proc/xen" 1 bulkhead start --provider xen
	mount -t xenfs xenfs /proc/xen
else
	note "/proc/xen is in use: its absence was not tried"
fi
says_that "as root" 1 su -s /bin/sh nobody -c 'BULKHEAD_RUNTIME_DIR=/tmp/nobody /usr/libexec/bulkhead/bulkhead start --provider xen'
export XENSTORED_PATH=/run/none.sock
bulkhead start | grep -q "xenstored is not there yet" || bad "start does not say that xenstored is missing"
[ "$(grep -c "/run/none.sock is not there yet" /run/bulkhead/log)" = 1 ] || bad "the log does not say once that xenstored is waited for"
bulkhead stop
unset XENSTORED_PATH
says_that "xl create" 1 bulkhead create A
rm -f /run/bulkhead/log

note "a libxenctrl that does not fit, as far as the hypervisor's answer goes: to one of the first calls, the others are its own probes"
for n in 1 2 3; do
	rm -rf /run/other
	timeout 20 strace -f -o /dev/null -P /dev/xen/privcmd -e inject=ioctl:error=EACCES:when=$n \
		bulkheadd --runtime-dir /run/other --provider xen >/tmp/version 2>&1 &
	wait_for 10 "bulkheadd's word" grep -q "no keeper" /tmp/version
	kill "$(cat /run/other/bulkheadd.pid)" # not its tracer, which would leave it alone
	wait $!
	! grep libxenctrl /tmp/version || break
done
[ "$(grep -c "libxenctrl is for Xen 4.17, this is 4.17: ends of domains are learnt from xenstore only" /tmp/version)" = 1 ] ||
	note "not reached: which of libxenctrl's calls strace must refuse depends on its version: $(cat /tmp/version)"

start_world
[ "$(verdict keeper)$(verdict supervisor)$(verdict autoprobe)" = okokok ] || bad "the doctor: all runs, but: $(bulkhead doctor)"

note "a guest and its stub's confinement"
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
guest a verify 40 'disk=["format=raw,vdev=xvda,access=rw,target=/srv/a.img"]'
wait_for 20 "the disk is connected" says a 'GUEST DISK'
id=$(xl domid a)
bulkhead list | grep -q "^a  *$id  *xvda" || bad "list: $(bulkhead list)"
pid=$(bulkhead status a xvda --json | jq '.[0].pid')
grep -E '^(Uid|CapPrm|NoNewPrivs|Seccomp):' "/proc/$pid/status"
[ "$(bulkhead status a xvda --json | jq -r '.[0].confinement')" = full ] || bad "the stub is not confined"
[ "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" = $((165536 + id)) ] || bad "the stub's user"
bulkhead kill a xvda || bad "kill"

note "another keeper, as the service starts one when the former died; then a reload, which is what an upgrade needs"
was=$(cat /run/bulkhead/bulkheadd.pid)
kill -9 "$(cat /run/bulkhead/keep.pid)"
bulkhead-keep --provider xen -- --hang-ms 1000 >>/run/bulkhead/log 2>&1 </dev/null &
keeper=$!
wait_for 10 "the supervisor has found the new keeper" grep -q "a keeper is there" /run/bulkhead/log
bulkhead kill a xvda || bad "kill, with a new keeper"
kill -HUP "$(cat /run/bulkhead/bulkheadd.pid)"
wait_for 15 "a new supervisor" sh -c "[ \$(cat /run/bulkhead/bulkheadd.pid) != $was ] && bulkhead status a xvda --json | grep -q '\"up\"'"
[ "$(awk '{ print $4 }' "/proc/$(cat /run/bulkhead/bulkheadd.pid)/stat")" = $keeper ] || bad "the new supervisor is not the new keeper's"
bulkhead kill a xvda || bad "kill, after the reload"

note "a refused disk: the reason is in the log, and shown by xl"
timeout 60 xl block-attach a 'vdev=xvdb,script=block-bulkhead,target=/srv/none.img' >/tmp/xl 2>&1 && bad "xl attached a disk without an image"
cat /tmp/xl
grep -q "/srv/none.img: there is no such file" /run/bulkhead/log || bad "the log does not say it"
grep -q "xvdb: /srv/none.img: there is no such file" /tmp/xl || bad "xl does not show why"
done_well a
nothing_left "$id"
bulkhead stop || bad "stop"
wait_for 5 "nothing of ours runs" not pgrep bulkhead
[ -z "$failed" ]
