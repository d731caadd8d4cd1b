# The provider xen keeps the contract of ring/hv/hv.h between two domains: the frontend's end is a guest, told by its console what to do.
# limit: 150 s
. /cases/functions.sh
mkdir /srv/top
cp /usr/bin/hv_agent /srv/top/suite
(cd /srv/top && echo suite | cpio -o -H newc) 2>/dev/null | cat /boot/guest.img - >/srv/agent.img
RAMDISK=/srv/agent.img guest a suite 0
wait_for 20 "the agent" says a '^AGENT'
id=$(xl domid a)
hv_suite "two domains" "$(xenstore-read "/local/domain/$id/console/tty")" "$id"
wait_for 20 "the agent's end" says a '^GUEST suite rc=0'
gone a
nothing_left "$id"
