"""Static addressing in NetworkManager's keyfiles becomes DHCP, on EC2's NIC (M-06, M-07, M-08)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Network, Place
from imgpatch.inspection.stacks import Role, is_pattern, networkmanager
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.nic_names import Names, new_names
from imgpatch.transforms.resolv_conf import is_lost

CREATED = f"{networkmanager.FOLDER}/{EC2_NAME}.nmconnection"
ADDRESSING = re.compile(
    r"(address(es)?|routes?|routing-rule)\d*(_options)?|gateway|dns\d*|never-default|ignore-auto-(dns|routes)"
)
_ROUTES = re.compile(r"routes?\d*(_options)?|gateway|address(es)?\d*")
_NAME_KEYS = {
    ("connection", "interface-name"),
    ("match", "interface-name"),
    ("vlan", "parent"),
    ("macvlan", "parent"),
    ("bond", "primary"),
    ("bond", "active_slave"),
    ("connection", "master"),
    ("connection", "controller"),
}
_HARDWARE_MATCH = frozenset({"path", "driver"})
_REFUSES_ROUTES = frozenset({"never-default", "ignore-auto-routes", "route-table"})
_FALSE = frozenset({"false", "0", "no"})
_NONE_BY_DHCP = frozenset({"disabled", "link-local", "shared"})
NO_ADDRESS = {"ipv4": "disabled", "ipv6": "ignore"}
_CONNECTION = """\
[connection]
id={name}
type=ethernet
interface-name={name}

[ipv4]
method=auto

[ipv6]
method=auto
"""


@dataclass(slots=True)
class _State:
    """One keyfile.

    Attributes:
        key: under what the inspection knows its interface.
        static: the families of which addressing goes.
        name: the name of the NIC, where the file finds it by its MAC address now.
        dhcp: whether it asks for an address; a bridge or bond of NICs that EC2 does not have would
            wait for one.
        servers: the name servers written here go, and DHCP's are taken.
        autoconnect: nothing else brings the interface up at boot.
    """

    key: str
    place: Place
    names: Names
    static: frozenset[str]
    name: str | None
    dhcp: bool
    servers: bool
    autoconnect: bool = False
    reasons: list[Reason] = field(default_factory=list)

    def say(self, rule: str, line: ini.Line, text: str) -> None:
        self.reasons.append(Reason(rule, f"line {line.number}: {text}"))


def applies(inspection: Inspection) -> bool:
    return networkmanager.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    network = context.inspection.network
    names = new_names(context)
    files = {path: networkmanager.read(guest, path) for path in networkmanager.files(guest)}
    states = {path: _state(path, lines, network, names) for path, lines in files.items()}
    for path in _brought_up(files, states, network):
        if (state := states[path]) is not None:
            states[path] = replace(state, autoconnect=True)
    addressed = {state.key for path, state in states.items() if state and _takes_address(files[path])}
    for path, lines in files.items():
        state = states[path]
        if state is None:
            continue
        if any(line.section == "802-1x" for line in lines) and state.place.primary:
            text = (
                f"{path}: asks for 802.1X, which EC2's network does not speak; the connection cannot come up"
            )
            yield Note(NoteKind.WARNING, "M-08", text)
        after = _keyfile(lines, state)
        if state.key not in addressed:
            after = _with_address(after, state)
        if ini.unparse(after) != ini.unparse(lines):
            yield _edit(path, after, state.reasons)
    if not network.nics and network.stacks == (networkmanager.STACK,) and _no_default(guest):
        text = "no connection is there, and NetworkManager is told to make none by itself (no-auto-default=*)"
        yield Edit(CREATED, _CONNECTION.format(name=EC2_NAME).encode(), (Reason("M-08", text),), mode=0o600)


def _edit(path: str, after: Sequence[ini.Line], reasons: Sequence[Reason]) -> Edit:
    data = ini.unparse(after).encode("utf-8", "surrogateescape")
    target = networkmanager.override(path)
    if target == path:
        return Edit(path, data, tuple(reasons))
    why = f"{path} belongs to a package and stays as it is; a file of its name in /etc takes its place"
    return Edit(target, data, (*reasons, Reason(OWN_RULE, why)), mode=0o600)  # others are refused


def _brought_up(
    files: Mapping[str, Sequence[ini.Line]], states: Mapping[str, _State | None], network: Network
) -> Iterator[str]:
    """One connection of each interface on the primary NIC that none of its connections brings up at boot."""
    if network.nics and not set(network.nics[0].sources) <= set(files):
        return
    found: dict[str, list[str]] = {}
    for path, state in states.items():
        role = networkmanager.role_of(files[path])
        if state is not None and state.place.primary and (state.place.dhcp or role is Role.NIC):
            found.setdefault(state.key, []).append(path)
    for paths in found.values():
        if not any(networkmanager.starts(files[path]) for path in paths):
            yield min(paths, key=lambda p: (not _takes_address(files[p]), -networkmanager.priority(files[p])))


def _state(path: str, lines: Sequence[ini.Line], network: Network, names: Names) -> _State | None:
    """None for a connection that stands on no NIC."""
    name = networkmanager.interface_name(lines)
    mac = next((i.mac for i in networkmanager.connection(path, lines, {}) if i.mac), None)
    known = {pin.mac: pin.name for pin in network.pins} | {n.mac: n.name for n in network.nics if n.name}
    key = next((k for k in (name, known.get(mac) if mac else None, mac, path) if k in network.places), None)
    if key is None or networkmanager.role_of(lines) not in {
        None,
        Role.NIC,
        Role.BRIDGE,
        Role.BOND,
        Role.VLAN,
    }:
        return None
    new = names.renames.get(key, key)
    place = network.places[key]
    role = networkmanager.role_of(lines)
    return _State(
        key,
        place,
        names,
        frozenset(f for f in ("ipv4", "ipv6") if networkmanager.is_static(lines, f)),
        None if name or ":" in new or "/" in new or is_pattern(new) else new,
        place.dhcp and (place.primary or role in {None, Role.NIC}),
        place.primary and place.dhcp and _has_lost_servers(lines),
    )


def _has_lost_servers(lines: Sequence[ini.Line]) -> bool:
    """DHCP's name servers are refused, and its own cannot be reached from EC2."""
    refused = (networkmanager.value(lines, "ipv4", "ignore-auto-dns") or "false") not in _FALSE
    servers = [w for text in ini.values(lines, "ipv4", "dns") for w in re.split(r"[;,\s]+", text) if w]
    return refused and all(map(is_lost, servers))


def _keyfile(lines: Sequence[ini.Line], state: _State) -> tuple[ini.Line, ...]:
    had_mac = networkmanager.value(lines, "ethernet", "mac-address")
    after = tuple(new for line in lines if (new := _line(line, state)) is not None)
    for family in sorted(state.static):
        method = "auto" if state.dhcp else NO_ADDRESS[family]
        if networkmanager.value(after, family, "method") != method:
            after = _set(after, family, "method", method)
            rule = "M-06" if method == "auto" else "M-07"
            state.reasons.append(Reason(rule, f"{family} has a static address, wanted method={method}"))
    if had_mac and state.name and state.names.settled:
        after = ini.add(after, "connection", "interface-name", state.name)
        state.reasons.append(
            Reason("R-66", f"the NIC that was found by its MAC address will be {state.name}")
        )
    return after


def _takes_address(lines: Sequence[ini.Line]) -> bool:
    return networkmanager.value(lines, "ipv4", "method") not in _NONE_BY_DHCP or networkmanager.is_static(
        lines, "ipv4"
    )


def _with_address(lines: tuple[ini.Line, ...], state: _State) -> tuple[ini.Line, ...]:
    """No connection of the interface that takes the address asks for one: this one does."""
    if not state.dhcp or not state.place.primary or not networkmanager.starts(lines):
        return lines
    old = networkmanager.value(lines, "ipv4", "method")
    state.reasons.append(Reason("M-08", f"ipv4 has method={old}, wanted auto on the one NIC of EC2"))
    return _set(lines, "ipv4", "method", "auto")


def _line(line: ini.Line, state: _State) -> ini.Line | None:
    """The line as it is to be; None where it goes."""
    if line.key is None or line.section is None:
        return line
    if line.section in {"ipv4", "ipv6"} and _goes(line.section, line.key, state):
        state.say("M-07", line, f"{line.key}={line.value} goes with the old network")
        return None
    if (
        line.section == "ipv6"
        and line.key == "may-fail"
        and line.value in {"false", "0"}
        and state.place.dhcp
    ):
        state.say(
            "M-08", line, "EC2 gives no IPv6 address at import, and the connection must not fail for that"
        )
        return None
    if line.section in networkmanager.ETHERNET and line.key == "mac-address" and state.names.settled:
        state.say("R-66", line, f"{line.value} is a MAC address that EC2's NIC does not have")
        return None
    given = line.key == "cloned-mac-address" and line.value not in {"preserve", "permanent"}
    if given or (line.section == "bridge" and line.key == "mac-address"):
        state.say(OWN_RULE, line, "EC2 lets no other MAC address through than its own NIC's")
        return None
    if line.section == "match" and line.key in _HARDWARE_MATCH and state.names.settled:
        state.say("R-66", line, f"{line.key}={line.value} finds hardware that EC2 does not have")
        return None
    if line.section == "connection" and state.place.primary:
        if line.key == "permissions" and line.value:
            state.say("M-08", line, "is for a user who is logged in, and EC2's one NIC must come up at boot")
            return None
        if line.key == "autoconnect" and state.autoconnect:
            state.say("M-08", line, f"autoconnect={line.value} would leave EC2's one NIC down at boot")
            return line.with_value("true")
    return _named(line, state)


def _goes(family: str, key: str, state: _State) -> bool:
    if family in state.static and not state.dhcp and key.startswith("dns"):
        return True  # a connection without addresses may have none of these: nm_setting_ip_config_verify
    if family in state.static:
        return bool(ADDRESSING.fullmatch(key)) or (key == "route-table" and state.place.primary)
    if state.place.primary and state.dhcp and key in _REFUSES_ROUTES and family == "ipv4":
        return True
    if state.servers and family == "ipv4" and key in {"dns", "ignore-auto-dns"}:
        return True
    return bool(_ROUTES.fullmatch(key))


def _named(line: ini.Line, state: _State) -> ini.Line:
    if (line.section, line.key) not in _NAME_KEYS:
        return line
    value = re.sub(r"[^;,\s!&|]+", lambda match: state.names.word(match.group()), line.value)
    if value == line.value:
        return line
    state.say("R-66", line, f"{line.value} will have the name {value}")
    return line.with_value(value)


def _set(lines: Sequence[ini.Line], section: str, key: str, value: str) -> tuple[ini.Line, ...]:
    places = [i for i, line in enumerate(lines) if line.section == section and line.key == key]
    if not places:
        return ini.add(lines, section, key, value)
    return tuple(line.with_value(value) if i in places else line for i, line in enumerate(lines))


def _no_default(guest: Guest) -> bool:
    """Whether NetworkManager makes no connection of its own for a NIC that has none."""
    found: list[str] = []
    for lines in networkmanager.configuration(guest).values():
        for text in ini.values(lines, "main", "no-auto-default"):
            found += re.split(r"[;,\s]+", text)
    return "*" in found
