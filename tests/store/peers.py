"""Stores to compare, and connections to them: xs_wire over Unix sockets (<xen/io/xs_wire.h>)."""
import mmap
import os
import select
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time

OPS = {"CONTROL": 0, "DIRECTORY": 1, "READ": 2, "GET_PERMS": 3, "WATCH": 4, "UNWATCH": 5, "TRANSACTION_START": 6,
       "TRANSACTION_END": 7, "INTRODUCE": 8, "RELEASE": 9, "GET_DOMAIN_PATH": 10, "WRITE": 11, "MKDIR": 12, "RM": 13,
       "SET_PERMS": 14, "WATCH_EVENT": 15, "ERROR": 16, "IS_DOMAIN_INTRODUCED": 17, "RESUME": 18, "SET_TARGET": 19,
       "RESET_WATCHES": 21, "DIRECTORY_PART": 22}
NAMES = {v: k for k, v in OPS.items()}
LIMIT = 20  # seconds without an answer: the store hangs
HUB = struct.Struct("=IiHHHH")  # struct hub_store_msg of ring/hv/hub_wire.h
HUB_INTRODUCE, HUB_CONNECT, HUB_RELEASE, HUB_SYNCED = 1, 2, 3, 4


class Closed(Exception):
    pass


class Conn:
    """One client. Events that come before a reply are kept."""

    def __init__(self, sock):
        self.sock, self.buf, self.req, self.events = sock, b"", 0, []
        sock.settimeout(LIMIT)

    def send(self, op, tx, payload):
        self.req += 1
        try:
            self.sock.sendall(struct.pack("=IIII", op, self.req, tx, len(payload)) + payload)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def _read(self, n):
        while len(self.buf) < n:
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed
            self.buf += got
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def reply(self):
        while True:
            op, req, _, n = struct.unpack("=IIII", self._read(16))
            body = self._read(n)
            if op != OPS["WATCH_EVENT"]:
                assert req == self.req, "a reply to another request"
                return NAMES.get(op, str(op)), body
            self.events.append(body)

    def call(self, op, tx, payload):
        self.send(op, tx, payload)
        return self.reply()

    def take_events(self):
        self.call(OPS["GET_DOMAIN_PATH"], 0, b"0\0")  # what was queued before is here now
        out, self.events = self.events, []
        return sorted(out)


class Store:
    """A store's process in a directory of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bulkhead-store-")
        self.proc = None
        self.domains = set()

    def spawn(self, cmd, env):
        with open(self.dir + "/log", "ab") as log:
            self.proc = subprocess.Popen(cmd, env=dict(os.environ, **env), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def dial(self, path, kind=socket.SOCK_STREAM):
        end = time.monotonic() + LIMIT
        while True:
            s = socket.socket(socket.AF_UNIX, kind)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if time.monotonic() > end or self.proc and self.proc.poll() is not None:
                    raise
                time.sleep(0.002)  # until it listens

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def close(self):
        self.kill()
        subprocess.run(["rm", "-rf", self.dir], check=True)


class Ours(Store):
    """bulkhead-store; domains come as they do from the hub."""
    has_domains = True

    def __init__(self):
        super().__init__()
        self.hub = None
        self.start()

    def start(self):
        build = os.environ.get("BULKHEAD_BUILD", "build/gcc")
        self.spawn([build + "/bin/bulkhead-store", "--runtime-dir", self.dir + "/run", "--log-level", "warn"], {})
        self.dial(self.dir + "/run/store.sock").close()
        self.meet_hub()

    def meet_hub(self):
        if self.hub:
            self.hub.close()
        self.hub = self.dial(self.dir + "/run/store-hub.sock", socket.SOCK_SEQPACKET)
        for d in sorted(self.domains):
            self.tell(HUB_INTRODUCE, d)
        self.tell(HUB_SYNCED, 0)

    def tell(self, op, domid, fd=None):
        msg = HUB.pack(op, 0, domid, 0, 0, 0)
        if fd is None:
            self.hub.send(msg)
        else:
            socket.send_fds(self.hub, [msg], [fd])
        return HUB.unpack(self.hub.recv(HUB.size))[1]

    def introduce(self, domid):
        self.domains.add(domid)
        return self.tell(HUB_INTRODUCE, domid)

    def release(self, domid):
        self.domains.discard(domid)
        return self.tell(HUB_RELEASE, domid)

    def connect(self, domid):
        if domid == 0:
            return Conn(self.dial(self.dir + "/run/store.sock"))
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        rc = self.tell(HUB_CONNECT, domid, b.fileno())
        b.close()
        assert rc == 0, "domain %d can't connect: %d" % (domid, rc)
        return Conn(a)


class Ring:
    """A domain's end of its xenstore ring, made to look like a socket (struct xenstore_domain_interface)."""
    REQ, RSP, REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, SIZE = 0, 1024, 2048, 2052, 2056, 2060, 1024

    def __init__(self, where, domid):
        with open("%s/ring-%d" % (where, domid), "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        self.kick = os.open("%s/kick-%d" % (where, domid), os.O_RDWR | os.O_NONBLOCK)
        self.bell = os.open(where + "/events", os.O_WRONLY | os.O_NONBLOCK)
        self.port = struct.pack("=I", domid + 1)
        self.limit = LIMIT

    def settimeout(self, seconds):
        self.limit = seconds

    def close(self):
        if self.page:
            os.close(self.kick)
            os.close(self.bell)
            self.page.close()
            self.page = None

    def _get(self, at):
        return struct.unpack_from("=I", self.page, at)[0]

    def _wait(self):
        if not select.select([self.kick], [], [], self.limit)[0]:
            raise TimeoutError("the ring stands still")
        os.read(self.kick, 4096)

    def _ring(self):
        os.write(self.bell, self.port)

    def sendall(self, data):
        if len(data) > 16 + 4096:
            raise BrokenPipeError  # xenstored ignores a domain from then on; a socket's client is closed
        while data:
            prod = self._get(self.REQ_PROD)
            room = self.SIZE - (prod - self._get(self.REQ_CONS)) % (1 << 32)
            if not room:
                self._wait()
                continue
            n = min(room, len(data), self.SIZE - prod % self.SIZE)
            self.page[prod % self.SIZE:prod % self.SIZE + n] = data[:n]
            struct.pack_into("=I", self.page, self.REQ_PROD, (prod + n) % (1 << 32))
            self._ring()
            data = data[n:]

    def recv(self, _):
        while True:
            cons = self._get(self.RSP_CONS)
            have = (self._get(self.RSP_PROD) - cons) % (1 << 32)
            if have:
                at = self.RSP + cons % self.SIZE
                n = min(have, self.SIZE - cons % self.SIZE)
                out = self.page[at:at + n]
                struct.pack_into("=I", self.page, self.RSP_CONS, (cons + n) % (1 << 32))
                self._ring()
                return out
            self._wait()


class Command(Store):
    """Xen's xenstored: started with $XENSTORED_RUNDIR set; domains have rings in files (fakexen.c)."""
    has_domains = True

    def __init__(self, cmd):
        super().__init__()
        self.rings = {}
        fake = os.path.abspath(os.environ.get("BULKHEAD_BUILD", "build/gcc") + "/tests/store/fakexen.so")
        for d in range(3):
            self.blank(d)
            os.mkfifo("%s/kick-%d" % (self.dir, d))
        os.mkfifo(self.dir + "/events")
        with open(self.dir + "/port-0", "w", encoding="ascii") as f:
            f.write("1")
        self.spawn(shlex.split(cmd), {"XENSTORED_RUNDIR": self.dir, "XENSTORED_PATH": self.dir + "/socket", "FAKEXEN": self.dir,
                                      "LD_PRELOAD": fake})
        self.admin = Conn(self.dial(self.dir + "/socket"))

    def blank(self, domid):
        with open("%s/ring-%d" % (self.dir, domid), "wb") as f:
            f.write(bytes(4096))

    def introduce(self, domid):
        self.blank(domid)
        if os.path.exists("%s/dead-%d" % (self.dir, domid)):
            os.unlink("%s/dead-%d" % (self.dir, domid))
        kind, body = self.admin.call(OPS["INTRODUCE"], 0, b"%d\0001\0%d\0" % (domid, domid + 1))
        assert kind == "INTRODUCE", body
        self.domains.add(domid)
        return 0

    def release(self, domid):
        with open("%s/dead-%d" % (self.dir, domid), "w", encoding="ascii"):
            pass
        kind, _ = self.admin.call(OPS["RELEASE"], 0, b"%d\0" % domid)
        self.domains.discard(domid)
        ring = self.rings.pop(domid, None)
        if ring:
            ring.sock.close()
        return 0 if kind == "RELEASE" else -2

    def connect(self, domid):
        if domid == 0:
            return Conn(self.dial(self.dir + "/socket"))
        if domid not in self.rings:
            self.rings[domid] = Conn(Ring(self.dir, domid))
        ring = self.rings[domid]
        if not ring.sock.page:
            ring.sock = Ring(self.dir, domid)
        ring.call(OPS["RESET_WATCHES"], 0, b"\0")
        ring.events = []
        return ring


class Socket(Store):
    """A store that runs already; domain 0 only. What a sequence leaves behind is removed by the caller."""
    has_domains = False

    def __init__(self, path):
        super().__init__()
        self.path = path

    def connect(self, domid):
        assert domid == 0
        return Conn(self.dial(self.path))

    def close(self):
        subprocess.run(["rm", "-rf", self.dir], check=True)


def make(spec):
    """ours, cmd:COMMAND, or unix:PATH"""
    if spec == "ours":
        return Ours()
    kind, _, arg = spec.partition(":")
    return {"cmd": Command, "unix": Socket}[kind](arg)
