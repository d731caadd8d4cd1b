#!/bin/bash
# tests/model/run.sh [long] - checks each model of sizes.txt to the end with Spin, then with one rule after the other taken out, which
# must be found. One line each. Status 77: spin is missing.
set -u
cd "$(dirname "$0")" || exit
command -v spin >/dev/null || { echo "skip: spin is not installed"; exit 77; }
form=${1:-short}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rc=0

# NAME KIND FLAGS...: an exhaustive search, never a bitstate one; its report is in $work/out. 0: no error, to the end; 1: an error.
search() {
	local dir=$work/run kind=$2 safety=-DSAFETY how='' opt=-O1
	rm -rf "$dir"
	mkdir "$dir"
	[ "$kind" = live ] && safety=-DNFAIR=3 how="-a -f"
	# Without the formula the search for states is a fourth as long.
	if [ "$kind" = live ]; then cp "$1.pml" "$dir/m.pml"; else grep -v '^ltl ' "$1.pml" >"$dir/m.pml"; fi
	shift 2
	# What is found soon is not worth optimising for.
	[[ $* == *MUTANT_* ]] && opt=-O0
	(cd "$dir" && spin "$@" -a m.pml && gcc $opt -w $safety -DMEMLIM=3900 -o pan pan.c) >"$work/out" 2>&1 || return 2
	# shellcheck disable=SC2086
	(cd "$dir" && timeout "${MODEL_TIMEOUT:-3000}" ./pan $how -m4000000) >"$work/out" 2>&1 || return 2
	grep -qE 'Search not completed|max search depth|memory limit|out of memory' "$work/out" && ! grep -q '^pan:1:' "$work/out" && return 2
	grep -q 'errors: 0' "$work/out" && return 0
	grep -q '^pan:1:' "$work/out"; return $((1 + $?))
}

printf '%-8s %-9s %-44s %10s %7s  %s\n' model search "sizes, rule taken out" states depth verdict
while read -r when model kind flags; do
	case $when in "$form") ;; *) continue ;; esac
	args=()
	for f in $flags; do args+=("-D$f"); done
	search "$model" "$kind" "${args[@]}"
	got=$?
	want=0
	[[ $flags == *MUTANT_* ]] && want=1
	case $got in
	0) verdict="errors: 0" ;;
	1) verdict="found: $(sed -n 's/^pan:1: //p' "$work/out" | cut -c1-60)" ;;
	*) verdict="NOT FINISHED: $(tail -n 3 "$work/out" | tr '\n' ' ' | cut -c1-150)" ;;
	esac
	[ $got = $want ] || { verdict="FAILED: $verdict"; rc=1; }
	printf '%-8s %-9s %-44s %10s %7s  %s\n' "$model" "$kind" "$flags" \
		"$(awk '/states, stored/ { print $1; exit }' "$work/out")" "$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' "$work/out")" "$verdict"
done <sizes.txt
exit $rc
