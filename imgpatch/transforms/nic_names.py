"""The one NIC of EC2 is called eth0: predictable names are switched off and pins by hardware released.

Documents R-66 (predictable names are not supported) and M-08 (one NIC after import). The configuration of
each network stack follows in its own transform, by the same renames.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgpatch.formats import ini
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection, pins
from imgpatch.inspection.network import EC2_NAME, Network, renamed
from imgpatch.inspection.stacks import is_pattern, kernel_index
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason

ARGUMENTS = ("net.ifnames=0", "biosdevname=0")
_RULES = ("80-net-setup-link.rules", "80-net-name-slot.rules", "71-biosdevname.rules")


@dataclass(frozen=True, slots=True)
class Names:
    """The renames as transforms apply them.

    Attributes:
        settled: the one NIC will be eth0, perhaps as it is today: nothing may find it by its hardware.
    """

    renames: Mapping[str, str]
    settled: bool = True

    def word(self, word: str) -> str:
        """A word that is the name of an interface."""
        return renamed(word, self.renames)

    def inside(self, text: str) -> str:
        """Text of which words may be names: a hook's command line, a list."""
        plain = [name for name in self.renames if re.fullmatch(r"[\w.-]+", name)]
        if not plain:
            return text
        names = "|".join(sorted(map(re.escape, plain), key=len, reverse=True))
        pattern = rf"(?<![\w.:-])(?:{names})(?=[.:]\d+(?![\w-])|(?![\w-])(?![.:]\w))"
        return re.sub(pattern, lambda match: self.renames[match.group()], text)


def applies(inspection: Inspection) -> bool:
    """Every guest with a network."""
    return bool(inspection.network.stacks or inspection.network.pins)


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    network = context.inspection.network
    if context.choices.nic_names != EC2_NAME:
        if names := ", ".join(nic.name for nic in network.nics if nic.name):
            yield Note(
                NoteKind.WARNING,
                OWN_RULE,
                f"names of network interfaces are kept as asked; EC2 may not have {names}",
            )
        return
    if not _can_be_eth0(network):
        yield Note(
            NoteKind.WARNING,
            "R-66",
            f"{EC2_NAME} is the name of a virtual interface; no network interface is renamed",
        )
        return
    yield from _released_rules(guest, network)
    yield from _removed_links(guest, network)
    yield from _own_macs(guest, network)


def kernel_arguments(guest: Guest, context: Context) -> tuple[str, ...]:
    """What the kernel command line must have for the NIC to be called eth0; the caller adds what is missing.

    Nothing where names are kept as asked, or where this guest's udev leaves the kernel's names alone.
    """
    network = context.inspection.network
    if context.choices.nic_names != EC2_NAME or not _can_be_eth0(network):
        return ()
    pinned = {pin.name for pin in network.pins}
    foreign = any(
        nic.name and not is_pattern(nic.name) and kernel_index(nic.name) is None and nic.name not in pinned
        for nic in network.nics
    )
    return ARGUMENTS if foreign or _udev_renames(guest) else ()


def new_names(context: Context) -> Names:
    """The renames that all stacks follow; none where the user keeps the names."""
    network = context.inspection.network
    settled = context.choices.nic_names == EC2_NAME and _can_be_eth0(network)
    return Names(network.renames if settled else {}, settled)


def _can_be_eth0(network: Network) -> bool:
    primary = network.nics[0].name if network.nics else None
    return primary in {None, EC2_NAME} or is_pattern(primary or "") or bool(network.renames)


def _udev_renames(guest: Guest) -> bool:
    """Whether a rule that gives predictable names is there and not masked by one of its name in /etc."""
    for name in _RULES:
        if _is_masked(guest, f"/etc/udev/rules.d/{name}"):
            continue
        if any(guest.exists(f"{folder}/udev/rules.d/{name}") for folder in ("/etc", "/lib", "/usr/lib")):
            return name != _RULES[0] or not _is_masked(guest, "/etc/systemd/network/99-default.link")
    return False


def _is_masked(guest: Guest, path: str) -> bool:
    stat = guest.stat(path, follow=False)
    return stat is not None and (
        stat.target == "/dev/null" or (stat.kind is Kind.FILE and not guest.read(path))
    )


def _released_rules(guest: Guest, network: Network) -> Iterator[Edit]:
    for path in dict.fromkeys(pin.path for pin in network.pins if pin.line):
        lines = (guest.text(path) or "").split("\n")
        reasons = []
        for pin in network.pins:
            if pin.path == path and not lines[pin.line - 1].startswith("#"):
                span = slice(pin.line - 1, pin.line - 1 + pin.lines)
                lines[span] = [f"#{line}" for line in lines[span]]
                found = f"the name {pin.name} is tied to {pin.mac or 'hardware'}, which EC2 does not have"
                reasons.append(Reason("R-66", f"line {pin.line}: {found}"))
        if reasons:
            yield Edit(path, "\n".join(lines).encode("utf-8", "surrogateescape"), tuple(reasons))


def _removed_links(guest: Guest, network: Network) -> Iterator[Edit]:
    for pin in network.pins:
        if pin.line:
            continue
        why = f"it names an interface {pin.name} by {'its MAC address' if pin.mac else 'what it is'}"
        reason = Reason("R-66", f"{why}; the one NIC of EC2 is to be called {EC2_NAME}")
        if pins.is_shipped(guest, pin.path):  # without a file in /etc that of the package would count
            yield _without(
                guest, pin.path, lambda line: line.section == "Link" and line.key == "Name", reason
            )
        else:
            yield Edit(pin.path, None, (reason,))


def _own_macs(guest: Guest, network: Network) -> Iterator[Edit]:
    """No .link file gives EC2's NIC, or a bridge on it, another MAC address."""
    named = {pin.path for pin in network.pins}
    for path, lines in pins.links(guest).items():
        patterns = [w for text in ini.values(lines, "Match", "OriginalName") for w in text.split()]
        here = not patterns or any(
            fnmatch.fnmatchcase(n, p) for n in (EC2_NAME, *network.places) for p in patterns
        )
        if path in named or not here or not pins.is_wired(lines) or not any(map(_gives_mac, lines)):
            continue
        reason = Reason(OWN_RULE, "EC2 lets no other MAC address through than its own NIC's")
        yield _without(guest, path, _gives_mac, reason)


def _gives_mac(line: ini.Line) -> bool:
    policy = line.key == "MACAddressPolicy" and line.value.lower() == "random"
    return line.section == "Link" and (line.key == "MACAddress" or policy)


def _without(guest: Guest, path: str, unwanted: Callable[[ini.Line], bool], reason: Reason) -> Edit:
    """A .link file less some lines, in /etc."""
    lines = pins.links(guest)[path]
    text = ini.unparse(line for line in lines if not unwanted(line))
    name = f"{pins.LINKS}/{posixpath.basename(path)}"
    return Edit(name, text.encode("utf-8", "surrogateescape"), (reason,))
