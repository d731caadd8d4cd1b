# The provider xen keeps the contract of ring/hv/hv.h: the suite that the other providers pass too, with dom0 at both ends, and then
# with a guest for the frontend's domain.
# limit: 90 s
. /cases/functions.sh
suite() {
	local out rc
	out=$(CMOCKA_MESSAGE_OUTPUT=stdout timeout 50 hv_xen "${@:2}" 2>&1)
	rc=$?
	echo "$out" | grep -vE '^\[ (RUN|      OK)'
	echo "OBS conform, $1: $(echo "$out" | grep -c '^\[       OK \]') tests of the provider passed, $(echo "$out" | grep -c '^\[  SKIPPED \] [a-z]') skipped"
	[ $rc = 0 ] || fail "hv_xen, $1, ended with $rc"
}

before=$(lsevtchn 0 | wc -l)
suite "one domain"
[ "$(lsevtchn 0 | wc -l)" = "$before" ] || fail "a port is left"

mkdir /srv/top
cp /usr/bin/hv_agent /srv/top/suite
(cd /srv/top && echo suite | cpio -o -H newc) 2>/dev/null | cat /boot/guest.img - >/srv/agent.img
RAMDISK=/srv/agent.img guest a suite 0
wait_for 20 "the agent" says a '^AGENT'
id=$(xl domid a)
suite "two domains" "$(xenstore-read "/local/domain/$id/console/tty")" "$id"
done_well a
nothing_left "$id"
