#!/bin/bash
# all.sh RESULTS - every part of the chaos, its table on the screen and in build/chaos-report, a line for each in RESULTS, as
# tests/run writes them. KILLS= for each part (10000), SEED=, PARTS="kills mixed slow net".
set -u
cd "$(dirname "$0")/../.." || exit 1
export KILLS=${KILLS:-10000} SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
status=0
: >build/chaos-report
for part in ${PARTS:-kills mixed slow net}; do
	printf '== chaos: %s\n' "$part" | tee -a build/chaos-report
	timeout -k 30 $((KILLS + 200)) "tests/chaos/$part.sh" 2>&1 | tee -a build/chaos-report
	rc=${PIPESTATUS[0]}
	case $rc in
	0) line="1 0 0" ;;
	77) line="0 0 1" ;;
	*) line="0 1 0" status=1 ;;
	esac
	echo "$line chaos:$part" >>"$1"
done
[ $status = 0 ] && echo "chaos: PASSED" || echo "chaos: FAILED"
exit $status
