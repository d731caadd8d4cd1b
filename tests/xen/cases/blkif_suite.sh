# What the blkif cases share: a guest without a driver of its own, in which the suite (docs/conformance.md) acts as the frontend of xvda,
# with xvdb as its canary and the rest, DISKS of them in all, as spare ones.
. /cases/functions.sh

# Options from the kernel's command line, + for a blank, and how long it may take: DOM0_ARGS='suite=--only+ring.* secs=100'.
suite_options() { sed -n 's/.*suite=\([^ ]*\).*/\1/p' /proc/cmdline | tr + ' '; }

suite_image() { # OPTIONS
	local d=/srv/suite FRONTS='--front device/vbd/51712' n
	for n in $(seq 3 "${DISKS:-2}"); do FRONTS="$FRONTS --front device/vbd/$((51712 + 16 * (n - 1)))"; done
	mkdir -p $d
	cp /usr/bin/bulkhead-blkif-suite $d/
	cat >$d/suite <<S
#!/bin/busybox sh
echo 4096 >/sys/module/xen_gntalloc/parameters/limit
exec /bulkhead-blkif-suite --provider xen --writable --patience 4000 $FRONTS --canary device/vbd/51728 $*
S
	chmod 755 $d/suite
	(cd $d && find . | cpio -o -H newc 2>/dev/null) | cat /boot/guest.img - >/srv/suite.img
}

# run_suite DISK-OPTIONS SUITE-OPTIONS...: disks of these options (each with a comma behind it), each with an image of its own. ID: the
# guest's.
run_suite() {
	local options=$1 lines='' v secs
	shift
	# shellcheck disable=SC2046 # each word is an option
	suite_image "$@" $(suite_options)
	for v in $(echo a b c d e f | cut -d' ' -f"1-${DISKS:-2}"); do
		truncate -s 64M "/srv/xvd$v.img"
		lines="$lines\"format=raw,vdev=xvd$v,access=rw,${options}target=/srv/xvd$v.img\","
	done
	RAMDISK=/srv/suite.img MEM=400 guest s suite 0 "disk=[${lines%,}]"
	ID=$(xl domid s)
	secs=$(sed -n 's/.*secs=\([0-9]*\).*/\1/p' /proc/cmdline)
	for _ in $(seq "${secs:-600}"); do
		says s 'GUEST suite rc' && break
		sleep 1
	done
	console s | grep -aE 'VERDICT|^SEED|Bail|passed|GUEST'
}
suite_went_well() { says s 'GUEST suite rc=0' || fail "the suite: $(console s | grep -a passed)"; }
