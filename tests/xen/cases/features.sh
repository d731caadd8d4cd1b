# What xen-blkfront and we agree on, by its own account, and what then happens on the data path: pages mapped once and not again, or
# copied. One guest with persistent grants, two queues and requests of 256 segments, on a file, a device with sectors of 4096 bytes and a
# read-only disk; a death when the host lets next to nothing be mapped; one without persistent grants, with rings of 16 pages.
# limit: 300 s
. /cases/functions.sh

feature() { # GUEST DISK WORD...: what the guest says of it
	local g=$1 d=$2 w
	shift 2
	for w; do console "$g" | grep -a "FEAT $d " | grep -q -- "$w" || fail "$g: $d is not $w: $(console "$g" | grep -a "FEAT $d ")"; done
}
field() { bulkhead status --json | jq -r ".[] | select(.domain == \"$1\" and .vdev == \"$2\") | .$3"; }
front() { xenstore-read "/local/domain/$1/device/vbd/51712/$2" 2>/dev/null; }
another() { [ "$(field p xvda state)" = up ] && [ "$(field p xvda pid)" != "$1" ]; }
mapped() { grep -c /dev/xen/gntdev "/proc/$1/maps"; }

# maps, unmaps and grant copies that a process asks for in a second.
calls() {
	timeout -s INT 1 strace -f -e trace=ioctl -X raw -o /srv/calls -p "$1"
	awk '/ioctl/ { n[$0 ~ /0x184700/ ? "map" : $0 ~ /0x104701/ ? "unmap" : $0 ~ /0x104708/ ? "copy" : "other"]++ }
		END { printf "%d %d %d\n", n["map"], n["unmap"], n["copy"] }' /srv/calls
}

some_mapped() { [ "$(mapped "$1")" -gt 10 ]; }
# Pages are mapped when they are used first: until no more come.
settled() {
	local n
	n=$(mapped "$1")
	usleep 700000
	[ "$n" -gt 10 ] && [ "$(mapped "$1")" = "$n" ]
}

# What calls says, where the data path maps nothing: a page may still come that is used for the first time.
maps_nothing() { [ "$1" -le 5 ] && [ "$2" = 0 ]; }

memory() { # NAME PID
	awk -v n="$1" '{ s[$1] += $2 } END { printf "FIG memory, KiB: %s resident %d, proportional %d, private %d\n", n, s["Rss:"], s["Pss:"],
		s["Private_Clean:"] + s["Private_Dirty:"] }' "/proc/$2/smaps_rollup"
}

truncate -s 32M /srv/a.img /srv/b.img /srv/c.img /srv/n.img
loop=$(/usr/sbin/losetup -f --show --sector-size 4096 /srv/b.img) || fail losetup
start_world

KERNEL_ARGS="blkfront=max_indirect_segments=256,max_queues=2 disks=xvda,xvdb,xvdc" VCPUS=2 MEM=900
guest p features 60 "disk=[ 'vdev=xvda,access=rw,script=block-bulkhead,target=/srv/a.img',
'vdev=xvdb,access=rw,script=block-bulkhead,target=$loop', 'vdev=xvdc,access=ro,script=block-bulkhead,target=/srv/c.img' ]"
wait_for 60 "the load" says p 'FEAT load'
id=$(xl domid p) pid=$(field p xvda pid)
console p | grep -a 'blkfront: xvda'
says p 'blkfront: xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled' || fail "features of xvda"
[ "$(field p xvda queues) $(front "$id" multi-queue-num-queues)" = "2 2" ] || fail "queues: $(field p xvda queues)"
feature p xvda mq=2 segs=256 kb=1024 sector=512 ro=0 ok
feature p xvdb sector=4096 ro=0 ok
feature p xvdc ro=1
! grep -l iou-sqp "/proc/$pid"/task/*/comm || fail "a kernel thread spins for the disk"
wait_for 20 "pages are mapped" settled "$pid"
a=$(mapped "$pid") c=$(calls "$pid") b=$(mapped "$pid")
echo "FIG persistent grants: $a pages mapped, a second later $b; maps, unmaps, copies in it: $c"
# shellcheck disable=SC2086 # three numbers
maps_nothing $c || fail "maps on the data path"
memory stub "$pid"
memory standby "$(field p xvda standby_pid)"
memory bulkheadd "$(pgrep -o -x bulkheadd)"
memory bulkhead-keep "$(pgrep -o bulkhead-keep)"

# The successor may map little, for all that the supervisor needs itself.
max=$(cat /proc/sys/vm/max_map_count)
echo $(($(wc -l <"/proc/$(pgrep -o -x bulkheadd)/maps") + 100)) >/proc/sys/vm/max_map_count
bulkhead kill p xvda || fail kill
wait_for 10 "another stub" another "$pid"
pid=$(field p xvda pid)
wait_for 10 "pages are mapped again" some_mapped "$pid"
usleep 1000000
c=$(calls "$pid")
echo "FIG only $(cat /proc/sys/vm/max_map_count) mappings allowed: $(mapped "$pid") pages mapped; maps, unmaps, copies in a second: $c"
echo "$max" >/proc/sys/vm/max_map_count
grep 'can be mapped here' /run/bulkhead/log || fail "nothing is said of it"
# shellcheck disable=SC2086 # three numbers
maps_nothing $c && [ "${c##* }" -gt 0 ] || fail "it does not copy instead"
wait_for 80 "the load's end" says p 'FEAT load ok'
timeout 40 xl block-detach p xvdc || fail block-detach
wait_for 20 "xvdc is gone" says p 'FEAT xvdc is gone'
done_well p
nothing_left "$id"

KERNEL_ARGS="blkfront=feature_persistent=0,max_indirect_segments=256,max_ring_page_order=4,max_queues=2 disks=xvda" VCPUS=2 MEM=700
guest n features 20 'disk=["vdev=xvda,access=rw,discard,script=block-bulkhead,target=/srv/n.img"]'
wait_for 60 "the load" says n 'FEAT load'
id=$(xl domid n) pid=$(field n xvda pid)
says n 'persistent grants: disabled; indirect descriptors: enabled' || fail "features of xvda"
[ "$(field n xvda queues) $(field n xvda ring_pages) $(front "$id" ring-page-order)" = "2 16 4" ] || fail "rings: $(field n xvda ring_pages)"
feature n xvda mq=2 segs=256 ok
[ "$(stat -c %b /srv/n.img)" -lt 16384 ] || fail "nothing was trimmed"
c=$(calls "$pid")
echo "FIG no persistent grants: $(mapped "$pid") pieces mapped; maps, unmaps, copies in a second: $c"
case $c in "0 0 0") fail "nothing is copied" ;; "0 0 "*) ;; *) fail "maps on the data path" ;; esac
done_well n
nothing_left "$id"
