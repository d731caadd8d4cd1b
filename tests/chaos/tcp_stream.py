#!/usr/bin/env python3
"""One TCP connection, full of numbered blocks both ways, each looked at, until the side that connects gets SIGTERM.

  tcp_stream.py listen PORT | connect ADDRESS PORT

Prints "name=value" lines, the first of them, connected=1, at once. Exit 0 only if every block came, in order and whole, and the connection ended in order."""
import random
import signal
import socket
import struct
import sys
import threading
import time

BLOCK = 1 << 16
BODY = random.Random(42).randbytes(BLOCK - 8)  # what a block is made of, behind its number
stop = threading.Event()
end = {"blocks": 0, "wrong": 0, "reset": 0, "gap_us": 0}


def broke(what):
    end["reset"] = 1
    print(f"tcp_stream: {what}", file=sys.stderr)
    stop.set()


def send(s):
    number = 0
    try:
        while not stop.is_set():
            s.sendall(struct.pack("<Q", number) + BODY)
            number += 1
        s.sendall(struct.pack("<Q", 2**64 - 1))
        s.shutdown(socket.SHUT_WR)
    except OSError as e:
        broke(f"sending: {e}")


def receive_exactly(s, buf, n):
    view, got = memoryview(buf), 0
    while got < n:
        before = time.monotonic()
        k = s.recv_into(view[got:n])
        end["gap_us"] = max(end["gap_us"], int((time.monotonic() - before) * 1e6))
        if k == 0:
            return False
        got += k
    return True


def receive(s):
    head, body = bytearray(8), bytearray(BLOCK - 8)
    try:
        while receive_exactly(s, head, 8):
            (number,) = struct.unpack("<Q", head)
            if number == 2**64 - 1:
                stop.set()  # the other side has ended; so do we
                return
            if not receive_exactly(s, body, BLOCK - 8):
                break
            if number != end["blocks"] or body != BODY:
                end["wrong"] += 1
            end["blocks"] += 1
        broke("the stream ended in the middle")
    except OSError as e:
        broke(f"receiving: {e}")


def connect(address, port):
    until = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((address, port), timeout=5)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def main():
    if sys.argv[1] == "listen":
        with socket.create_server(("", int(sys.argv[2]))) as l:
            l.settimeout(30)
            s = l.accept()[0]
    else:
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        s = connect(sys.argv[2], int(sys.argv[3]))
    s.settimeout(None)
    print("connected=1", flush=True)
    threads = [threading.Thread(target=f, args=(s,)) for f in (send, receive)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("tcp_bytes=%d\ntcp_wrong=%d\ntcp_reset=%d\ngap_us=%d" % (end["blocks"] * BLOCK, end["wrong"], end["reset"], end["gap_us"]))
    return end["wrong"] + end["reset"] > 0 or end["blocks"] == 0


sys.exit(main())
