#!/bin/bash
# What is built in (recovery/net/steer_prog.h) is what tools/steer-prog makes of its source.
cd "$(dirname "$0")/../.." || exit 1
clang --version 2>/dev/null | grep -q 'version 14\.' || { echo "skip: clang 14, which it is made with, is not here" && exit 77; }
tools/steer-prog | cmp - recovery/net/steer_prog.h || { echo "FAILED: tools/steer-prog >recovery/net/steer_prog.h" && exit 1; }
