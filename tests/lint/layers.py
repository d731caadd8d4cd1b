#!/usr/bin/env python3
"""Keeps the layout true (HOUSE-STYLE): includes follow USES of the module.mk files, which form no cycle; no function is
longer than 70 lines and no file longer than 600, but for those in tests/lint/waivers; atomics stand in barrier.h only.
--print shows the graph of modules."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)
TOP = ("ring", "xenstore-glue", "recovery", "backend", "frontend")
MAX_FUNCTION, MAX_FILE = 70, 600


def modules():
    uses = {}
    for top in TOP:
        for folder, _, files in os.walk(top):
            if "module.mk" in files:
                text = open(os.path.join(folder, "module.mk")).read().replace("\\\n", " ")
                uses[folder] = set()
                for name, value in re.findall(r"^(\S+)\.USES\s*:=(.*)$", text, re.M):
                    uses.setdefault(name, set()).update(value.split())
    return uses


def closure(uses, module, path=()):
    if module in path:
        sys.exit("layers: a cycle: " + " -> ".join(path + (module,)))
    reach = {module}
    for used in uses.get(module, ()):
        reach |= closure(uses, used, path + (module,))
    return reach


def functions(lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield start, number
            start = None


def waivers():
    try:
        return {line.split("#")[0].strip() for line in open("tests/lint/waivers")} - {""}
    except FileNotFoundError:
        return set()


def check_file(path, uses, waived, bad):
    module, lines = os.path.dirname(path), open(path).read().split("\n")
    if len(lines) > MAX_FILE and path not in waived:
        bad.append(f"{path}: {len(lines)} lines, at most {MAX_FILE}")
    for start, end in functions(lines):
        if end - start > MAX_FUNCTION and f"{path}:function" not in waived:
            bad.append(f"{path}:{start}: a function of {end - start} lines, at most {MAX_FUNCTION}")
    if module.startswith("tests"):
        return
    allowed = closure(uses, module)
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            target = os.path.dirname(found.group(1))
            if target not in allowed:
                bad.append(f"{path}:{number}: {module} may not include {target or found.group(1)} (see its module.mk)")
            if found.group(1).endswith("_priv.h") and target != module:
                bad.append(f"{path}:{number}: {found.group(1)} is private to its folder")
        if re.search(r"__atomic_|__sync_|stdatomic", line) and path != "ring/base/barrier.h":
            bad.append(f"{path}:{number}: atomics belong into ring/base/barrier.h")


def main():
    uses = modules()
    if "--print" in sys.argv:
        for module in sorted(uses):
            print(f"{module:24} <- {' '.join(sorted(uses[module])) or '(nothing)'}")
        return 0
    bad, waived = [], waivers()
    for module in uses:
        closure(uses, module)
    for top in TOP + ("tests",):
        for folder, _, files in os.walk(top):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    check_file(os.path.join(folder, name), uses, waived, bad)
    print("\n".join(bad) or "layers: ok")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
