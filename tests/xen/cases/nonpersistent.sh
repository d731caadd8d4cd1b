# What kills naive designs: a guest without persistent grants, whose kernel takes a disk out of use for ever when a page of an
# answered request is still mapped; slow storage; and 20 deaths with requests in flight.
# limit: 180 s
. /cases/functions.sh
start_world
dd if=/dev/zero of=/srv/a.img bs=1M count=64 status=none
KERNEL_ARGS="blkfront=feature_persistent=0" guest a verify 16 \
	'disk=["format=raw,vdev=xvda,access=rw,script=block-bulkhead,target=/srv/a.img,delay=30"]'
wait_for 20 "the disk is connected" says a 'GUEST DISK'
says a 'persistent grants: disabled' || fail "the guest has persistent grants"
id=$(xl domid a)
kills a 20
done_well a
redone=$(sed -n 's/.*resumed:.* \([0-9]*\) answered again, \([0-9]*\) redone/\1 \2/p' /run/bulkhead/log | awk '{ n += $1 + $2 } END { print n + 0 }')
echo "OBS nonpersistent: $(grep -c 'died: stub' /run/bulkhead/log) deaths ($(grep -c 'it hung' /run/bulkhead/log) by us) on storage of 30 ms, $redone requests answered again or redone"
[ "$redone" -ge 40 ] || fail "hardly a request was in flight at the deaths"
! console a | grep -q 'disabled for further use' || fail "the guest gave its disk up"
nothing_left "$id"
