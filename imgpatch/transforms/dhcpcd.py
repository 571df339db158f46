"""Static addressing in dhcpcd.conf(5) becomes DHCP, on EC2's NIC (M-06, M-07, M-08)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Network
from imgpatch.inspection.stacks import dhcpcd
from imgpatch.plan import Context, Edit, Reason
from imgpatch.transforms.nic_names import Names, new_names
from imgpatch.transforms.resolv_conf import is_lost

_OF_ADDRESS = frozenset(
    {
        "ip_address",
        "ip6_address",
        "subnet_mask",
        "broadcast_address",
        "routers",
        "domain_name_servers",
        "static_routes",
        "classless_static_routes",
        "ms_classless_static_routes",
    }
)
_NO_IPV4 = frozenset({"inform", "noipv4", "nodhcp", "ipv6only", "nogateway"})


@dataclass(slots=True)
class _State:
    network: Network
    names: Names
    reasons: list[Reason] = field(default_factory=list)

    def say(self, rule: str, line: dhcpcd.Line, text: str) -> None:
        self.reasons.append(Reason(rule, f"line {line.number}: {' '.join(line.words)} {text}"))


def applies(inspection: Inspection) -> bool:
    return dhcpcd.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit]:
    state = _State(context.inspection.network, new_names(context))
    lines = dhcpcd.read(guest)
    after = "".join(text for line in lines if (text := _line(line, state)) is not None)
    if after != "".join(line.text for line in lines):
        yield Edit(dhcpcd.PATH, after.encode("utf-8", "surrogateescape"), tuple(state.reasons))


def _line(line: dhcpcd.Line, state: _State) -> str | None:
    """The text as it is to be; None for a line that goes."""
    if not line.words or line.block is None:
        return line.text
    place = state.network.places.get(line.block)
    option = line.words[1].split("=")[0] if line.words[0] == "static" and len(line.words) > 1 else ""
    if place is not None and option in _OF_ADDRESS:
        state.say("M-07", line, "goes with the static address")
        return None
    if not line.block and option == "domain_name_servers":
        servers = re.split(r"[=\s]+", " ".join(line.words[1:]))[1:]
        if servers and all(map(is_lost, servers)):
            state.say("M-07", line, "cannot be reached from EC2")
            return None
    if place is not None and place.primary and place.dhcp and line.words[0] in _NO_IPV4:
        state.say("M-08", line, "would leave EC2's one NIC without an address or a way out")
        return None
    if line.words[0] in dhcpcd.ADDRESS_LISTS:
        return _listed(line, state)
    return _renamed(line, state) if line.words[0] == "interface" else line.text


def _renamed(line: dhcpcd.Line, state: _State) -> str:
    text = re.sub(r"(?<=\s)\S+", lambda match: state.names.word(match.group()), line.text)
    if text != line.text:
        state.say("R-66", line, f"becomes {' '.join(text.split())}")
    return text


def _listed(line: dhcpcd.Line, state: _State) -> str | None:
    """What dhcpcd takes, or does not: EC2's NIC is treated as the one it takes the place of."""
    text = _renamed(line, state)
    nics = state.network.nics
    old = nics[0].name if nics else None
    if old is None or not state.names.settled:
        return text
    today = any(fnmatch.fnmatchcase(old, word) for word in line.words[1:])
    words = text.split()[1:]
    catching = [word for word in words if fnmatch.fnmatchcase(EC2_NAME, word)]
    if line.words[0] == "allowinterfaces" and today and not catching:
        state.say("R-66", line, f"does not allow {EC2_NAME}")
        body = text.rstrip()
        return f"{body} {EC2_NAME}{text[len(body) :]}"
    if line.words[0] == "denyinterfaces" and not today and catching:
        state.say("R-66", line, f"would deny {EC2_NAME}")
        text = re.sub(r"\s+(\S+)", lambda m: "" if m.group(1) in catching else m.group(), text)
        return text if text.split()[1:] else None
    return text
