"""Static routes, rules and the default gateway beside the ifcfg files go with the old network (M-07).

`ifup-routes` reads route-NAME in two forms, by whether an ADDRESS0= stands in it: assignments, or arguments
of `ip route add`, one route a line; rule-NAME has arguments of `ip rule add`. Not a transform: `ifcfg` is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from imgpatch.formats import assignments, shellvars
from imgpatch.formats.shellvars import Assignment
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.network import Network
from imgpatch.inspection.stacks import ifcfg
from imgpatch.plan import Edit, Note, NoteKind, Reason
from imgpatch.transforms.nic_names import Names

STATIC_ROUTES = "/etc/sysconfig/static-routes"
_IS_ASSIGNED = re.compile(r"[ \t]*ADDRESS\d+=")
_OF_OLD_NETWORK = re.compile(r"GATEWAY|IPV6_DEFAULTGW|DNS\d+")
_DEVICES = frozenset({"GATEWAYDEV", "IPV6_DEFAULTDEV"})


@dataclass(slots=True)
class _Global:
    """/etc/sysconfig/network."""

    network: Network
    names: Names
    static: bool
    reasons: list[Reason] = field(default_factory=list)


def edits(guest: Guest, network: Network, names: Names, owners: Container[str]) -> Iterator[Edit | Note]:
    """Of the routes of interfaces on NICs.

    `owners` has the suffixes of the ifcfg files of interfaces on NICs.
    """
    new = {names.word(key) for key in network.places}  # what was nobody's today may be the NIC's then
    for path in ifcfg.route_files(guest):
        owner = ifcfg.owner_of(path)
        device = owner.partition(":")[0]
        if owner in owners or device in network.places or device in new:
            yield from _routes(guest, path)


def of_all(guest: Guest, network: Network, names: Names) -> Iterator[Edit | Note]:
    """Of what is said for all interfaces, once there is a NIC."""
    yield from _static_routes(guest, network)
    yield from _everywhere(guest, network, names)


def _routes(guest: Guest, path: str) -> Iterator[Edit | Note]:
    text = guest.text(path) or ""
    reasons: list[Reason] = []
    is_rule = posixpath.basename(path).startswith("rule")
    if not is_rule and any(_IS_ASSIGNED.match(line) for line in text.split("\n")):
        lines = assignments.parse(text)
        if code := assignments.code(lines):
            where = f"line {', '.join(map(str, code))} is no assignment but shell code"
            yield Note(NoteKind.WARNING, "M-07", f"{path}: {where}; left alone, with the routes in it")
            return
        after = assignments.unparse(_assigned(lines, reasons))
    else:
        after = "".join(_arguments(text, reasons))
    if after != text:
        data = after.encode("utf-8", "surrogateescape") if after.strip() else None
        yield Edit(path, data, tuple(reasons))


def _assigned(lines: Iterable[assignments.Line], reasons: list[Reason]) -> Iterator[assignments.Line]:
    """All assignments go: without an ADDRESS0= what is left would be read as arguments of `ip`."""
    for line in lines:
        if line.assignments:
            gone = " ".join(item.text for item in line.assignments)
            reasons.append(Reason("M-07", f"line {line.number}: {gone} goes with the old network"))
        else:
            yield line


def _arguments(text: str, reasons: list[Reason]) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        end = "\n" if number <= text.count("\n") else ""
        words = line.split()
        if not words or words[0].startswith("#"):
            yield line + end
        else:
            reasons.append(Reason("M-07", f"line {number}: {' '.join(words)} goes with the old network"))


def _static_routes(guest: Guest, network: Network) -> Iterator[Edit]:
    """`any net ...`: the service adds them whatever interfaces there are; `eth0 net ...` is older still."""
    stat = guest.stat(STATIC_ROUTES)
    if stat is None or stat.kind is not Kind.FILE:
        return
    text = guest.text(STATIC_ROUTES) or ""
    out: list[str] = []
    reasons: list[Reason] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and (words[0] == "any" or words[0] in network.places):
            reasons.append(Reason("M-07", f"line {number}: {' '.join(words)} goes with the old network"))
        else:
            out.append(line)
    if reasons:
        yield Edit(STATIC_ROUTES, "\n".join(out).encode("utf-8", "surrogateescape"), tuple(reasons))


def _everywhere(guest: Guest, network: Network, names: Names) -> Iterator[Edit | Note]:
    """The default gateway for all interfaces: dhclient-script sets no router of its own beside it."""
    lines = ifcfg.read(guest, ifcfg.GLOBAL)
    held = {a.name for line in lines for a in line.assignments}
    if not held & _DEVICES and not any(map(_OF_OLD_NETWORK.fullmatch, held)):
        return
    if code := assignments.code(lines):
        where = f"line {', '.join(map(str, code))} is no assignment but shell code"
        yield Note(NoteKind.WARNING, "M-07", f"{ifcfg.GLOBAL}: {where}; left alone, with the gateway in it")
        return
    state = _Global(network, names, any(nic.static for nic in network.nics[:1]))
    after = [line.mapped(lambda a, n=line: _setting(a, n, state)) for line in lines]  # type: ignore[misc]
    text = assignments.unparse(line for line in after if line is not None)
    if text != assignments.unparse(lines):
        yield Edit(ifcfg.GLOBAL, text.encode("utf-8", "surrogateescape"), tuple(state.reasons))


def _setting(item: Assignment, line: assignments.Line, state: _Global) -> str | None:
    if item.name.startswith("DNS") and not state.static:
        return item.raw
    if _OF_OLD_NETWORK.fullmatch(item.name):
        state.reasons.append(Reason("M-07", f"line {line.number}: {item.text} goes with the old network"))
        return None
    if item.name not in _DEVICES:
        return item.raw
    device = (shellvars.decode(item.raw) or "").partition("%")[0]
    old = next((key for key, new in state.names.renames.items() if new == device), device)
    place = state.network.places.get(device) or state.network.places.get(old)
    if place is None:
        return item.raw
    if not (place.primary and place.dhcp):
        state.reasons.append(Reason("M-07", f"line {line.number}: {item.text} is not what takes the address"))
        return None
    new = state.names.word(device)
    if new == device:
        return item.raw
    state.reasons.append(Reason("R-66", f"line {line.number}: {device} will have the name {new}"))
    return shellvars.requoted(item.raw, new)
