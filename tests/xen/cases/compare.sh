# The same jobs in one guest on several disks in turn, interleaved in rounds: Linux's blkback, QEMU's qdisk, and ours, one disk for each
# set of options, with a standby. Ratios within each round, and how long dom0 runs for one I/O. Long: not for CI.
# DOM0_ARGS may say: jobs=rw-bs-depth+... rounds= secs= (of a job) sets=options/options (+ for the comma). Jobs named trace-...,
# not the first, count the system calls of our stubs instead, once.
# limit: 900 s
. /cases/functions.sh
exec > >(tee /dev/console) 2>&1 # who waits sees that it goes on
jobs=randread-4k-1+randwrite-4k-1+randread-4k-32+randwrite-4k-32+read-128k-8+write-128k-8+trace-randread-4k-1 rounds=3 secs=2 sets=aio=uring/aio=threads
for w in $(cat /proc/cmdline); do case $w in jobs=* | rounds=* | secs=* | sets=*) eval "${w%%=*}='${w#*=}'" ;; esac; done

requests() { bulkhead status --json | jq ".[] | select(.vdev == \"$1\") | .requests"; }

# Prints what it is told by cputimes, and counts system calls where that is meant.
watch() {
	local event job disk ns pid from
	while read -r event job disk ns; do
		echo "$event $job $disk $ns"
		case "$event $job $disk" in "BEGIN trace-"*xvd[c-z]) ;; *) continue ;; esac
		pid=$(bulkhead status --json | jq ".[] | select(.vdev == \"$disk\") | .pid")
		sleep 1
		from=$(requests "$disk")
		timeout -s INT 1 strace -c -f -o /srv/calls -p "$pid" || echo "strace $pid: $?"
		from=$(($(requests "$disk") - from))
		awk -v is="FIG $job $disk, $from requests:" '$4 ~ /^[0-9]+$/ && NF < 7 { is = is " " $4 " " $NF } END { print is }' /srv/calls
	done
}

# For each job and disk: median, lowest and highest of the rounds; latencies; ratios within a round; microseconds of dom0 per I/O.
# shellcheck disable=SC2016 # awk's
table='
function median(of, n,   i, j, a, t) {
	for (i = 1; i <= n; i++) { t = of[i]; for (j = i; j > 1 && a[j - 1] > t; j--) a[j] = a[j - 1]; a[j] = t }
	low = a[1]; high = a[n]
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function ratio(d, to,   r, x, m) {
	for (r = 1; r <= n[job, d]; r++) x[r] = v[job, to, r] ? v[job, d, r] / v[job, to, r] : 0
	m = median(x, r - 1)
	return sprintf("%.2f (%.2f .. %.2f)", m, low, high)
}
$1 == "BEGIN" { b[$2, $3] = $4 }
$1 == "END" { busy[$2, $3, ++ends[$2, $3]] = $4 - b[$2, $3] }
$1 == "FIG" && $2 !~ /^trace-/ {
	if (!($2 in known)) { known[$2] = 1; order[++njobs] = $2 }
	r = ++n[$2, $3]; v[$2, $3, r] = $4; p50[$2, $3, r] = $5; p99[$2, $3, r] = $6
}
END {
	ndisks = split(disks, disk, ","); split("blkback/qdisk/" sets, name, "/")
	printf "FIG %-15s %-24s %20s %7s %7s %21s %21s %6s\n", "job", "backend", "IOPS", "p50 us", "p99 us", "to blkback", "to qdisk", "dom0 us"
	for (i = 1; i <= njobs; i++) for (k = 1; k <= ndisks; k++) {
		job = order[i]; d = disk[k]
		for (r = 1; r <= n[job, d]; r++) {
			x[r] = v[job, d, r]; y[r] = p50[job, d, r]; z[r] = p99[job, d, r]; c[r] = busy[job, d, r] / 1000 / (x[r] * secs + 1)
		}
		r--; iops = median(x, r); iops = sprintf("%d (%d .. %d)", iops, low, high)
		printf "FIG %-15s %-24s %20s %7d %7d %21s %21s %6d\n", job, name[k], iops, median(y, r), median(z, r), ratio(d, "xvda"), ratio(d, "xvdb"), median(c, r)
	}
	printf "FIG idle, dom0 runs %.0f ms a second\n", busy["idle", "none", 1] / 1e6 / 4
}'

disks=xvda,xvdb n=2 lines='"phy:/dev/ram0,xvda,w",
"format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target=/dev/ram1"'
for o in $(echo "$sets" | tr / ' '); do
	disk=xvd$(echo $n | tr 0-7 a-h)
	disks=$disks,$disk lines="$lines,
\"vdev=$disk,access=rw,script=block-bulkhead,target=file:/dev/ram$n,$(echo "$o" | tr + ,)\""
	n=$((n + 1))
done
for i in $(seq 0 $((n - 1))); do dd if=/dev/zero of="/dev/ram$i" bs=1M count=64 status=none 2>/dev/null; done
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
insmod /modules/xen-blkback.ko
start_world --disks marked
KERNEL_ARGS="disks=$disks jobs=$(echo "$jobs" | tr + ,) rounds=$rounds"
guest c compare "$secs" "disk=[ $lines ]"
id=$(xl domid c)
wait_for 40 "the disks are there" says c 'GUEST DISK'
cputimes /var/log/xen/guest-c.log | watch | tee /srv/times # nothing else runs here meanwhile
console c | grep -aE 'blkfront|GUEST'
says c 'GUEST compare rc=0' || fail "the guest's job failed"
bulkhead status
awk -v secs="$secs" -v sets="$sets" -v disks="$disks" "$table" /srv/times
gone c
nothing_left "$id"
