#!/usr/bin/env python3
"""The same random sequences of operations against two stores: replies, errors, watch events and the trees must be the same.

compare.py [--a SPEC] [--b SPEC] [--restart] [--seconds N] [--steps N] [--replay FILE] [--keep DIR]
SPEC: ours | cmd:COMMAND (a store that serves $XENSTORED_RUNDIR/socket) | unix:PATH. --restart: the second one (ours) is killed at
random moments and started again. $SEED repeats a run; a sequence that fails is made shorter and kept as a script for --replay.
"""
import argparse
import json
import os
import random
import sys
import time

import judge
from peers import OPS, Closed, make
from sequence import TOP, Generator

TX_UNKNOWN = 0x7FFFFFF0


class Difference(Exception):
    pass


class Parted(Exception):
    """A difference that is known, behind which a sequence can't be compared any more."""


class Side:
    """One store and the clients of a sequence."""

    def __init__(self, spec, domids):
        self.store, self.domids = make(spec), domids
        if self.store.has_domains:
            for d in sorted(set(domids) - {0}):
                assert self.store.introduce(d) == 0
        self.conns, self.tx, self.dead, self.denied = [], {}, set(), set()
        self.call(self.store.connect(0), "MKDIR", 0, [TOP])
        self.call(self.store.connect(0), "SET_PERMS", 0, [TOP, "b0"])
        self.reconnect_all()

    @staticmethod
    def call(conn, op, tx, args, tail=None):
        body = b"".join(a.encode("latin-1") + b"\0" for a in args)
        return conn.call(OPS[op], tx, body if tail is None else body + tail.encode("latin-1"))

    def alive(self, client):
        return self.conns[client] is not None

    def reconnect(self, client):
        if self.conns[client]:
            self.conns[client].sock.close()
        self.tx = {k: v for k, v in self.tx.items() if k[0] != client}
        d = self.domids[client]
        gone = d != 0 and d not in self.store.domains
        self.conns[client] = None if gone else self.store.connect(d)

    def reconnect_all(self):
        self.conns = [None] * len(self.domids)
        self.tx = {}
        for c in range(len(self.domids)):
            self.reconnect(c)

    def restart(self):
        self.store.kill()
        self.store.start()
        self.reconnect_all()

    def forget_connections(self):
        """What a restart does legally: watches, transactions and connections end."""
        for c in self.conns:
            if c:
                c.sock.close()
        if self.store.has_domains:
            self.store.meet_hub()
        self.reconnect_all()

    def domain(self, what, domid):
        if not self.store.has_domains or (what == "INTRODUCE_DOMAIN") == (domid in self.store.domains):
            return "no change"
        if what == "RELEASE_DOMAIN":
            rc = self.store.release(domid)
            self.dead.add(b"%d" % domid)
            for c, d in enumerate(self.domids):
                if d == domid and self.conns[c]:
                    self.conns[c].sock.close()
                    self.conns[c] = None
                    self.tx = {k: v for k, v in self.tx.items() if k[0] != c}
            return rc
        rc = self.store.introduce(domid)
        for c, d in enumerate(self.domids):
            if d == domid and not self.conns[c]:
                self.reconnect(c)
        return rc

    def step(self, s):
        """The reply, as (type, payload). A store may close a connection on what is no message; the client comes again."""
        try:
            return self.try_step(s)
        except Closed:
            self.reconnect(s[0])
            return "closed", b""

    def try_step(self, s):
        client, what, args = s[0], s[1], s[2:]
        if what in ("RELEASE_DOMAIN", "INTRODUCE_DOMAIN"):
            return self.domain(what, args[0]), b""
        if what == "RECONNECT":
            self.reconnect(client)
            return "-", b""
        conn = self.conns[client]
        if not conn:
            return "gone", b""
        if what == "START":
            kind, body = self.call(conn, "TRANSACTION_START", 0, [], "\0")
            if kind != "ERROR":
                self.tx[client, args[0]] = int(body[:-1])
            return kind, body if kind == "ERROR" else b""
        if what == "END":
            return self.call(conn, "TRANSACTION_END", self.tx.pop((client, args[0]), TX_UNKNOWN), [args[1]])
        if what in ("WATCH", "UNWATCH"):
            return self.call(conn, what, 0, args)
        if what == "RAW":
            return conn.call(args[0], 0, args[1].encode("latin-1"))
        if what in ("GET_DOMAIN_PATH", "IS_DOMAIN_INTRODUCED"):
            return self.call(conn, what, 0, args)
        tx = 0 if args[0] == 0 else self.tx.get((client, args[0]), TX_UNKNOWN)
        if what == "RESET_WATCHES":
            self.tx = {k: v for k, v in self.tx.items() if k[0] != client}
            return self.call(conn, what, tx, [], "\0")
        if what == "WRITE":
            return self.call(conn, what, tx, args[1:2], args[2])
        return self.call(conn, what, tx, args[1:])

    def events(self):
        return [c.take_events() if c else None for c in self.conns]

    def tree(self):
        """path -> (value, permissions, children), of all that domain 0 sees."""
        conn, out, todo = self.store.connect(0), {}, ["/"]
        while todo:
            path = todo.pop()
            kind, kids = self.call(conn, "DIRECTORY", 0, [path])
            if kind == "ERROR" and kids == b"E2BIG\0":
                kids = b""
            elif kind == "ERROR":
                out[path] = kids
                continue
            names = sorted(k.decode("latin-1") for k in kids.split(b"\0")[:-1])
            out[path] = (self.call(conn, "READ", 0, [path]), self.call(conn, "GET_PERMS", 0, [path]), names)
            todo += [("" if path == "/" else path) + "/" + n for n in names]
        conn.sock.close()
        return out

    def close(self):
        self.store.close()


def differ(i, step, what, a, b):
    raise Difference("step %d %s: %s\n  a: %s\n  b: %s" % (i, json.dumps(step)[:300], what, str(a)[:600], str(b)[:600]))


def same_tree(i, step, a, b):
    for path in sorted(set(a) | set(b)):
        if a.get(path) != b.get(path):
            differ(i, step, "the tree at " + path[:100], a.get(path), b.get(path))


def killed_in(i, step, a, b):
    """b dies with a request under way: afterwards it was done wholly or not at all."""
    what, path = step[2], step[3]
    conn = b.store.connect(0)
    body = path.encode("latin-1") + b"\0" + (b"late" if what == "WRITE" else b"")
    conn.send(OPS[what], 0, body)
    b.restart()
    a.forget_connections()
    after, before = b.tree(), a.tree()
    if after == before:
        return
    a.call(a.store.connect(0), what, 0, [path], "late" if what == "WRITE" else None)
    same_tree(i, step, a.tree(), after)


def run_steps(steps, a, b, real):
    for i, step in enumerate(steps):
        if step[1] == "RESTART":
            b.restart()
            a.forget_connections()
            same_tree(i, step, a.tree(), b.tree())
        elif step[1] == "KILLED_IN":
            killed_in(i, step, a, b)
        else:
            one_step(i, step, a, b, real)
    same_tree(len(steps), ["end"], judge.tree(a.tree(), real, a.dead), judge.tree(b.tree(), real, a.dead))


def one_step(i, step, a, b, real):
    ra, rb = a.step(step), b.step(step)
    if judge.reply(step, ra) != judge.reply(step, rb) and not (real and judge.known(step, ra, rb, a.dead)):
        if real and judge.parts(step, rb, a.denied):
            raise Parted
        differ(i, step, "replies", ra, rb)
    if ra == ("ERROR", b"EACCES\0") and judge.transaction(step):
        a.denied.add(judge.transaction(step))
    for c, (ea, eb) in enumerate(zip(a.events(), b.events())):
        if ea != eb and not (real and judge.known_events(step, ea, eb)):
            differ(i, step, "events of client %d" % c, ea, eb)


def run(steps, specs, domids):
    """None, or what differs."""
    sides = []
    try:
        sides = [Side(s, domids) for s in specs]
        run_steps(steps, sides[0], sides[1], specs[1] != "ours")
        return None
    except Parted:
        return None
    except Difference as d:
        return str(d)
    except (Closed, TimeoutError, OSError) as e:
        return "a store went away: %r" % e
    finally:
        for s in sides:
            s.close()


def shrink(steps, specs, domids, budget):
    """Delta debugging: leaves out what is not needed for a difference."""
    end, n = time.monotonic() + budget, 2
    while len(steps) > 1 and time.monotonic() < end:
        size = max(1, len(steps) // n)
        for at in range(0, len(steps), size):
            fewer = steps[:at] + steps[at + size:]
            if fewer and run(fewer, specs, domids):
                steps, n = fewer, max(2, n - 1)
                break
            if time.monotonic() > end:
                break
        else:
            if size == 1:
                break
            n = min(len(steps), n * 2)
    return steps


def report(seed, steps, specs, domids, keep, found):
    print(found)
    steps = shrink(steps, specs, domids, 60)
    os.makedirs(keep, exist_ok=True)
    path = "%s/store-%d.json" % (keep, seed)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"a": specs[0], "b": specs[1], "domids": domids, "steps": steps}, f, indent=0)
    print("%d steps are enough; again with: tests/store/compare.py --replay %s" % (len(steps), path))
    for s in steps[-12:]:
        print("   ", json.dumps(s)[:200])
    print(run(steps, specs, domids) or "(this time there was no difference)")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--a", default="ours")
    p.add_argument("--b", default="ours")
    p.add_argument("--restart", action="store_true")
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--replay")
    p.add_argument("--keep", default="build/store-found")
    o = p.parse_args()
    if o.replay:
        with open(o.replay, encoding="utf-8") as f:
            j = json.load(f)
        found = run(j["steps"], [j["a"], j["b"]], j["domids"])
        print(found or "no difference")
        return 1 if found else 0
    specs = [o.a, o.b]
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    domids = [0, 0, 1, 2] if all(x.split(":")[0] != "unix" for x in specs) else [0, 0, 0]
    end, runs, total = time.monotonic() + o.seconds, 0, 0
    while runs == 0 or time.monotonic() < end:
        g = Generator(random.Random(seed + runs), domids, o.restart, specs[1] != "ours")
        steps = [g.step() for _ in range(o.steps)]
        found = run(steps, specs, domids)
        if found:
            print("SEED=%d (run %d of SEED=%d): the stores differ" % (seed + runs, runs, seed))
            report(seed + runs, steps, specs, domids, o.keep, found)
            return 1
        runs, total = runs + 1, total + len(steps)
    print("%s and %s%s: the same in %d sequences, %d operations (SEED=%d)" %
          (o.a, o.b, " killed and restarted" if o.restart else "", runs, total, seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
