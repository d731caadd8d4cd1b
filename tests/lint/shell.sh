#!/bin/bash
# Shell scripts pass shellcheck.
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || { echo "skip: shellcheck is not installed"; exit 77; }
mapfile -t scripts < <(grep -lE '^#!/bin/(ba)?sh' -r tools tests .ci 2>/dev/null)
exec shellcheck -x -P tests/e2e -e SC1091,SC2317,SC2119,SC2120,SC2015 "${scripts[@]}"
