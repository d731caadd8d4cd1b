#!/bin/bash
# Each fuzzer that `make fuzzers` built, FUZZ_SECONDS long; what breaks one is kept in build/fuzz-found and named.
set -u
cd "$(dirname "$0")/../.." || exit
found=$PWD/build/fuzz-found
mkdir -p "$found"
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
rc=0
for src in tests/fuzz/fuzz_*.c; do
	name=$(basename "$src" .c)
	mkdir "$corpus/$name"
	if "$BULKHEAD_BUILD/tests/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-30}" -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix="$found/$name-" -verbosity=0 -print_final_stats=1 "$corpus/$name" >"$corpus/log" 2>&1; then
		echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus/log") inputs, none breaks it"
	else
		rc=1
		tail -n 30 "$corpus/log"
		echo "FAILED: $name; the input is in $found"
	fi
done
exit $rc
