#!/bin/bash
# Man pages are well formed.
cd "$(dirname "$0")/../.." || exit 1
command -v mandoc >/dev/null || { echo "skip: mandoc is not installed"; exit 77; }
shopt -s nullglob
pages=(docs/man/*.[1-8])
[ ${#pages[@]} -gt 0 ] || { echo "skip: no man pages"; exit 77; }
exec mandoc -T lint -W error "${pages[@]}"
