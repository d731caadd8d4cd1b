#!/bin/bash
# Chaos of the network: two VMs, the stubs of both killed at random moments; numbered packets both ways at full rate, over a wire and over
# taps on a bridge, and one TCP connection full both ways. Of each queue and death at most one packet for the guest is lost and at most
# one of the guest's is repeated, what the taps' own queues dropped counted apart; none is corrupted; TCP never resets.
# ONLY= takes the variants whose names match. Taps need root.
[ -n "${BULKHEAD_NETNS:-}" ] || [ "$(id -u)" != 0 ] || BULKHEAD_NETNS=1 exec unshare -n "$0" "$@"
# shellcheck source=tests/chaos/campaign.sh
. "$(dirname "$0")/campaign.sh"

need ip python3
[ -x "$BUILD/bin/bulkhead-netfront" ] || fail "no bulkhead-netfront: run make"
# shellcheck disable=SC2034
FAULTS=(corrupted foreign too_many_lost too_many_repeated tcp_wrong tcp_reset)
N_NS=bhc$$
DOM_A=1 DOM_B=2 # domids, in a new world

head_line() {
	printf '%-28s %6s %6s %11s %6s %6s %6s %6s %10s %9s %6s  %8s\n' variant kills taken packets lost repeat corrup refuse taps-drop TCP-MB reset "gap (ms)"
}
row() { # NAME, from N[]
	printf '%-28s %6d %6d %11d %6d %6d %6d %6d %10d %9d %6d  %8d\n' "$1" "${N[kills]}" "${N[takeovers]:-0}" "${N[received]:-0}" \
		"${N[lost]:-0}" "${N[repeated]:-0}" "${N[corrupted]:-0}" "${N[refused]:-0}" "${N[dropped]:-0}" "$((${N[tcp_bytes]:-0} / 1000000))" \
		"${N[tcp_reset]:-0}" "$((${N[gap_us]:-0} / 1000))"
}

world() {
	anew
	bh create B >/dev/null || fail create
}

# The vifs of both, over a wire or on a bridge.
attach() { # pair|tap [options of attach]
	local kind=$1 vm i=0 options=()
	shift
	for vm in A B; do
		i=$((i + 1))
		options=("mac=00:16:3e:00:00:0$i,bridge=br0")
		[ "$kind" = tap ] || options=(params=pair:wire)
		bh attach $vm vif "${options[@]}" "$@" >/dev/null || fail "attach $vm"
	done
}
none_left() { [ "$(bh status --json)" = "[]" ]; }
detach() {
	local vm
	for vm in A B; do bh detach $vm vif0 --force >/dev/null || fail "detach: $(bh status)"; done
	wait_for 10 "end of both" none_left
}
takeovers() { N[takeovers]=$((${N[takeovers]:-0} + $(fact A vif0 restarts) + $(fact B vif0 restarts))); }

# Packets that the kernel's own queue before the tap of a VM has dropped so far; so many for it did not even reach its stub.
dropped() { # VM
	local tap
	tap=$(fact "$1" vif0 net.interface)
	{
		ip -s -j link show "$tap" | jq '.[0].stats64.tx.dropped'
		tc -s -j qdisc show dev "$tap" | jq '[.[].drops // 0] | add // 0'
	} | awk '{ n += $1 } END { print n + 0 }'
}

said() { sed -n "s/^$1: \([0-9]*\).*/\1/p" "$T/load"; }
# What a run of verify said of one way: to the books, lost ones without what the tap's queue dropped.
book() { # out|back DROPPED
	local way=$1 drops=$2 k lost
	for k in sent received repeated corrupted foreign refused; do N[$k]=$((${N[$k]:-0} + $(said "${way}_$k"))); done
	lost=$(($(said "${way}_lost") - $(said "${way}_refused") - drops))
	[ $lost -ge 0 ] || lost=0 # what was dropped was another's
	N[lost]=$((${N[lost]:-0} + lost))
	N[lost_$way]=$((${N[lost_$way]:-0} + lost))
	N[repeated_$way]=$((${N[repeated_$way]:-0} + $(said "${way}_repeated")))
	N[dropped]=$((${N[dropped]:-0} + drops))
	echo "gap_us=$(said "${way}_gap_max_us")" >"$T/gap"
	add "$T/gap"
}

# Out goes from A, whose stub may repeat, to B, whose stub may lose.
judge() { # QUEUES
	local a=$((${N[stubs_of_$DOM_A]:-0} * $1)) b=$((${N[stubs_of_$DOM_B]:-0} * $1))
	[ "${N[lost_out]}" -le $b ] && [ "${N[lost_back]}" -le $a ] || N[too_many_lost]=1
	[ "${N[repeated_out]}" -le $a ] && [ "${N[repeated_back]}" -le $b ] || N[too_many_repeated]=1
}

numbered() { # NAME KIND QUEUES "options of chaos_kill" [options of attach]
	local name=$1 kind=$2 queues=$3 killer=$4 pid vm bad="" drops=(0 0)
	shift 4
	begin_variant
	attach "$kind" -o queues="$queues" "$@"
	[ "$kind" = pair ] || drops=("$(dropped A)" "$(dropped B)")
	"$BUILD/bin/bulkhead-netfront" --domain A --peer B --queues "$queues" --seconds 100000 --seed $((SEED + 1000 * VARIANT)) verify \
		>"$T/load" 2>>"$T/load.err" &
	pid=$!
	for vm in A B; do wait_for 20 "connection of $vm" state_is $vm vif0 up; done
	# shellcheck disable=SC2086
	kill_while $pid stub=bulkhead-net $killer || bad=" not-up"
	for vm in A B; do wait_for 60 "last stub of $vm" state_is $vm vif0 up; done
	kill -TERM $pid
	wait $pid || bad="$bad verify=$?"
	[ -n "$(said back_sent)" ] || bad="$bad no-report"
	[ "$kind" = pair ] || drops=($(($(dropped A) - drops[0])) $(($(dropped B) - drops[1])))
	[ -n "$bad" ] || { book out "${drops[1]}" && book back "${drops[0]}" && judge "$queues"; }
	takeovers
	settle "$name" "$bad"
	detach
}

# Each VM's interface in a namespace, with the address 198.18.0.NUMBER.
guests_up() {
	local vm i=0
	GUESTS=()
	for vm in A B; do
		i=$((i + 1))
		ip netns add "$N_NS$vm" || fail "ip netns add"
		"$BUILD/bin/bulkhead-netfront" --domain $vm --netns "$N_NS$vm" --tap eth0 tap >>"$T/load.err" 2>&1 &
		GUESTS+=($!)
		wait_for 20 "connection of $vm" state_is $vm vif0 up
		wait_for 20 "interface of $vm" ip -n "$N_NS$vm" link show eth0
		ip -n "$N_NS$vm" addr add 198.18.0.$i/24 dev eth0
		ip -n "$N_NS$vm" link set eth0 up
	done
}
guests_down() {
	kill "${GUESTS[@]}" 2>/dev/null
	wait "${GUESTS[@]}" 2>/dev/null
	GUESTS=()
	for vm in A B; do ip netns del "$N_NS$vm" 2>/dev/null; done
}

stream() { # NAME QUEUES "options of chaos_kill" [options of attach]
	local name=$1 queues=$2 killer=$3 pid server bad=""
	shift 3
	begin_variant
	attach tap -o queues="$queues" "$@"
	guests_up
	ip netns exec "${N_NS}B" tests/chaos/tcp_stream.py listen 7000 >"$T/server" 2>>"$T/load.err" &
	server=$!
	ip netns exec "${N_NS}A" tests/chaos/tcp_stream.py connect 198.18.0.2 7000 >"$T/load" 2>>"$T/load.err" &
	pid=$!
	wait_for 20 "TCP connection" grep -q connected "$T/load"
	# shellcheck disable=SC2086
	kill_while $pid stub=bulkhead-net $killer || bad=" not-up"
	kill -TERM $pid 2>/dev/null
	wait $pid || bad="$bad client=$?"
	wait $server || bad="$bad server=$?"
	add "$T/load"
	add "$T/server"
	takeovers
	settle "$name" "$bad"
	guests_down
	detach
}

plain="standby=0 both=0"
mix="faults=15 super=4 store=3 all=4"
VARIANTS=("wire, standby" "wire, plain, 2 queues" "wire, mixed")
if [ "$(id -u)" = 0 ] && [ -e /dev/net/tun ]; then
	ip link set lo up
	# Nothing but the test's own packets is to pass a tap.
	sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	ip link add br0 type bridge mcast_snooping 0 || skip "no bridges here"
	ip link set br0 up
	at_exit guests_down
	VARIANTS+=("taps, standby, 2 queues" "taps, plain" "taps, mixed" "TCP, standby" "TCP, plain, 2 queues" "TCP, mixed")
fi
GUESTS=()

variant() {
	case $1 in
	"wire, standby") numbered "$1" pair 1 "" ;;
	"wire, plain, 2 queues") numbered "$1" pair 2 "$plain" -o standby=no ;;
	"wire, mixed") numbered "$1" pair 2 "$mix" ;;
	"taps, standby, 2 queues") numbered "$1" tap 2 "" ;;
	"taps, plain") numbered "$1" tap 1 "$plain" -o standby=no ;;
	"taps, mixed") numbered "$1" tap 2 "$mix" ;;
	"TCP, standby") stream "$1" 1 "" ;;
	"TCP, plain, 2 queues") stream "$1" 2 "$plain" -o standby=no ;;
	"TCP, mixed") stream "$1" 2 "$mix" ;;
	esac
}

RUN=()
for v in "${VARIANTS[@]}"; do [[ $v =~ ${ONLY:-.} ]] && RUN+=("$v"); done
share ${#RUN[@]}
head_line
for v in "${RUN[@]}"; do
	world
	variant "$v"
done
verdict
