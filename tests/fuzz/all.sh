#!/bin/bash
# Each fuzzer that `make fuzzers` built, FUZZ_SECONDS long, two at a time, from its corpus; what breaks one is kept in
# build/fuzz-found and named. With names: only these. FUZZ_GROW=1 puts what was found new into the corpus, made small again.
set -u
cd "$(dirname "$0")/../.." || exit
found=$PWD/build/fuzz-found
mkdir -p "$found"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

run() { # NAME [option...]
	local name=$1 corpus=tests/fuzz/corpus/${1#fuzz_}
	shift
	mkdir -p "$scratch/$name" "$corpus"
	"$BULKHEAD_BUILD/tests/fuzz/$name" -timeout=60 -rss_limit_mb=1024 -artifact_prefix="$found/$name-" -verbosity=0 \
		"$@" "$scratch/$name" "$corpus" >"$scratch/$name.log" 2>&1
}

fuzz() { # NAME
	if run "$1" -max_total_time="${FUZZ_SECONDS:-30}" -len_control=0 -max_len=2048 -print_final_stats=1; then
		echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$1.log") inputs, none breaks it"
	else
		tail -n 30 "$scratch/$1.log"
		echo "FAILED: $1; the input is in $found"
		return 1
	fi
	[ "${FUZZ_GROW:-}" != 1 ] || grow "$1"
}

# The smallest inputs that reach what all reach together, at most 100 of them.
grow() { # NAME
	local corpus=tests/fuzz/corpus/${1#fuzz_}
	mkdir "$scratch/$1.small"
	"$BULKHEAD_BUILD/tests/fuzz/$1" -merge=1 -use_value_profile=0 "$scratch/$1.small" "$corpus" "$scratch/$1" \
		>/dev/null 2>&1 || return
	find "$corpus" -type f ! -name 'bug-*' -delete
	find "$scratch/$1.small" -type f -printf '%s %p\n' | sort -n | head -n 100 | cut -d' ' -f2- | xargs cp -t "$corpus"
}

if [ $# -eq 0 ]; then
	cd tests/fuzz && set -- fuzz_*.c && cd ../.. || exit
	set -- "${@%.c}"
fi
rc=0
while [ $# -gt 0 ]; do
	fuzz "$1" &
	first=$!
	second=
	[ $# -lt 2 ] || { fuzz "$2" & second=$!; }
	wait $first || rc=1
	[ -z "$second" ] || wait $second || rc=1
	shift $(($# < 2 ? 1 : 2))
done
exit $rc
