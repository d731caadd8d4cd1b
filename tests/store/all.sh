#!/bin/bash
# Our store against itself, and against itself killed and restarted; STORE_SECONDS each. docs/testing.md, "Store comparison".
set -u
cd "$(dirname "$0")/../.." || exit
command -v python3 >/dev/null || { echo "skip: python3 is not installed"; exit 77; }
rc=0
for how in "" --restart; do
	# shellcheck disable=SC2086
	tests/store/compare.py --seconds "${STORE_SECONDS:-6}" $how || rc=1
done
exit $rc
