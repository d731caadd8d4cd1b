#!/bin/bash
# The rules of the layout as a test.
exec "$(dirname "$0")/layers.py"
