# campaign.sh - what all parts of `make chaos` share: sourced, never run.
# shellcheck shell=bash
#   share NUMBER            this part has so many variants: each kills KILLS / NUMBER times
#   anew                    a new world, whose keeper has no deaths of daemons on its account
#   settle NAME BAD         ends a variant
#   verdict                 the sum of all variants; exits with 1 if anything was wrong
# Of who sources it: FAULTS, the names in N[] that must be 0; head_line and row, of the table. KILLS= (200) and SEED= are taken.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/functions.sh"

need jq
KILLS=${KILLS:-200}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
TOOLS=$BUILD/tests/chaos
LOG_SEEN=0
VARIANT=0
EACH=$KILLS
KINDS=(stub_kill stub_segv stub_abrt stub_stop in_resume standby super store)

anew() {
	[ ! -S "$BULKHEAD_RUNTIME_DIR/ctl.sock" ] || world_down
	world_up
	bh create A >/dev/null || fail create
}
share() { EACH=$(((KILLS + $1 - 1) / $1)); }

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

# Ends a variant: its line, its share of the sum, and whether it was right.
settle() { # NAME BAD
	local name=$1 bad=$2 k
	for k in "${FAULTS[@]}"; do [ "${N[$k]:-0}" = 0 ] || bad="$bad $k=${N[$k]}"; done
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

begin_variant() {
	VARIANT=$((VARIANT + 1))
	N=()
	: >"$T/load.err"
	: >"$T/load"
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
fact() { # VM DEVICE WHAT
	local v
	for _ in $(seq 50); do
		v=$(field "$1" "$2" "$3" 2>/dev/null)
		[ -z "$v" ] || break
		sleep 0.2
	done
	echo "${v:-0}"
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
