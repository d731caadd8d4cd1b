#!/usr/bin/env python3
"""frames.py send|end|listen IF: the frames of a guest (00:16:3e:00:00:01, 10.9.0.1, fd09::1) that tells the truth, and lies, to
00:16:3e:00:00:02. listen prints the names of those that come, until the one of "end" does, which is to be sent when the others have
come, since a switch may put it before them; it says "listening" first."""
import ipaddress
import socket
import struct
import sys

ME, FALSE, YOU = (bytes.fromhex("00163e0000" + x) for x in ("01", "99", "02"))
IP4, FALSE4, YOU4, NONE4 = (ipaddress.ip_address(x).packed for x in ("10.9.0.1", "10.9.0.66", "10.9.0.2", "0.0.0.0"))
IP6, FALSE6, YOU6, NONE6, LL = (ipaddress.ip_address(x).packed for x in ("fd09::1", "fd09::66", "fd09::2", "::", "fe80::216:3eff:fe00:1"))


def summed(pseudo, data, at):
    words = pseudo + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return data[:at] + struct.pack("!H", ~total & 0xffff) + data[at + 2:]


def eth(proto, payload, source=ME):
    return YOU + source + struct.pack("!H", proto) + payload


def ipv4(source, ports, mac=ME, tag=b""):
    udp = struct.pack("!HHHH", *ports, 28, 0) + b"bulkhead frame test!"
    head = summed(b"", struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, YOU4), 10)
    return eth(0x8100, struct.pack("!HH", 5, 0x800) + head + udp, mac) if tag else eth(0x800, head + udp, mac)


def ipv6(source, proto, payload):
    return eth(0x86dd, struct.pack("!IHBB16s16s", 6 << 28, len(payload), proto, 255, source, YOU6) + payload)


def icmp6(source, kind, body):
    data = struct.pack("!BBHI", kind, 0, 0, 0) + body
    return ipv6(source, 58, summed(source + YOU6 + struct.pack("!II", len(data), 58), data, 2))


def arp(op, mac, source):
    return eth(0x806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, mac, source, YOU, YOU4))


def option(kind, mac):
    return bytes([kind, 1]) + mac


TRUE = {
    "ipv4": ipv4(IP4, (1000, 1000)),
    "dhcp-request": ipv4(NONE4, (68, 67)),
    "arp": arp(2, ME, IP4),
    "arp-probe": eth(0x806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, ME, NONE4, b"\0" * 6, IP4)),
    "ipv6": ipv6(IP6, 17, struct.pack("!HHHH", 1000, 1000, 8, 1)),
    "link-local": ipv6(LL, 17, struct.pack("!HHHH", 1000, 1000, 8, 1)),
    "na": icmp6(IP6, 136, IP6 + option(2, ME)),
    "na-bare": icmp6(IP6, 136, IP6),
    "ns": icmp6(IP6, 135, YOU6 + option(1, ME)),
    "ns-dad": icmp6(NONE6, 135, IP6),
    "end": ipv4(IP4, (2000, 2000)),
}
LIES = {
    "ipv4-mac": ipv4(IP4, (1000, 1000), FALSE),
    "ipv4-ip": ipv4(FALSE4, (1000, 1000)),
    "ipv4-in-vlan": ipv4(FALSE4, (1000, 1000), tag=b"5"),
    "dhcp-server": ipv4(IP4, (67, 68)),
    "arp-ip": arp(2, ME, FALSE4),
    "arp-mac": arp(2, FALSE, IP4),
    "arp-probe": eth(0x806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, ME, NONE4, b"\0" * 6, FALSE4)),
    "ipv6-ip": ipv6(FALSE6, 17, struct.pack("!HHHH", 1000, 1000, 8, 1)),
    "na-target": icmp6(IP6, 136, FALSE6 + option(2, ME)),
    "na-mac": icmp6(IP6, 136, IP6 + option(2, FALSE)),
    "na-hidden": icmp6(IP6, 136, IP6 + option(14, ME) + option(2, FALSE)),
    "ns-mac": icmp6(IP6, 135, YOU6 + option(1, FALSE)),
    "ra": icmp6(LL, 134, b"\x40\0\x07\x08" + b"\0" * 8),
    "redirect": icmp6(LL, 137, FALSE6 + YOU6),
    "other": eth(0x88b5, b"x" * 50),
}


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((sys.argv[2], 3))
    if sys.argv[1] == "end":
        s.send(TRUE["end"])
        return
    if sys.argv[1] == "send":
        for frame in list(LIES.values()) + list(TRUE.values())[:-1]:
            s.send(frame)
        return
    s.settimeout(20)
    s.setsockopt(263, 8, 1)  # PACKET_AUXDATA: a VLAN's tag is taken off the frame; its inside is compared
    print("listening", flush=True)
    names = {v: "true " + k for k, v in TRUE.items()} | {v: "lie " + k for k, v in LIES.items()}
    names[LIES["ipv4-in-vlan"][:12] + LIES["ipv4-in-vlan"][16:]] = "lie ipv4-ip or in a VLAN"
    while True:
        frame = s.recv(2000)
        name = names.get(frame) or names.get(frame.rstrip(b"\0"))
        if name:
            print(name, flush=True)
        if name == "true end":
            return


main()
