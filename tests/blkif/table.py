#!/usr/bin/env python3
"""tests/blkif/table.py NAME=FILE... - what each backend did, case by case, as tables for docs/conformance.md.

FILE: what the suite printed (a console's log will do: other lines are passed over; a case that ran twice counts as it ran last, n/a as it did not run).
The program in build/ says what each case rests on. A cell is the outcome; "**not**" before it: what the protocol demands was
not met, and why; "n/a": the backend does not offer it; empty: it did not run."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = os.path.join(HERE, "../..", os.environ.get("BULKHEAD_BUILD", "build/gcc"), "tests/blkif/bulkhead-blkif-suite")


def outcomes(path):
    found = {}
    for line in open(path, errors="replace"):
        m = re.search(r"VERDICT (\S+) +(ok|FAILED|n/a) +outcome=(\S+) ms=\d+ canary_ms=\d+ ?(.*)", line)
        if m and (m.group(2) != "n/a" or m.group(1) not in found):
            name, verdict, outcome, why = m.groups()
            outcome = "" if outcome == "-" else outcome.replace("+", " + ")
            why = why.strip().replace("|", "/")
            found[name] = {"ok": outcome, "n/a": "n/a", "FAILED": f"**not**: {outcome} ({why})"}[verdict]
    return found


def main():
    columns = [(name, outcomes(path)) for name, path in (a.split("=", 1) for a in sys.argv[1:])]
    listed = subprocess.run([SUITE, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    topic = None
    for name, says in (line.split(None, 1) for line in listed):
        if name.split(".")[0] != topic:
            topic = name.split(".")[0]
            print(f"\n### {topic}\n\n| case | what is said | " + " | ".join(n for n, _ in columns) + " |")
            print("|---" * (2 + len(columns)) + "|")
        print(f"| {name.split('.')[1]} | {says} | " + " | ".join(found.get(name, "") for _, found in columns) + " |")


main()
