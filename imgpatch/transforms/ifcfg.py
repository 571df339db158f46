"""Static addressing in the Red Hat family's ifcfg files becomes DHCP, on EC2's NIC (M-06, M-07, M-08).

A file keeps its name when its device gets another one: the service `network` brings up files, not devices,
and ifup finds a device's file by its DEVICE=; ifcfg-rh never looks at the name. What goes, goes with its
whole line: the service evaluates every line that has `DEVICE=` in it, remarks too (`fgrep DEVICE=`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from imgpatch.formats import assignments, shellvars
from imgpatch.formats.shellvars import Assignment
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Network, Place
from imgpatch.inspection.stacks import Role, ifcfg, is_pattern, role_of_name
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms import ifcfg_routes
from imgpatch.transforms.nic_names import Names, new_names

ADDRESSING = re.compile(
    r"(IPADDR|NETMASK|PREFIX|BROADCAST|NETWORK|GATEWAY)\d*|IPADDR_(START|END)|CLONENUM_START|SRCADDR"
    r"|IPV6ADDR(_SECONDARIES)?|IPV6_DEFAULTGW|ROUTING_RULE6?_\w+"
)
"""What is static addressing wherever it stands: beside BOOTPROTO=dhcp GATEWAY keeps dhclient-script from
setting the router it was given, and ifcfg-rh adds IPADDR to the lease."""

_REFUSES_DHCP = frozenset(
    {"PEERDNS", "PEERROUTES", "RESOLV_MODS", "DEFROUTE", "IPV6_PEERDNS", "IPV6_PEERROUTES"}
)
_NAME_KEYS = re.compile(
    r"DEVICE|PHYSDEV|PARENTDEVICE|GATEWAYDEV|IPV6_DEFAULTDEV|MACVLAN_PARENT|BONDING_SLAVE_?\d+"
)
_LISTS = frozenset({"BONDING_OPTS", "BONDING_MODULE_OPTS", "TEAM_CONFIG", "TEAM_PORT_CONFIG"})
_OWN_MAC = frozenset({"permanent", "preserve"})
_ARP_MONITOR = re.compile(r"(arp_interval|arp_ip_target|arp_validate|arp_all_targets|ns_ip6_target)=.*")
_TYPES = {Role.NIC: "TYPE=Ethernet", Role.BRIDGE: "TYPE=Bridge", Role.BOND: "TYPE=Bond\nBONDING_MASTER=yes"}
_CLIENTS = ("/sbin/dhclient", "/usr/sbin/dhclient")


@dataclass(slots=True)
class _State:
    """One ifcfg file of an interface that stands on a NIC.

    Attributes:
        static: it has addresses, so what came with them goes too.
        bootproto, onboot: what they are to be; None leaves them.
        device: the name to be given to the NIC that the file finds by its MAC address or by any name.
        released: nothing may go by the MAC address.
    """

    config: ifcfg.Config
    place: Place
    names: Names
    static: bool
    bootproto: str | None
    onboot: str | None
    device: str | None
    released: bool
    reasons: list[tuple[int, Reason]] = field(default_factory=list)

    def say(self, rule: str, line: assignments.Line, text: str) -> None:
        self.reasons.append((line.number, Reason(rule, f"line {line.number}: {text}")))

    def say_added(self, rule: str, after: int, text: str) -> None:
        self.reasons.append((after, Reason(rule, f"after line {after}: {text}")))


def applies(inspection: Inspection) -> bool:
    return ifcfg.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    network, names = context.inspection.network, new_names(context)
    configs = ifcfg.configs(guest)
    keys = {config.path: key_of(config, network) for config in configs}
    for config in configs:
        key = keys[config.path]
        if _is_address(config, key):
            why = f"it is one more static address; {names.word(config.name or '')} takes its address by DHCP"
            yield Edit(config.path, None, (Reason("M-07", why),))
        elif key is None or config.alias_of:
            yield from _edit(guest, config.path, *_renamed(config, names))
        elif config.obscure:
            advice = f"left alone, look whether it asks for DHCP on {names.word(key)}"
            yield Note(NoteKind.WARNING, "M-06", f"{config.path}: {config.obscure}; {advice}")
        else:
            state = _state(guest, config, network, names, keys, configs)
            yield from _edit(guest, config.path, _config(config.lines, state), state.reasons)
            yield from _notes(config, state)
    created = tuple(_created(guest, network, names, configs, keys))
    owners = {config.suffix for config in configs if keys[config.path] is not None}
    owners |= {edit.path.removeprefix(f"{ifcfg.FOLDER}/ifcfg-") for edit in created}
    yield from ifcfg_routes.edits(guest, network, names, owners)
    if network.nics or created:
        yield from ifcfg_routes.of_all(guest, network, names)
    yield from created
    yield from _surroundings(guest, names, configs)


def key_of(config: ifcfg.Config, network: Network) -> str | None:
    """Under what the inspection knows its interface; None where that stands on no NIC."""
    known = {pin.mac: pin.name for pin in network.pins} | {n.mac: n.name for n in network.nics if n.name}
    mac = config.mac
    candidates = (config.name, known.get(mac) if mac else None, mac, config.path)
    key = next((k for k in candidates if k is not None and k in network.places), None)
    return None if config.role is Role.OTHER and config.alias_of is None else key


def _is_address(config: ifcfg.Config, key: str | None) -> bool:
    """Whether the file gives one more address to a NIC, perhaps to one that has no file of its own."""
    if not config.alias_of or not config.is_static or config.obscure:
        return False
    return key is not None or role_of_name(config.alias_of) is Role.NIC


def _edit(guest: Guest, path: str, text: str, reasons: Sequence[tuple[int, Reason]]) -> Iterator[Edit]:
    if text != guest.text(path):
        said = tuple(reason for _, reason in sorted(reasons, key=lambda pair: pair[0]))
        yield Edit(path, text.encode("utf-8", "surrogateescape"), said)


def _renamed(config: ifcfg.Config, names: Names) -> tuple[str, list[tuple[int, Reason]]]:
    """A tunnel, a wireless interface and the like: no more than the name of the NIC below it."""
    reasons: list[tuple[int, Reason]] = []
    if config.obscure:
        return assignments.unparse(config.lines), reasons
    lines = [line.mapped(lambda a, n=line: _named(a, n, config, names, reasons)) for line in config.lines]  # type: ignore[misc]
    return assignments.unparse(line for line in lines if line), reasons


def _state(
    guest: Guest,
    config: ifcfg.Config,
    network: Network,
    names: Names,
    keys: dict[str, str | None],
    configs: Sequence[ifcfg.Config],
) -> _State:
    key = keys[config.path] or ""
    place = network.places[key]
    others = [c for c in configs if keys[c.path] == key and c.path != config.path]
    others = [c for c in others if not c.alias_of and not c.is_port]
    mine = _only_here(network, configs, key)
    takes = (
        place.dhcp
        and not config.is_port
        and not config.is_open_vswitch
        and (place.primary or config.role in {None, Role.NIC})
    )
    bare = takes and place.primary and mine and not any(c.is_dhcp or c.is_static for c in others)
    new = names.renames.get(key, key)
    plain = ":" not in new and "/" not in new and not is_pattern(new)
    named = bool(config.value("DEVICE"))
    return _State(
        config,
        place,
        names,
        config.is_static,
        _bootproto(config, takes=takes, bare=bare),
        _onboot(guest, config, place, alone=mine and all(c.is_no("ONBOOT") for c in others)),
        device=new if plain and not named and names.settled and (config.mac or bare or new != key) else None,
        released=named or (plain and names.settled),
    )


def _only_here(network: Network, configs: Sequence[ifcfg.Config], key: str) -> bool:
    """Whether no other stack configures the interface."""
    sources = next((n.sources for n in network.nics if key in {n.name, n.mac}), ())
    return set(sources) <= {config.path for config in configs}


def _bootproto(config: ifcfg.Config, *, takes: bool, bare: bool) -> str | None:
    """What BOOTPROTO is to be: ifup knows it in lower case only."""
    now = config.value("BOOTPROTO")
    if takes and (config.is_static or bare or config.is_dhcp):
        return "dhcp" if now not in {"dhcp", "bootp"} else None
    return "none" if config.is_static and config.is_dhcp else None


def _onboot(guest: Guest, config: ifcfg.Config, place: Place, *, alone: bool) -> str | None:
    """What is not there on EC2 would make the service `network` fail; NetworkManager does not mind."""
    if not place.primary:
        return "no" if not config.is_no("ONBOOT") and ifcfg.by_initscripts(guest) else None
    if config.role is Role.VLAN or (config.role is None and config.lower):
        return None
    return "yes" if config.is_no("ONBOOT") and alone else None


def _config(lines: Sequence[assignments.Line], state: _State) -> str:
    texts = [
        new.text if (new := line.mapped(lambda a, n=line: _value(a, n, state))) else ""  # type: ignore[misc]
        for line in lines
    ]
    at = _anchor(lines)
    added = _added(state, lines[at].number if lines else 0)
    end = next((line.end for line in lines if line.end), "\n")
    if not lines:
        return "".join(f"{text}{end}" for text in added)
    return "".join(assignments.inserted(texts, at, added, end))


def _anchor(lines: Sequence[assignments.Line]) -> int:
    """New lines come after DEVICE=, else after the first assignment, else at the end."""
    of_device = [i for i, line in enumerate(lines) if any(a.name == "DEVICE" for a in line.assignments)]
    any_at_all = [i for i, line in enumerate(lines) if line.assignments]
    return (*of_device[-1:], *any_at_all[:1], len(lines) - 1)[0]


def _added(state: _State, after: int) -> list[str]:
    """Lines for what is to be set and is not there."""
    held = {a.name for line in state.config.lines for a in line.assignments}
    added = []
    if state.device:
        added.append(f"DEVICE={state.device}")
        state.say_added("R-66", after, f"no DEVICE, and the NIC will be {state.device}")
    if state.bootproto and "BOOTPROTO" not in held:
        added.append(f"BOOTPROTO={state.bootproto}")
        rule = "M-06" if state.static else "M-08"
        state.say_added(rule, after, f"no BOOTPROTO, wanted {state.bootproto}")
    if state.onboot and "ONBOOT" not in held:
        added.append(f"ONBOOT={state.onboot}")
        state.say_added("M-08", after, f"no ONBOOT, wanted {state.onboot}: {_why_onboot(state)}")
    return added


def _why_onboot(state: _State) -> str:
    if state.onboot == "yes":
        return "the one NIC of EC2 must be up after boot"
    return "EC2 has no such NIC, and the service network would fail"


def _value(item: Assignment, line: assignments.Line, state: _State) -> str | None:
    """The value as it is to be written; None where the assignment goes."""
    name, value = item.name, state.config.value(item.name)
    if (gone := _gone(name, value, state)) is not None:
        rule, text = gone
        state.say(rule, line, f"{item.text} {text}")
        return None
    wanted = {"BOOTPROTO": state.bootproto, "ONBOOT": state.onboot}.get(name)
    if wanted and shellvars.decode(item.raw) != wanted:
        rule = "M-06" if name == "BOOTPROTO" and state.static else "M-08"
        text = (
            f"{item.text}, wanted {wanted}" if name == "BOOTPROTO" else f"{item.text}: {_why_onboot(state)}"
        )
        state.say(rule, line, text)
        return shellvars.requoted(item.raw, wanted)
    if name == "IPV6_AUTOCONF" and state.config.is_no(name) and _had_ipv6(state):
        state.say("M-06", line, f"{item.text} goes with the static IPv6 address, wanted yes")
        return shellvars.requoted(item.raw, "yes")
    if name in {"BONDING_OPTS", "BONDING_MODULE_OPTS"} and any(map(_ARP_MONITOR.fullmatch, value.split())):
        state.say(
            OWN_RULE, line, "ARP targets of the old network never answer; miimon watches the link instead"
        )
        item = Assignment(name, item.operator, shellvars.requoted(item.raw, _without_arp(value)))
    return _named(item, line, state.config, state.names, state.reasons)


def _had_ipv6(state: _State) -> bool:
    return bool(state.config.value("IPV6ADDR")) and state.place.dhcp and not state.config.is_port


def _gone(name: str, value: str, state: _State) -> tuple[str, str] | None:
    """The rule and the reason by which an assignment goes."""
    if ADDRESSING.fullmatch(name):
        return "M-07", "goes with the static address"
    if state.static and re.fullmatch(r"DNS\d+", name):
        return "M-07", "goes with the static address"
    refuses = name in _REFUSES_DHCP and state.config.is_no(name)
    if state.static and state.place.dhcp and state.place.primary and refuses:
        return "M-07", "would leave the interface without what was static"
    if name == "GATEWAYDEV" and not _is_there(value, state):
        return "M-07", "is not the NIC of EC2"
    if name == "HWADDR" and state.released:
        return "R-66", "is a MAC address that EC2's NIC does not have"
    if name == "MACADDR" and value.lower() not in _OWN_MAC:
        return OWN_RULE, "is a MAC address, and EC2 lets no other through than its own NIC's"
    fatal = name == "IPV6_FAILURE_FATAL" and not state.config.is_no(name)
    if fatal and state.place.dhcp:
        return "M-08", "would fail: EC2 gives no IPv6 address at import"
    return None


def _is_there(device: str, state: _State) -> bool:
    return state.place.primary and device == state.config.value("DEVICE")


def _without_arp(value: str) -> str:
    words = [word for word in value.split() if not _ARP_MONITOR.fullmatch(word)]
    return " ".join(words if any(word.startswith("miimon=") for word in words) else [*words, "miimon=100"])


def _named(
    item: Assignment,
    line: assignments.Line,
    config: ifcfg.Config,
    names: Names,
    said: list[tuple[int, Reason]],
) -> str:
    """The value as written with the new names of the NICs in it."""
    value = config.value(item.name) if "$" in item.raw else shellvars.decode(item.raw) or ""
    if _NAME_KEYS.fullmatch(item.name):
        new = names.word(value)
    elif item.name == "NAME":  # the connection's: eth0, System eth0, Auto eth0
        head, blank, device = value.rpartition(" ")
        new = f"{head}{blank}{names.word(device)}" if head in {"", "System", "Auto"} else value
    elif item.name in _LISTS:
        raw = names.inside(item.raw)
        if raw != item.raw:
            said.append((line.number, Reason("R-66", f"line {line.number}: {item.name} has the new name")))
        return raw
    else:
        return item.raw
    if new == value:
        return item.raw
    text = f"line {line.number}: {item.name}={value} will have the name {new}"
    said.append((line.number, Reason("R-66", text)))
    return shellvars.requoted(item.raw, new)


def _notes(config: ifcfg.Config, state: _State) -> Iterator[Note]:
    where = ", ".join(str(line.number) for line in config.lines if line.is_refused())
    if where:
        text = f"{config.path}: line {where} is no assignment, and the shell passes over it; left as it is"
        yield Note(NoteKind.DECISION, OWN_RULE, text)
    if config.is_open_vswitch and state.place.primary:
        text = f"{config.path}: Open vSwitch asks for DHCP with settings of its own; not changed"
        yield Note(NoteKind.WARNING, "M-06", text)
    if "8021X" in config.value("KEY_MGMT") and state.place.primary:
        text = (
            f"{config.path}: asks for 802.1X, which EC2's network does not speak; NetworkManager waits for it"
        )
        yield Note(NoteKind.WARNING, "M-08", text)
    if re.search("arp_ping|nsna_ping", config.value("TEAM_CONFIG")):
        text = f"{config.path}: the team pings a host of the old network to see whether its link is up"
        yield Note(NoteKind.WARNING, OWN_RULE, text)


def _created(
    guest: Guest,
    network: Network,
    names: Names,
    configs: Sequence[ifcfg.Config],
    keys: dict[str, str | None],
) -> Iterator[Edit]:
    """A file for the interface that takes the address where none of the files is its own."""
    holder = next((n for n, p in network.places.items() if p.primary and p.dhcp and not is_pattern(n)), None)
    if holder is None and not network.nics and network.stacks == (ifcfg.STACK,) and not network.cloud_init:
        holder = EC2_NAME
    known = {key for path, key in keys.items() if path in {c.path for c in configs if not c.alias_of}}
    if holder is None or ":" in holder or "/" in holder or holder in known:
        return
    if network.nics and (
        not any(keys.values()) or not _only_here(network, configs, network.nics[0].name or "")
    ):
        return
    name = names.word(holder)
    path = f"{ifcfg.FOLDER}/ifcfg-{name}"
    freed = {config.path for config in configs if _is_address(config, keys[config.path])}
    if not re.fullmatch(r"[\w.-]{1,15}", name, re.ASCII) or (guest.exists(path) and path not in freed):
        return
    role = next((role for c in configs for m, role in c.masters if m == holder), Role.NIC)
    is_team = any(c.value("TEAM_MASTER") == holder for c in configs)
    kind = "DEVICETYPE=Team" if is_team else _TYPES[role]
    text = f"DEVICE={name}\n{kind}\nBOOTPROTO=dhcp\nONBOOT=yes\n"
    why = f"{name} is the interface that takes the address, and no file asks for one"
    yield Edit(path, text.encode(), (Reason("M-08", why),))


def _surroundings(guest: Guest, names: Names, configs: Sequence[ifcfg.Config]) -> Iterator[Note]:
    """What else may keep the interface from coming up."""
    if not configs:
        return
    held = ifcfg.values(ifcfg.read(guest, ifcfg.GLOBAL), {})
    if held.get("NETWORKING", "").lower() == "no" and ifcfg.by_initscripts(guest):
        yield Note(
            NoteKind.WARNING, "M-08", f"{ifcfg.GLOBAL}: NETWORKING=no, so the service network does nothing"
        )
    if not ifcfg.by_manager(guest) and not any(guest.exists(path) for path in _CLIENTS):
        yield Note(
            NoteKind.WARNING, "R-83", "ifup has no DHCP client: dhclient is not installed in the guest"
        )
    for config in configs:
        device = names.word(config.value("DEVICE"))
        if config.suffix == EC2_NAME != device and EC2_NAME in names.renames.values() and not config.alias_of:
            text = (
                f"{config.path} is the file of {device or 'another device'} now: `ifup {EC2_NAME}` takes it"
            )
            yield Note(NoteKind.WARNING, "R-66", f"{text}; say `ifup` with the name of the file")
