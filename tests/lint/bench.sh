#!/bin/bash
# docs/benchmarks.md has a table for every bench, and tools/bench-docs replaces tables and nothing else.
cd "$(dirname "$0")/../.." || exit 1
command -v python3 >/dev/null || { echo "skip: python3 is not installed"; exit 77; }
bench=${BULKHEAD_BUILD:-build/gcc}/bin/bulkhead-bench
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "bench: $*"; exit 1; }

# Each once, and closed before the next.
awk '/^<!-- bench:.* -->$/ { if (open) exit 1; open = 1 } /^<!-- end -->$/ { if (!open) exit 1; open = 0 } END { if (open) exit 1 }' \
	docs/benchmarks.md || fail "docs/benchmarks.md: markers do not pair"
if [ -x "$bench" ]; then
	for name in $("$bench" --list); do
		[ "$(grep -cx "<!-- bench:$name -->" docs/benchmarks.md)" = 1 ] || fail "docs/benchmarks.md has no table for $name"
	done
fi

cat >"$tmp/doc.md" <<-'END'
	before
	<!-- bench:one -->
	old
	<!-- end -->
	between
	<!-- bench:two -->
	<!-- end -->
	after
END
result() { # NAME MEDIAN
	tools/bench-docs --machine
	echo '{"bench":"'"$1"'","variant":"v","params":"depth=1","unit":"us","rounds":3,"baseline":null,"median":'"$2"',"low":0.5,"high":2000.4,"p99":12.345,"ratio":null}'
}
result one 1.25 >"$tmp/one.json"
result two 4 >"$tmp/two.json"
result three 4 >"$tmp/three.json"
tools/bench-docs "$tmp/doc.md" "$tmp/one.json" "$tmp/two.json" || fail "it failed"
grep -qxF '| v | depth=1 | us | 1.250 | 12.35 | 0.500 .. 2000 | 3 |  |  |' "$tmp/doc.md" || fail "not the row that was wanted"
[ "$(sed '/^<!-- bench/,/^<!-- end/d' "$tmp/doc.md" | tr '\n' ' ')" = "before between after " ] || fail "other text was changed"
! grep -q old "$tmp/doc.md" || fail "the old table is still there"
cp "$tmp/doc.md" "$tmp/first.md"
tools/bench-docs "$tmp/doc.md" "$tmp/two.json" "$tmp/one.json" || fail "it failed the second time"
cmp "$tmp/first.md" "$tmp/doc.md" || fail "the same results gave another document"
! tools/bench-docs "$tmp/doc.md" "$tmp/three.json" 2>"$tmp/err" || fail "a table that is not there was not missed"
grep -q 'bench:three' "$tmp/err" || fail "the error does not name the table"
