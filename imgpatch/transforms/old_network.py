"""What else names addresses of the old network is pointed out, not changed (M-07).

/etc/hosts may be right for whoever wrote it, and a resolver with a dead server first is slow rather than
wrong. The service touches none of them as far as the documents say.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from imgpatch.formats import ini
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind
from imgpatch.transforms.resolv_conf import is_lost

_RESOLVED = (
    "/usr/lib/systemd/resolved.conf.d/*.conf",
    "/etc/systemd/resolved.conf",
    "/etc/systemd/resolved.conf.d/*.conf",
)
_RESOLVCONF = (
    "/etc/resolvconf/resolv.conf.d/head",
    "/etc/resolvconf/resolv.conf.d/base",
    "/etc/resolv.conf.head",
)


def applies(inspection: Inspection) -> bool:
    return bool(inspection.network.stacks)


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:  # noqa: ARG001 (only files tell)
    yield from _hosts(guest)
    for path in (path for pattern in _RESOLVED for path in guest.glob(pattern)):
        lines = ini.parse(_text(guest, path), ini.Dialect.SYSTEMD)
        servers = [word for text in ini.values(lines, "Resolve", "DNS") for word in text.split()]
        yield from _servers(path, [server.split("#")[0] for server in servers])
    for path in _RESOLVCONF:
        words = (line.split() for line in _text(guest, path).split("\n"))
        yield from _servers(path, [w[1] for w in words if w[:1] == ["nameserver"] and w[1:]])


def _servers(path: str, servers: list[str]) -> Iterator[Note]:
    lost = [server for server in servers if is_lost(server)]
    if lost:
        text = (
            f"{path}: {', '.join(lost)} cannot be reached from EC2; names are resolved slowly or not at all"
        )
        yield Note(NoteKind.WARNING, OWN_RULE, text)


def _hosts(guest: Guest) -> Iterator[Note]:
    """The machine's own name with an address it will not have."""
    host = _text(guest, "/etc/hostname").strip().lower()
    if not host:
        return
    for number, line in enumerate(_text(guest, "/etc/hosts").split("\n"), 1):
        words = line.partition("#")[0].split()
        if (
            words
            and {host, host.split(".")[0]} & {word.lower() for word in words[1:]}
            and _is_outer(words[0])
        ):
            text = f"/etc/hosts: line {number} gives {host} the address {words[0]}, which EC2 will not"
            yield Note(NoteKind.DECISION, "M-07", f"{text}; left as it is")


def _is_outer(word: str) -> bool:
    try:
        return not ipaddress.ip_address(word).is_loopback
    except ValueError:
        return False


def _text(guest: Guest, path: str) -> str:
    stat = guest.stat(path)
    return (guest.text(path) or "") if stat is not None and stat.kind is Kind.FILE else ""
