# A disk grows and shrinks under verified I/O: the guest's kernel follows, also when stub and supervisor die with it. A file, noticed by
# itself or at a word, and a memory disk.
# limit: 180 s
. /cases/functions.sh
start_world

bytes() { ask "$1" "[ \$((\$(cat /sys/block/$2/size) * 512)) = $3 ]" "${4:-20}"; }
# The guest's word, asked for until it is the one: a new size may be a second on its way.
follows() {
	tell "$1" "for i in \$(seq 100); do [ \$((\$(cat /sys/block/$2/size) * 512)) = $3 ] && break; usleep 100000; done"
	bytes "$1" "$2" "$3"
}

truncate -s 64M /srv/a.img
MEM=500 io_guest a "disk=['format=raw,vdev=xvda,access=rw,target=/srv/a.img', 'vdev=xvdb,access=rw,script=block-bulkhead,target=mem:16M']"
id=$(xl domid a)
answers a
bytes a xvda $((64 << 20))

truncate -s 96M /srv/a.img
bulkhead resize "$id" xvda || fail "resize"
follows a xvda $((96 << 20))
ask a "dd if=/dev/zero of=/dev/xvda bs=1M seek=95 count=1 oflag=direct 2>/dev/null"
echo "OBS $(console a | grep -a 'capacity change' | tail -1)"

truncate -s 80M /srv/a.img # by itself, and a stub that dies meanwhile
bulkhead kill "$id" xvda
follows a xvda $((80 << 20))
answers a

bulkhead resize "$id" xvdb 24M || fail "resize of a memory disk"
follows a xvdb $((24 << 20))
kill -9 "$(pgrep -o -x bulkheadd)"
truncate -s 128M /srv/a.img
follows a xvda $((128 << 20))
bulkhead kill "$id" xvdb
ask a "$(same xvdb)" 30
answers a
[ "$(field "$id" errors)" = 0 ] || fail "$(field "$id" errors) requests were answered with errors"
timeout 60 xl destroy a || fail "destroy"
nothing_left "$id"
