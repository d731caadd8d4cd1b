#!/bin/bash
# The short form of the campaign of tests/chaos/net.sh: numbered packets over a wire and over taps while stubs are killed.
cd "$(dirname "$0")/../.." || exit 1
KILLS=${KILLS:-50} ONLY=${ONLY:-'wire, standby|taps, plain'} exec tests/chaos/net.sh
