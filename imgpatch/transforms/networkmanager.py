"""Static addressing in NetworkManager's keyfiles becomes DHCP, on EC2's NIC (M-06, M-07, M-08)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Network, Place
from imgpatch.inspection.stacks import Role, is_pattern, networkmanager
from imgpatch.plan import OWN_RULE, Context, Edit, Note, Reason
from imgpatch.transforms.nic_names import Names, new_names

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
    """

    key: str
    place: Place
    names: Names
    static: frozenset[str]
    name: str | None
    dhcp: bool
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
    addressed = {state.key for path, state in states.items() if state and _takes_address(files[path])}
    for path, lines in files.items():
        state = states[path]
        if state is None:
            continue
        after = _keyfile(lines, state)
        if state.key not in addressed:
            after = _with_address(after, state)
        if ini.unparse(after) != ini.unparse(lines):
            yield Edit(path, ini.unparse(after).encode("utf-8", "surrogateescape"), tuple(state.reasons))
    if not network.nics and network.stacks == (networkmanager.STACK,) and _no_default(guest):
        text = "no connection is there, and NetworkManager is told to make none by itself (no-auto-default=*)"
        yield Edit(CREATED, _CONNECTION.format(name=EC2_NAME).encode(), (Reason("M-08", text),), mode=0o600)


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
    )


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
    autoconnect = networkmanager.value(lines, "connection", "autoconnect") or "true"
    if not state.dhcp or not state.place.primary or autoconnect in {"false", "0"}:
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
    return _named(line, state)


def _goes(family: str, key: str, state: _State) -> bool:
    if family in state.static and not state.dhcp and key.startswith("dns"):
        return True  # a connection without addresses may have none of these: nm_setting_ip_config_verify
    if family in state.static:
        return bool(ADDRESSING.fullmatch(key))
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
    folders = ("/usr/lib/NetworkManager/conf.d", "/etc/NetworkManager/conf.d")
    paths = [
        "/etc/NetworkManager/NetworkManager.conf",
        *(p for f in folders for p in guest.glob(f"{f}/*.conf")),
    ]
    found: list[str] = []
    for path in paths:
        lines = ini.parse(guest.text(path) or "", ini.Dialect.KEYFILE)
        found += [
            word
            for text in ini.values(lines, "main", "no-auto-default")
            for word in re.split(r"[;,\s]+", text)
        ]
    return "*" in found
