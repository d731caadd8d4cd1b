#!/bin/bash
# What a user or a host can do wrong with a disk: each gets one clear line and harms nobody else.
. "$(dirname "$0")/functions.sh"
need jq nbdkit qemu-io

# refused WHAT-THE-LINE-SAYS ARG...: the command fails, prints one line, and it says that.
refused() {
	local says=$1 status
	shift
	bh "$@" >"$T/out" 2>&1
	status=$?
	[ $status != 0 ] || fail "bulkhead $*: accepted"
	[ "$(wc -l <"$T/out")" = 1 ] || fail "bulkhead $*: not one line: $(cat "$T/out")"
	grep -qi -- "$says" "$T/out" || fail "bulkhead $*: does not say \"$says\": $(cat "$T/out")"
	echo "ok: $(cat "$T/out")"
}
io() { qemu-io -f raw -c "$2" "$(uri A "$1")" >"$T/io" 2>&1 && ! grep -qiE 'fail|error' "$T/io"; }

refused "no supervisor\|no local world\|no xenstore" status
world_up
bh create A >/dev/null && bh create B >/dev/null || fail create
bh attach A "vdev=xvda,target=mem:16M" >/dev/null || fail attach
nbd_up A xvda

# Usage.
refused "no command" nonsense
refused "already" create A
refused "name" create "a b"
refused "no domain" attach C "vdev=xvda,target=mem:1M"
refused "vdev" attach A "target=/x.img"
refused "unknown parameter" attach A "vdev=xvdb,bogus=1,target=/x.img"
refused "raw" attach A "vdev=xvdb,format=qcow2,target=/x.img"
refused "virtual device" attach A "vdev=nope,target=mem:1M"
refused "already" attach A "vdev=xvda,target=mem:1M"
refused "has no xvdz" detach A xvdz
refused "signal" kill A xvda --signal NOPE
refused "has no xvdz" kill A xvdz
refused "already running" start

# Storage.
refused "no such file" attach A "vdev=xvdb,target=$T/missing.img"
refused "directory" attach A "vdev=xvdb,target=$T"
mkfifo "$T/fifo"
refused "fifo\|regular" attach A "vdev=xvdb,target=$T/fifo"
: >"$T/empty.img"
refused "size\|small\|empty\|no whole sector\|sector" attach A "vdev=xvdb,target=$T/empty.img"
refused "size" attach A "vdev=xvdb,target=mem:lots"
refused "size\|0" attach A "vdev=xvdb,target=mem:0"
refused "engine\|nosuch" attach A "vdev=xvdb,target=nosuch:1"
refused "not an option\|unknown" attach A "vdev=xvdb,target=mem:1M" -o colour=red
truncate -s 8M "$T/b.img"
refused "aio" attach A "vdev=xvdb,target=$T/b.img" -o aio=magic
bh attach B "vdev=xvda,target=$T/b.img" >/dev/null || fail "attach B"
refused "in use as xvda of B" attach A "vdev=xvdb,target=$T/b.img"
if [ "$(id -u)" != 0 ]; then
	truncate -s 1M "$T/secret.img"
	chmod 000 "$T/secret.img"
	refused "permission" attach A "vdev=xvdb,target=$T/secret.img"
fi

# A full or failing disk: the guest gets an I/O error for that request, the stub lives.
bh attach A "vdev=xvdb,target=mem:1M" -o fault-error=100:ENOSPC >/dev/null || fail "attach a failing disk"
nbd_up A xvdb
io xvdb "write 0 4k" || fail "a good sector fails: $(cat "$T/io")"
io xvdb "write 48k 4k" && fail "a write to a full disk succeeds"
io xvdb "write 0 4k" || fail "the disk is gone after an I/O error: $(cat "$T/io")"
[ "$(field A xvdb restarts)" = 0 ] || fail "an I/O error killed the stub"
echo "ok: a full disk is an I/O error of that request"

# A request that kills every stub is answered with an error in the end; the disk goes on.
bh attach A "vdev=xvdc,target=mem:1M" -o fault-crash=200 >/dev/null || fail "attach a deadly disk"
nbd_up A xvdc
io xvdc "write 0 4k" || fail "a good sector fails: $(cat "$T/io")"
io xvdc "write 100k 4k" && fail "a poison request succeeds"
io xvdc "write 0 4k" || fail "the disk is gone after a poison request: $(cat "$T/io")"
echo "ok: a request that kills is answered with an error after $(field A xvdc restarts) deaths"

# A corrupted journal: detected, the device stops and says so, and never answers from it; a reset ends it.
journal=$(find "$(journals)" -name "vbd-$(field A xvdc domid)-$(field A xvdc devid)-*" | head -n 1)
[ -n "$journal" ] || fail "no journal of xvdc found"
# In the connection record, in its header, which only a successor reads.
printf '\377\377\377\377' | dd of="$journal" bs=1 seek=40 conv=notrunc status=none
bh kill A xvdc || fail "kill"
wait_for 10 "state broken" state_is A xvdc broken
field A xvdc text | grep -qi journal || fail "status does not say why: $(field A xvdc text)"
echo "ok: $(field A xvdc text)"
bh reset A xvdc || fail "reset"

# All the while the first disk is untouched.
[ "$(field A xvda restarts)" = 0 ] || fail "xvda suffered"
io xvda "write -P 3 0 64k" && io xvda "read -P 3 0 64k" || fail "xvda: $(cat "$T/io")"
echo "ok: the other disk saw nothing"
