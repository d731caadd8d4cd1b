# A kernel that another one has started by kexec: its blkfront finds the backend connected to the one before, under load.
# limit: 220 s
# cpu: max,-smap,-smep,-rdtscp
. /cases/functions.sh
start_world
again() { [ "$(console k | grep -c 'GUEST UP')" = "$1" ]; }
dd if=/dev/zero of=/srv/k.img bs=1M count=64 status=none
mkdir /srv/next
cp /boot/vmlinuz /srv/next/
cp /boot/small.img /srv/next/initrd
(cd /srv/next && printf 'vmlinuz\ninitrd\n' | cpio -o -H newc 2>/dev/null | dd bs=1M iflag=fullblock conv=sync of=/srv/next.img status=none)
rm -r /srv/next
TYPE=pvh KERNEL_ARGS="how=kexec" guest k again 4 \
	'disk=["format=raw,vdev=xvda,access=rw,target=/srv/k.img", "format=raw,vdev=xvdb,access=r,target=/srv/next.img"]'
id=$(xl domid k)
wait_for 40 "the first kernel's end" says k 'GUEST GOES'
note "kexec"
wait_for 120 "the next kernel" again 2
bulkhead status
xl list
done_well k
says k 'GUEST AGAIN' || fail "the disk was not the one it had"
nothing_left "$id"
