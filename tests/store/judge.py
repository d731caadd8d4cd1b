"""What of two replies is compared, and the differences from the real xenstored that are known and why (docs/testing.md)."""
from sequence import ODD


def reply(step, r):
    """What the protocol defines of a reply: the order of children and generation counts are not."""
    kind, body = r
    if kind == "DIRECTORY":
        return kind, sorted(body.split(b"\0"))
    if kind == "DIRECTORY_PART":
        return kind, sorted(body.split(b"\0")[1:])
    return r


def tree(t, real, dead):
    """Nodes that one side has from its start are no concern of a sequence's; of the dead's entries see _living()."""
    if not real:
        return t
    return {p: (v[0], _living(v[1][1], dead), v[2]) if isinstance(v, tuple) else v
            for p, v in t.items() if p == "/t" or p.startswith("/t/")}


def _odd(step):
    """A request that is wrong in more than one way, or by its form: which error it has depends on what is looked at first."""
    what, args = step[1], step[2:]
    if what == "RAW":
        return True
    if what in ("GET_DOMAIN_PATH", "IS_DOMAIN_INTRODUCED"):
        return not args[0].isdigit() or int(args[0]) > 65535
    if what == "DIRECTORY_PART":
        return not args[2].isdigit()
    return what == "SET_PERMS" or len(args) > 1 and (args[1] in ODD or str(args[0]) in ODD)


def known(step, a, b, dead):
    """a: ours, b: xenstored. dead: domains that were released in this sequence."""
    if a[0] == "ERROR" and _odd(step):
        return b[0] == "ERROR" or step[1] != "SET_PERMS"
    if step[1] == "GET_PERMS" and a[0] == b[0] != "ERROR":
        return _living(a[1], dead) == _living(b[1], dead)
    # Whatever a transaction had failed of before its end: xenstored says ENOMEM.
    return step[1] == "END" and a[0] == "ERROR" and b == ("ERROR", b"ENOMEM\0")


def transaction(step):
    """(client, handle) of a step that is done in a transaction, or ends one; else None."""
    in_one = step[1] in ("READ", "WRITE", "MKDIR", "RM", "DIRECTORY", "DIRECTORY_PART", "GET_PERMS", "SET_PERMS", "END") and step[2]
    return (step[0], step[2]) if in_one else None


def parts(step, b, denied):
    """Differences after which the two trees may go different ways, so that a sequence can't go on. xenstored fails (with EIO it
    even repairs its database) when a transaction removes a node that another client has removed meanwhile; it looks at the
    parent of a node that a transaction may not touch, which can be a conflict later (denied: such transactions)."""
    tx = transaction(step)
    return tx in denied or step[1] == "RM" and tx is not None and b[1] in (b"EIO\0", b"EINVAL\0")


def _living(perms, dead):
    """Entries of a domain that is gone: we remove them, xenstored keeps them and gives them no meaning."""
    entries = perms.split(b"\0")
    return entries[:1] + [e for e in entries[1:] if e[1:] not in dead]


def known_events(step, a, b):
    """xenstored tells nobody which nodes went with a released domain; and who may only read the parent of a removed node is
    told by us, also when one transaction removed both, where xenstored finds the parent no more."""
    return step[1] in ("RELEASE_DOMAIN", "END") and (a is None) == (b is None) and (a is None or set(b) <= set(a))
