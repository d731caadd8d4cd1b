# campaign.sh - what the parts of `make chaos` share: sourced, never run.
# shellcheck shell=bash
#   share NUMBER            this part has so many variants: each kills KILLS / NUMBER times
#   anew                    a new world, whose keeper has no deaths of daemons on its account
#   recorded NAME TARGET "options of chaos_guest" "options of chaos_kill" [options of attach]
#   with_fio NAME TARGET "options of fio" "options of chaos_kill" [options of attach]
#   verdict                 the sum of all variants; exits with 1 if anything was wrong
# Each prints a line of the table. KILLS= (200) and SEED= are taken; STALL= (60) seconds make a request a lost one.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/functions.sh"

need jq
KILLS=${KILLS:-200}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
TOOLS=$BUILD/tests/chaos
LOG_SEEN=0
VARIANT=0
EACH=$KILLS
KINDS=(stub_kill stub_segv stub_abrt stub_stop in_resume standby super store)
FAULTS=(errors wrong missing repeated invented)

anew() {
	[ ! -S "$BULKHEAD_RUNTIME_DIR/ctl.sock" ] || world_down
	world_up
	bh create A >/dev/null || fail create
}
share() { EACH=$((KILLS / $1 > 0 ? KILLS / $1 : 1)); }

# Adds the "name=value" lines of a file to N[]; of gap_us the largest is kept.
declare -A N SUM
add() {
	local name value
	while IFS='=' read -r name value; do
		case $name in
		gap_us) [ "$value" -le "${N[gap_us]:-0}" ] || N[gap_us]=$value ;;
		*) N[$name]=$((${N[$name]:-0} + value)) ;;
		esac
	done <"$1"
}

deaths_by() { grep -acE "killed by signal ($1) " "$T/log.part"; }
# What the daemons say, and what dies, only when something is wrong that no kill explains.
complaints() {
	tail -n "+$((LOG_SEEN + 1))" "$T/run/log" >"$T/log.part"
	LOG_SEEN=$(wc -l <"$T/run/log")
	N[hung]=$(grep -ac 'by us: it hung' "$T/log.part")
	grep -aE 'poison|corrupt|broken|given up|mismatch|CHECK|damaged|exited with status [1-9]|runtime error|Sanitizer|killed by signal (4|7|8|31) ' \
		"$T/log.part" >"$T/complaints"
	[ "$(deaths_by 11)" -le "${N[stub_segv]:-0}" ] || echo "$(deaths_by 11) deaths by SIGSEGV, not all by us" >>"$T/complaints"
	[ "$(deaths_by 6)" -le "${N[stub_abrt]:-0}" ] || echo "$(deaths_by 6) deaths by SIGABRT, not all by us" >>"$T/complaints"
	[ -s "$T/complaints" ]
}

head_line() {
	printf '%-33s %6s %6s %10s  %6s %6s %6s %6s %6s  %8s\n' variant kills taken requests error wrong missed twice invent "gap (ms)"
}
row() { # NAME, from N[]
	printf '%-33s %6d %6d %10d  %6d %6d %6d %6d %6d  %8d\n' "$1" "${N[kills]}" "${N[takeovers]}" "${N[requests]}" \
		"${N[errors]:-0}" "${N[wrong]:-0}" "${N[missing]:-0}" "${N[repeated]:-0}" "$((${N[invented]:-0} + ${N[wrong_op]:-0} + ${N[disorder]:-0}))" \
		"$((${N[gap_us]:-0} / 1000))"
}

# Ends a variant: its line, its share of the sum, and whether it was right.
settle() { # NAME BAD
	local name=$1 bad=$2 k
	for k in "${FAULTS[@]}" wrong_op disorder stalled; do [ "${N[$k]:-0}" = 0 ] || bad="$bad $k=${N[$k]}"; done
	[ "${N[kills]:-0}" -gt 0 ] || bad="$bad no-kill"
	complaints && bad="$bad log"
	row "$name"
	for k in "${!N[@]}"; do
		if [ "$k" = gap_us ]; then
			[ "${N[gap_us]}" -le "${SUM[gap_us]:-0}" ] || SUM[gap_us]=${N[gap_us]}
		else
			SUM[$k]=$((${SUM[$k]:-0} + N[$k]))
		fi
	done
	[ -n "$bad" ] || return 0
	echo "FAILED: $name:$bad (SEED=$SEED)"
	sed 's/^/    | /' "$T/complaints"
	tail -n 100 "$T/load.err" | sed 's/^/    > /'
	keep_evidence "$name"
	exit 1
}
keep_evidence() {
	local to
	to=build/chaos-failed-$(basename "$0" .sh)
	mkdir -p "$to"
	cp -r "$T/log.part" "$T/load.err" "$T/load" "$to/" 2>/dev/null
	bh status >"$to/status" 2>&1
	echo "$1 SEED=$SEED: the daemons' log and the load's words are in $to"
}

begin() { # TARGET [options of attach]
	local target=$1
	shift
	VARIANT=$((VARIANT + 1))
	N=()
	: >"$T/load.err"
	bh attach A "vdev=xvda,target=$target" "$@" >/dev/null || fail "attach $target $*"
}
# Kills until N[kills] is $EACH or the load ends; the seed is of this variant and of how far it is.
kill_while() { # PID OPTIONS...
	local pid=$1
	shift
	"$TOOLS/chaos_kill" "$BULKHEAD_RUNTIME_DIR" $((EACH - ${N[kills]:-0})) $((SEED + 1000 * VARIANT + ${N[kills]:-0})) \
		"while=$pid" "$@" >"$T/killed" 2>>"$T/load.err"
	local rc=$?
	add "$T/killed"
	return $rc
}
# A fact of the status, from a supervisor that may just be starting again.
fact() {
	local v
	for _ in $(seq 50); do
		v=$(field A xvda "$1" 2>/dev/null)
		[ -z "$v" ] || break
		sleep 0.2
	done
	echo "${v:-0}"
}
takeovers() { N[takeovers]=$((${N[takeovers]:-0} + $(fact restarts))); }
end() {
	bh detach A xvda >/dev/null || fail "detach: $(bh status)"
}

recorded() {
	local name=$1 target=$2 guest=$3 killer=$4 pid bad=""
	shift 4
	begin "$target" "$@"
	# shellcheck disable=SC2086
	"$TOOLS/chaos_guest" "$BULKHEAD_RUNTIME_DIR" A xvda $((SEED + 1000 * VARIANT)) "stall=${STALL:-60}" $guest >"$T/load" 2>>"$T/load.err" &
	pid=$!
	# shellcheck disable=SC2086
	kill_while $pid $killer || bad=" not-up"
	takeovers
	kill -TERM $pid 2>/dev/null
	wait $pid || bad="$bad guest=$?"
	add "$T/load"
	settle "$name" "$bad"
	end
}

# The fio_... of a run that is over, as "name=value" lines.
fio_facts() {
	sed -n '/^{/,$p' "$T/fio.json" | jq -r '"fio_errors=\([.jobs[].error | if . == 0 then 0 else 1 end] | add)",
		"gap_us=\([.jobs[] | .read.clat_ns.max, .write.clat_ns.max] | max / 1000 | floor)"' >"$T/fio.facts" 2>/dev/null || return 1
	add "$T/fio.facts"
}

with_fio() {
	local name=$1 target=$2 opts=$3 killer=$4 pid bad="" leg=0 secs
	shift 4
	begin "$target" "$@"
	nbd_up A xvda
	while [ "${N[kills]:-0}" -lt "$EACH" ] && [ -z "$bad" ] && [ $leg -lt 100 ]; do
		leg=$((leg + 1))
		secs=$(((EACH - ${N[kills]:-0}) / 12 + 2))
		# shellcheck disable=SC2086
		fio --name=x --ioengine=nbd --uri="$(uri A xvda)" --rw=randwrite --bs=4k --size=16M --iodepth=16 --time_based \
			--runtime=$((secs < 40 ? secs : 40)) --verify=crc32c --verify_fatal=1 --verify_backlog=128 --verify_state_save=0 \
			--randrepeat=0 --randseed=$((SEED + 1000 * VARIANT + leg)) --output-format=json --output="$T/fio.json" $opts \
			>>"$T/load.err" 2>&1 &
		pid=$!
		# shellcheck disable=SC2086
		kill_while $pid $killer || bad=" not-up"
		wait $pid || bad="$bad fio=$?"
		fio_facts || bad="$bad no-report"
	done
	takeovers
	N[requests]=$(fact requests)
	N[errors]=$((${N[errors]:-0} + $(fact errors) + ${N[fio_errors]:-0}))
	grep -q 'verify: bad' "$T/load.err" && N[wrong]=1
	cp "$T/fio.json" "$T/load"
	settle "$name" "$bad"
	nbd_down A xvda
	end
}

verdict() {
	local k line=""
	N=()
	for k in "${!SUM[@]}"; do N[$k]=${SUM[$k]}; done
	row "all of this part"
	for k in "${KINDS[@]}"; do line="$line $k ${N[$k]:-0},"; done
	echo "kills:${line%,}; found hung by the supervisor: ${N[hung]:-0}"
	echo "0 failures in ${N[kills]} kills: with 95 % confidence fewer than $(awk "BEGIN { printf \"%.3f\", 300 / ${N[kills]} }") % of kills do harm (3/n)"
}

echo "KILLS=$KILLS SEED=$SEED"
head_line
