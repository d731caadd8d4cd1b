# Who feels a death: a guest beside another one whose stub is killed in a loop, each with a stub of its own, and then both served by
# one (as a classic dom0 does). Quiet windows and windows with kills take turns.
# limit: 500 s
. /cases/functions.sh
windows=$(number windows 5)

in_guest='figure() { fio --thread --filename=/dev/xvda --direct=1 --ioengine=libaio --randrepeat=0 --percentile_list=50:99 --output-format=terse \
	--terse-version=3 --time_based --runtime=4 --name=f --rw=randwrite --bs=4k --iodepth=4 2>&1 |
	awk -F";" -v n="$1" "\$1 == 3 { split(\$59, a, \"=\"); split(\$60, b, \"=\"); print \"WINDOW\", n, \$49, a[2] + 0, b[2] + 0, \$56 + 0, \"errors\", \$5 }"; }'

begin() {
	dd if=/dev/zero of="/srv/$1.img" bs=1M count=64 status=none
	guest "$1" "$2" "$3" "disk=[\"format=raw,vdev=xvda,access=rw,target=/srv/$1.img\"]"
	wait_for 20 "the disk of $1" says "$1" 'GUEST DISK'
}

# Median of column $2 of the windows whose name begins with $1.
median() { awk -v w="$1" -v c="$2" 'index($2, w) == 1 { print $c }' /srv/windows | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
most() { awk -v w="$1" 'index($2, w) == 1 && $6 > m { m = $6 } END { print m }' /srv/windows; }

window() { # NAME: in guest b; what is killed meanwhile is the stub of a
	local n=0
	tell b "figure $1"
	until says b "^WINDOW $1 "; do
		case $1 in
			kills*) bulkhead kill "$victim" xvda 2>/dev/null && n=$((n + 1)) ;;
			*) bulkhead status >/dev/null ;; # the same programs run
		esac
		usleep 200000
	done
	killed=$((killed + n))
}

measure() { # PLACEMENT
	start_world --placement "$1"
	begin a load 480
	begin b shell 0
	victim=$(xl domid a) killed=0
	tell b "stty -echo; PS1= PS2="
	tell b "$in_guest"
	window first
	for i in $(seq "$windows"); do
		window "quiet$i"
		window "kills$i"
	done
	console b | grep -a '^WINDOW' >/srv/windows
	cat /srv/windows
	awk '$3 == 0 || $8 != 0 { bad = 1 } END { exit bad || !NR }' /srv/windows || fail "errors"
	for w in quiet kills; do
		echo "OBS blast, $1, $w: $windows windows of 4 s, $([ $w = quiet ] || echo "$killed kills beside,") IOPS $(median $w 3)," \
			"p50 $(median $w 4) us, p99 $(median $w 5) us (medians of the windows), max $(most $w) us"
	done
	tell b exit
	done_well b
	xl destroy a
	wait_for 20 "no stub" not pgrep -x bulkhead-blk
	bulkhead stop
}

measure per-device
kills_p99=$(median kills 5) quiet_p99=$(median quiet 5)
[ "$kills_p99" -le $((quiet_p99 * 3)) ] || fail "p99 beside kills is $kills_p99 us, without $quiet_p99 us"
measure monolithic
