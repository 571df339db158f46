"""Static addressing in SUSE's ifcfg files becomes DHCP, on EC2's NIC (M-06, M-07, M-08).

The name of a file is the name of its interface there, so a file moves with the NIC that is renamed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import sysconfig
from imgpatch.formats.sysconfig import GONE, Variable
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Place
from imgpatch.inspection.stacks import is_pattern, wicked
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.wicked_files import Move, State, moved_files, new_state, routes, settings

ADDRESSING = re.compile(
    r"(IPADDR|PREFIXLEN|NETMASK|BROADCAST|NETWORK|REMOTE_IPADDR|LABEL|SCOPE|IP_OPTIONS|GATEWAY)(?![A-Z]).*"
)
"""What goes with a static address, each with any suffix: IPADDR_1, NETMASK_office, IPADDR6."""

_NAMES = re.compile(
    r"BONDING_SLAVE.*|BRIDGE_PORTS|TEAM_PORT_DEVICE.*|OVS_BRIDGE_PORT_DEVICE.*|(ETHER|MACVLAN_|MACVTAP_|IPVLAN_|IPVTAP_)DEVICE"
    r"|MASTER_DEVICE|VXLAN_DEVICE|TUNNEL_DEVICE|TUNNEL_LOCAL_INTERFACE|DEVICE"
)
_NAMES_INSIDE = frozenset({"BONDING_MODULE_OPTS", "ETHTOOL_OPTIONS"})
_ARP_WATCH = re.compile(r"arp_(ip_target|interval|validate|all_targets)=.*")
_FILE = "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"


def applies(inspection: Inspection) -> bool:
    return wicked.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    state = new_state(guest, context)
    moves = [_ifcfg(guest, path, state) for path in wicked.files(guest)]
    moves += routes(guest, state)
    moves += settings(guest, state)
    moves += moved_files(guest, state)
    moves += _missing(state)
    yield from _as_edits(guest, moves)
    yield from state.notes
    yield from _left_alone(guest, state)


def _as_edits(guest: Guest, moves: Iterable[Move]) -> Iterator[Edit]:
    """One edit a path: of two files that change names with each other, neither is removed."""
    found: dict[str, Edit] = {}
    moves = list(moves)
    left = {guest.resolve(move.path) for move in moves if move.path != move.target}
    for move in sorted(moves, key=lambda move: move.path != move.target):
        old, new = guest.resolve(move.path), guest.resolve(move.target)
        if old != new:
            said = posixpath.basename(move.target)
            reason = Reason("R-66", f"the file is called after its interface, and will be {said}")
            found.setdefault(old, Edit(old, None, (reason,) if move.after is not None else move.reasons))
            if move.after is not None:
                text = f"this is {posixpath.basename(move.path)} under the interface's new name"
                if guest.exists(new) and new not in left:
                    text += "; what was here belongs to no NIC, and stays as the original alone"
                why = Reason("R-66", text)
                found[new] = Edit(new, _encode(move.after), (why, *move.reasons), move.mode)
        elif move.after != move.before:
            after = None if move.after is None else _encode(move.after)
            found[new] = Edit(new, after, move.reasons, move.mode)
    yield from found.values()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _ifcfg(guest: Guest, path: str, state: State) -> Move:
    text = guest.text(path) or ""
    called = path.removeprefix(wicked.PREFIX)
    place = state.place(path)
    reasons: list[tuple[int, Reason]] = []
    after = sysconfig.changed(text, lambda variable: _variable(variable, place, state, reasons))
    added: list[Reason] = []
    for name, value, reason in _wanted(called, wicked.read(guest, path), place, state):
        line = next((v.line for v in sysconfig.read(text) if v.name == name and v.last), None)
        try:
            after = sysconfig.with_value(after, name, value)
        except FormatError:
            found = "a quote or condition in it is never closed, so nothing can be added"
            state.warn("M-06", f"{path}: {name} should be {value}: {found}; mend it yourself")
            continue
        if line is None:
            added.append(reason)
        else:
            reasons.append((line, Reason(reason.rule, f"line {line}: {reason.text}")))
    said = [reason for _, reason in sorted(reasons, key=lambda pair: pair[0])]
    stat = guest.stat(path)
    target = wicked.PREFIX + state.word(called)
    return Move(path, target, text, after, (*said, *added), stat.mode if stat else 0o644)


def _variable(
    variable: Variable, place: Place | None, state: State, reasons: list[tuple[int, Reason]]
) -> str | object | None:
    """What becomes of one variable: a new value, GONE, or None where it stays."""

    def say(rule: str, text: str) -> None:
        reasons.append((variable.line, Reason(rule, f"line {variable.line}: {text}")))

    name, value = variable.name, variable.value
    shown = f"{name}={value}" if value is not None else name
    if value == "":
        return None
    if place is not None and ADDRESSING.fullmatch(name):
        say("M-07", f"{shown} goes with the static address")
        return GONE
    if place is not None and name in {"LLADDR", "MACADDR"}:
        say(OWN_RULE, f"{shown}: EC2 lets no other MAC address through than its own NIC's")
        return GONE
    if value is None:
        return None
    new = value
    if _NAMES.fullmatch(name):
        new = re.sub(r"[^\s]+", lambda match: state.word(match.group()), value)
    elif name in _NAMES_INSIDE:
        new = state.names.inside(value)
    if new != value:
        told = name if name in _NAMES_INSIDE else shown
        say("R-66", f"{told} names an interface that will have another name")
    if place is not None and place.dhcp and name == "BONDING_MODULE_OPTS" and "arp_ip_target=" in new:
        kept = [word for word in new.split() if not _ARP_WATCH.fullmatch(word)]
        new = " ".join([*kept, *([] if any(w.startswith("miimon=") for w in kept) else ["miimon=100"])])
        say(OWN_RULE, "the bond asks hosts of the old network whether its link is up, which miimon tells too")
    return new if new != value else None


def _wanted(
    called: str, variables: wicked.Variables, place: Place | None, state: State
) -> Iterator[tuple[str, str, Reason]]:
    """The variables that must hold something else for the interface to come up, or not to be waited for."""
    if place is None:
        return
    static = wicked.is_static(variables)
    protocols = wicked.protocols(variables)
    addressed = bool(protocols & {"dhcp", "dhcp4"}) and "dhcp6" not in protocols
    if place.dhcp and (static or place.primary) and not addressed:
        old = variables.get("BOOTPROTO") or "no"
        rule = "M-06" if static or old == "static" else "M-08"
        yield "BOOTPROTO", "dhcp", Reason(rule, f"{called} has {old} addressing, wanted dhcp")
    mode = variables.get("STARTMODE") or "manual"
    if place.dhcp and place.primary:
        if mode not in wicked.WORKING_MODES:
            yield "STARTMODE", "auto", Reason(OWN_RULE, f"nothing brings {called} up at boot")
        elif mode not in wicked.WAITED_FOR and len(state.network.nics) > 1:
            yield "STARTMODE", "auto", Reason("M-08", f"of several NICs {called} is the one that EC2 has")
        own = variables.get("DHCLIENT_SET_DEFAULT_ROUTE", state.default_route)
        if own == "no":
            text = f"the DHCP client would leave {called}, the one way out, without a default route"
            yield "DHCLIENT_SET_DEFAULT_ROUTE", "yes", Reason("M-07", text)
    elif mode in wicked.WAITED_FOR and (
        not place.primary or (not place.dhcp and "dhcp" in "".join(protocols))
    ):
        yield (
            "STARTMODE",
            "hotplug",
            Reason("M-08", f"{called} gets no address on EC2 and must not be waited for"),
        )


def _missing(state: State) -> Iterator[Move]:
    """A file for the interface that takes the address where nothing configures it."""
    network = state.network
    holder = next((n for n, p in network.places.items() if p.primary and p.dhcp and not is_pattern(n)), None)
    nothing = not network.nics and network.stacks == (wicked.STACK,) and not network.cloud_init
    if holder is None and nothing and state.names.settled:
        holder = EC2_NAME
    sources = {source for nic in network.nics[:1] for source in nic.sources}
    if holder is None or "/" in holder or ":" in holder or not (network.nics or nothing):
        return
    if holder in {state.key(path) for path in state.files} or not sources <= set(state.files):
        return
    if network.nics and not any((place := state.place(path)) and place.primary for path in state.files):
        return
    target = wicked.PREFIX + state.word(holder)
    text = f"{state.word(holder)} is the interface that takes the address, and no file asks for one"
    yield Move(target, target, None, _FILE, (Reason("M-08", text),), 0o644)


def _left_alone(guest: Guest, state: State) -> Iterator[Note]:
    names = [path for path in state.files if state.place(path) is None and state.called(path) != "lo"]
    if names:
        text = "left alone, since they stand on no NIC that EC2 has"
        yield Note(NoteKind.DECISION, OWN_RULE, f"{text}: {_basenames(names)}")
    if leftovers := wicked.leftovers(guest):
        text = "left alone, since they are saved copies or aliases; wicked may wait for interfaces so called"
        yield Note(NoteKind.DECISION, OWN_RULE, f"{text}: {_basenames(leftovers)}")
    if xml := guest.glob(wicked.XML):
        text = "wicked's own XML configures interfaces too, which is not treated; look at it yourself"
        yield Note(NoteKind.WARNING, "M-06", f"{', '.join(xml)}: {text}")
    if not any(guest.exists(path) for path in wicked.CLIENTS):
        text = "no DHCP client is installed in the guest: none of wickedd, dhcpcd and dhclient"
        yield Note(NoteKind.WARNING, "R-83", text)


def _basenames(paths: Iterable[str]) -> str:
    return ", ".join(map(posixpath.basename, paths))
