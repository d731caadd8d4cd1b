"""Random sequences of store operations. A step is a list that JSON can hold: [client, what, argument ...]."""
from peers import OPS

TOP = "/t"
NAMES = ["a", "b", "c"]
ODD = ["", "/", "//", "/t//a", "/t/a/", "t/a", "a b", "/t/a\x01", "/t/\xe9", "@releaseDomain", "@introduceDomain", "@x", "/@x",
       "/local/domain/", "/local/domain", "/local/domain/1", "/local/domain/1/", "/local/domain/x/y", "/t/./a", "/t/../a", ".",
       "/t/a:b", "/t/a_b-c@d", "/t/" + "n" * 255, "/t/" + "n" * 256, "/t/" + "n" * 300, "/t/" + "n" * 2045, "/t/" + "n" * 2046,
       "r" * 2047, "r" * 2048, "r" * 2049, "/t/" + "x/" * 1021 + "yyy", "/" + "y" * 3071, "/" + "y" * 3072, "/tool", "/nowhere/at/all",
       "/local/domain/1/" + "d" * 2047, "/local/domain/1/" + "d" * 2048, "/local/domain/0/" + "d" * 2049]
PERMS = ["n0", "r0", "b0", "w0", "n1", "r1", "b1", "w1", "n2", "r2", "w2", "b2"]
ODD_PERMS = ["", "n", "x1", "n1x", "N1", "n01", "r7"]
FAR_PERMS = ["n32752", "n65536", "n-1", "n 1", "n4294967296"]  # numbers to strtoul(), and so to xenstored
VALUES = ["", "x", "hello", "\0", "a\0b", "v" * 2048, "v" * 2049, "v" * 4000]
NUMBERS = ["0", "1", "2", "7", "32751", "32752", "65536", "x", "", "-1", "1 "]


class Generator:
    def __init__(self, rng, domids, restarts, real):
        self.r, self.domids, self.domains, self.restarts, self.real = rng, domids, sorted(set(domids) - {0}), restarts, real
        # CONTROL and the numbers of transactions are each store's own; INTRODUCE and its like make and end domains behind the back
        # of who keeps their rings; and READ and others that take one string abort xenstored 4.17 when they have another number of
        # strings and errno happens to be 0.
        self.raw_types = [t for t in range(26) if not real or t not in (0, 1, 2, 3, 6, 8, 9, 12, 13, 18, 19)]
        self.odd_perms = ODD_PERMS + ([] if real else FAR_PERMS)
        self.open = {}  # client -> handles of transactions that may be open
        self.handles = 0

    def path(self):
        if self.r.random() < 0.07:
            return self.r.choice(ODD)
        if self.r.random() < 0.06:  # relative: below the client's own home
            return "/".join(self.r.choice(NAMES) for _ in range(self.r.randint(1, 2)))
        top = TOP if self.r.random() < 0.9 else "/local/domain/%d" % self.r.choice([0, 1, 2])
        return top + "".join("/" + self.r.choice(NAMES) for _ in range(self.r.randint(0, 3)))

    def perms(self):
        n = self.r.choice([1, 1, 1, 2, 2, 3, 6]) if self.r.random() < 0.95 else 0
        return [self.r.choice(PERMS if self.r.random() < 0.95 else self.odd_perms) for _ in range(n)]

    def set_perms(self, client):
        path = self.path()
        # xenstored 4.17 removes the root together with its owner.
        return [client, "SET_PERMS", self.tx(client), TOP if self.real and path == "/" else path] + self.perms()

    def tx(self, client):
        mine = self.open.get(client, [])
        if mine and self.r.random() < 0.6:
            return self.r.choice(mine)
        return -1 if self.r.random() < 0.01 else 0

    def begin(self, client):
        self.handles += 1
        self.open.setdefault(client, []).append(self.handles)
        return [client, "START", self.handles]

    def end(self, client):
        mine = self.open.get(client, [])
        h = mine.pop(self.r.randrange(len(mine))) if mine else -1
        return [client, "END", h, self.r.choice("TTTTF") if self.r.random() < 0.97 else "X"]

    def watch(self, client, what):
        path = self.path() if self.r.random() < 0.9 else self.r.choice(["@releaseDomain", "@introduceDomain"])
        token = self.r.choice(["t1", "t2", ""]) if self.r.random() < 0.97 else "k" * self.r.choice([1000, 3000])
        return [client, what, path, token]

    def domain_step(self):
        return [0, self.r.choice(["RELEASE_DOMAIN", "INTRODUCE_DOMAIN", "INTRODUCE_DOMAIN"]), self.r.choice(self.domains)]

    def step(self):
        c = self.r.randrange(len(self.domids))
        x = self.r.random()
        if self.domains and x < 0.01:
            return self.domain_step()
        if self.restarts and x < 0.02:
            self.open = {}
            return [0, "RESTART"] if self.r.random() < 0.5 else [0, "KILLED_IN", ["WRITE", "MKDIR", "RM"][self.r.randrange(3)], self.path()]
        kinds = [(22, lambda: [c, "WRITE", self.tx(c), self.path(), self.r.choice(VALUES if self.r.random() < 0.3 else VALUES[:3])]),
                 (8, lambda: [c, "MKDIR", self.tx(c), self.path()]), (8, lambda: [c, "RM", self.tx(c), self.path()]),
                 (14, lambda: [c, "READ", self.tx(c), self.path()]), (10, lambda: [c, "DIRECTORY", self.tx(c), self.path()]),
                 (5, lambda: [c, "GET_PERMS", self.tx(c), self.path()]), (9, lambda: self.set_perms(c)),
                 (3, lambda: [c, "DIRECTORY_PART", self.tx(c), self.path(), self.r.choice(["0", "0", "0", "2", "x"])]),
                 (6, lambda: self.begin(c)), (6, lambda: self.end(c)), (6, lambda: self.watch(c, "WATCH")), (3, lambda: self.watch(c, "UNWATCH")),
                 (1, lambda: [c, "RESET_WATCHES", self.tx(c)]), (1, lambda: [c, "GET_DOMAIN_PATH", self.r.choice(NUMBERS)]),
                 (1, lambda: [c, "IS_DOMAIN_INTRODUCED", self.r.choice(NUMBERS)]), (1, lambda: self.raw(c)),
                 (1, lambda: [c, "RECONNECT"])]
        step = self.r.choices([k[1] for k in kinds], [k[0] for k in kinds])[0]()
        if step[1] in ("RECONNECT", "RESET_WATCHES"):
            self.open.pop(c, None)
        return step

    def raw(self, c):
        """Payloads of a wrong shape. A domain's release, which this would be a right one for, is a step of its own."""
        kind = self.r.choice(self.raw_types)
        payloads = ["", "\0", "\0\0", "/t/a", "/t/a\0x", "/t\0/t\0", "T", "T\0", "F\0\0", "\0/t\0", "/t/a\0b\0c\0"]
        numbers = ["1", "1\0", "1\0002\0"]
        return [c, "RAW", kind, self.r.choice(payloads + (numbers if kind != OPS["RELEASE"] else []))]
