"""What gives network interfaces their names by the hardware they are: udev rules and .link files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.formats import ini
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.stacks import Role, layered, plain_mac, role_of_name

LINKS = "/etc/systemd/network"
LINK_FOLDERS = (LINKS, "/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
"""Where udev finds .link files, whether or not systemd-networkd runs; the first that has a name wins."""
RULES = "/etc/udev/rules.d"
_TERM = re.compile(r'([A-Z_]+(?:\{[^}]*\})?)\s*(==|!=|:=|\+=|-=|=)\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Pin:
    """One rule or one .link file that names an interface.

    Attributes:
        line: of a rule, from 1, and how many physical lines it takes; 0 for a .link file.
        mac: lower case with colons; None where it goes by something else.
        name: the name it gives.
    """

    path: str
    line: int
    lines: int
    mac: str | None
    name: str


def find_pins(guest: Guest) -> tuple[Pin, ...]:
    return (*_rules(guest), *_links(guest))


def _rules(guest: Guest) -> Iterator[Pin]:
    for path in guest.glob(f"{RULES}/*.rules"):
        stat = guest.stat(path)
        if stat is None or stat.kind is not Kind.FILE:  # a link to /dev/null masks a rules file
            continue
        lines = (guest.text(path) or "").split("\n")
        at = 0
        while at < len(lines):
            start = at
            while (
                lines[at].endswith("\\") and at + 1 < len(lines) and not lines[start].lstrip().startswith("#")
            ):
                at += 1
            at += 1
            pin = _rule(path, start, lines[start:at])
            if pin is not None:
                yield pin


def _rule(path: str, start: int, lines: list[str]) -> Pin | None:
    text = " ".join(line.removesuffix("\\") for line in lines)
    if text.lstrip().startswith("#"):
        return None
    terms = {(key, op): value for key, op, value in _TERM.findall(text)}
    name = terms.get(("NAME", "="), terms.get(("NAME", ":=")))
    hardware = [
        v
        for (k, op), v in terms.items()
        if op == "==" and k in {"ATTR{address}", "SYSFS{address}", "KERNELS", "ID", "DRIVERS"}
    ]
    if (
        not name
        or "%" in name
        or "$" in name
        or not hardware
        or terms.get(("SUBSYSTEM", "==")) not in {"net", None}
    ):
        return None
    mac = next((m for m in map(plain_mac, hardware) if m), None)
    if (mac is None and ("SUBSYSTEM", "==") not in terms) or role_of_name(name) is not Role.NIC:
        return None
    return Pin(path, start + 1, len(lines), mac, name)


def links(guest: Guest) -> dict[str, tuple[ini.Line, ...]]:
    """The .link files that are in force."""
    paths = layered(guest, LINK_FOLDERS, "*.link")
    return {path: ini.parse(guest.text(path) or "", ini.Dialect.SYSTEMD) for path in paths}


def is_shipped(guest: Guest, path: str) -> bool:
    """Whether a package has a .link file of this name: taking away the one in /etc would bring that back."""
    return any(guest.exists(f"{folder}/{posixpath.basename(path)}") for folder in LINK_FOLDERS[1:])


def is_wired(lines: Sequence[ini.Line]) -> bool:
    types = ini.values(lines, "Match", "Type")
    wired = not types or any(t in {"ether", "*"} for text in types for t in text.split())
    return wired and any(line.section == "Match" and line.key for line in lines)


def _links(guest: Guest) -> Iterator[Pin]:
    for path, lines in links(guest).items():
        name = "".join(ini.values(lines, "Link", "Name")[-1:])
        words = [
            w
            for k in ("MACAddress", "PermanentMACAddress")
            for v in ini.values(lines, "Match", k)
            for w in v.split()
        ]
        if name and is_wired(lines):
            yield Pin(path, 0, 0, next((m for m in map(plain_mac, words) if m), None), name)
