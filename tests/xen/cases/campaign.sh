# Many deaths (kills= on dom0's command line, seed=) of the stubs of two guests under verified I/O, by SIGKILL, SIGSEGV and standing
# still (SIGSTOP), at random moments. No error, no wrong byte, no word of the guests' kernels; and how long the guests waited.
# limit: 2400 s
. /cases/functions.sh
kills=$(number kills 60) seed=$(number seed $RANDOM)
echo "OBS campaign: $kills kills, seed=$seed"
start_world
bulkhead --json events >/srv/events &
events=$!

# Runs in the guest: verified I/O for so many seconds; then the longest latency of each 50 ms, in ms since 1970 and us.
in_guest='round() { fio --thread --filename=/dev/xvda --direct=1 --ioengine=libaio --randrepeat=0 --name=v --rw=randwrite --bsrange=4k-64k \
	--iodepth=8 --verify=crc32c --verify_fatal=1 --verify_backlog=64 --time_based --runtime=$1 --size=32m \
	--write_lat_log=/tmp/l --log_avg_msec=50 --log_max_value=1 --log_unix_epoch=1 >/tmp/fio.out 2>&1
	rc=$?; [ $rc = 0 ] || cat /tmp/fio.out
	awk -F"[, ]+" "\$2 > m[\$1] { m[\$1] = \$2 } END { for (t in m) printf \"LAT %s %d\n\", t, m[t] / 1000 }" /tmp/l_lat.1.log
	echo "ROUND rc=$rc"; }'

begin() {
	dd if=/dev/zero of="/srv/$1.img" bs=1M count=64 status=none
	# A delay in ms, so that each death finds something in flight.
	guest "$1" shell 0 "disk=[\"vdev=xvda,access=rw,script=block-bulkhead,target=/srv/$1.img,delay=20\"]"
	wait_for 20 "the disk of $1" says "$1" 'GUEST DISK'
	tell "$1" "stty -echo; PS1= PS2="
	tell "$1" "$in_guest"
	: >"/srv/$1.kills"
}

rounds_of() { console "$1" | grep -ac '^ROUND rc='; }
signal_of() { if [ "$1" -lt 60 ]; then echo KILL; elif [ "$1" -lt 85 ]; then echo SEGV; else echo STOP; fi; }

# killer NAME N: rounds of I/O one after the other, until there were N deaths and the last round is over.
killer() {
	local id n=0 rounds=1 s late=0
	id=$(xl domid "$1")
	while :; do
		if [ "$(rounds_of "$1")" = $rounds ]; then
			[ $n -lt "$2" ] || return 0
			tell "$1" "round 20"
			rounds=$((rounds + 1)) late=$((SECONDS + 90))
		fi
		[ $SECONDS -lt $late ] || { echo "FAILED: a round of $1 does not end"; return 1; }
		if [ $n -lt "$2" ]; then
			s=$(signal_of $((RANDOM % 100)))
			# One that has no stub at this moment is not counted.
			bulkhead kill "$id" xvda --signal $s 2>/dev/null && n=$((n + 1)) && echo "$((${EPOCHREALTIME/./} / 1000)) $s" >>"/srv/$1.kills"
		fi
		usleep $((50000 + RANDOM * 12))
	done
}

# quiet NAME: a round without deaths.
quiet() { tell "$1" "round 15"; }
quiet_is_over() { [ "$(rounds_of a) $(rounds_of b)" = "1 1" ]; }

begin a
begin b
quiet a
quiet b
wait_for 60 "the round without deaths" quiet_is_over
for g in a b; do
	console $g | awk '$1 == "LAT" { t = int(($2 - 1.7e12) / 650); if ($3 > m[t]) m[t] = $3 } END { for (t in m) print m[t] / 1000 }'
done | spread "without deaths, the longest latency of each 650 ms" ms
RANDOM=$seed
killer a $(((kills + 1) / 2)) &
ka=$!
RANDOM=$((seed + 1))
killer b $((kills / 2)) &
kb=$!
wait $ka || exit 1
wait $kb || exit 1
kill $events
wait $events 2>/dev/null

deaths=0
for g in a b; do
	id=$(xl domid $g)
	! console $g | grep -a '^ROUND' | grep -v 'rc=0' || fail "a round of $g failed"
	[ "$(field "$id" errors)" = 0 ] || fail "errors of $g"
	deaths=$((deaths + $(field "$id" restarts)))
	echo "OBS guest $g: $(field "$id" restarts) deaths repaired, $(field "$id" requests) requests, $(field "$id" replayed) done again," \
		"$(rounds_of $g) rounds verified"
	console $g | grep -a '^LAT' >/srv/$g.lat
	tell $g exit
	done_well $g
	nothing_of "$id"
done
nothing_left "$id"
[ $deaths -ge $((kills - kills / 20)) ] || fail "only $deaths deaths were repaired"

# The supervisor's own: from the notice of a death to the first request taken.
jq -r 'select(.event == "resumed" or (.event == "died" and (.text | startswith("stub")))) |
	[.event, .domid, (if .text | contains("hung") then "STOP" else .signal end), .outage_ms] | @tsv' </srv/events |
	awk '$1 == "died" { why[$2] = $3 } $1 == "resumed" { print why[$2], $4; why[$2] = "" }' >/srv/outages
for s in 9:SIGKILL 11:SIGSEGV STOP:SIGSTOP; do awk -v s="${s%:*}" '$1 == s { print $2 }' /srv/outages | spread "outage, supervisor, ${s#*:}" ms; done

# What the guests felt: the longest latency from each kill to the next.
for g in a b; do
	sed 's/^/K /' "/srv/$g.kills" | cat - "/srv/$g.lat" | awk '
		$1 == "K" { k[++n] = $2; sig[n] = $3 } $1 == "LAT" { i = n; while (i > 0 && k[i] > $2) i--; if (i > 0 && $3 > m[i]) m[i] = $3 }
		END { for (i = 1; i <= n; i++) if (m[i]) print sig[i], m[i] / 1000 }'
done >/srv/felt
for s in KILL SEGV STOP; do awk -v s=$s '$1 == s { print $2 }' /srv/felt | spread "longest latency in the guest after SIG$s" ms; done
