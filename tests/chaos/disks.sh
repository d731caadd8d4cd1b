# disks.sh - what the parts of `make chaos` that are about disks share: sourced, never run.
# shellcheck shell=bash
#   recorded NAME TARGET "options of chaos_guest" "options of chaos_kill" [options of attach]
#   with_fio NAME TARGET "options of fio" "options of chaos_kill" [options of attach]
# Each prints a line of the table. STALL= (60) seconds make a request a lost one.
# shellcheck source=tests/chaos/campaign.sh
. "$(dirname "${BASH_SOURCE[0]}")/campaign.sh"

# shellcheck disable=SC2034
FAULTS=(errors wrong missing repeated invented wrong_op disorder stalled)

head_line() {
	printf '%-33s %6s %6s %10s  %6s %6s %6s %6s %6s  %8s\n' variant kills taken requests error wrong missed twice invent "gap (ms)"
}
row() { # NAME, from N[]
	printf '%-33s %6d %6d %10d  %6d %6d %6d %6d %6d  %8d\n' "$1" "${N[kills]}" "${N[takeovers]}" "${N[requests]}" \
		"${N[errors]:-0}" "${N[wrong]:-0}" "${N[missing]:-0}" "${N[repeated]:-0}" "$((${N[invented]:-0} + ${N[wrong_op]:-0} + ${N[disorder]:-0}))" \
		"$((${N[gap_us]:-0} / 1000))"
}

begin() { # TARGET [options of attach]
	local target=$1
	shift
	begin_variant
	bh attach A "vdev=xvda,target=$target" "$@" >/dev/null || fail "attach $target $*"
}
takeovers() { N[takeovers]=$((${N[takeovers]:-0} + $(fact A xvda restarts))); }
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
	N[requests]=$(fact A xvda requests)
	N[errors]=$((${N[errors]:-0} + $(fact A xvda errors) + ${N[fio_errors]:-0}))
	grep -q 'verify: bad' "$T/load.err" && N[wrong]=1
	cp "$T/fio.json" "$T/load"
	settle "$name" "$bad"
	nbd_down A xvda
	end
}

head_line
