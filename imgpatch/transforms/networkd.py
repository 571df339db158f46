"""Static addressing in systemd-networkd's files becomes DHCP, on EC2's NIC (M-06, M-07, M-08)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection, cloud_init
from imgpatch.inspection.network import EC2_NAME, Network, Place
from imgpatch.inspection.stacks import Role, is_pattern, netplan, networkd
from imgpatch.plan import OWN_RULE, Context, Edit, Note, Reason
from imgpatch.transforms.nic_names import Names, new_names
from imgpatch.transforms.resolv_conf import is_lost

CREATED = f"{networkd.FOLDER}/10-imgpatch-{EC2_NAME}.network"
_NETWORK = f"[Match]\nName={EC2_NAME}\n\n[Network]\nDHCP=ipv4\n"
_FALSE = frozenset({"no", "false", "0", "off", "n", "f"})
_OWN_SECTIONS = frozenset({"Address", "Route", "NextHop", "Neighbor", "RoutingPolicyRule"})
"""Whole sections that are addressing, or lead through a gateway that is gone."""
_REFUSES_ROUTES = frozenset({"UseRoutes", "UseGateway"})
_NOT_AT_BOOT = frozenset({"manual", "down", "always-down"})
_NAME_KEYS = frozenset({"Name", "VLAN", "Bridge", "Bond", "MACVLAN", "BindCarrier", "ActiveSlave", "Device"})


@dataclass(slots=True)
class _State:
    """One .network file with its drop-ins.

    Attributes:
        static: it has addresses or gateways, so what came with them goes too.
        dhcp: what DHCP= is to be; None leaves it.
        name: what [Match] is to find the interface by, where it goes by hardware alone now.
        released: [Match] must not go by hardware or by the old hypervisor.
        silent: it gets no address on EC2.
        servers: the name servers written here go.
        managed: networkd must take the interface.
    """

    place: Place
    names: Names
    static: bool
    dhcp: str | None
    name: str | None
    released: bool
    silent: bool
    servers: bool
    managed: bool
    reasons: list[Reason] = field(default_factory=list)

    def say(self, rule: str, line: ini.Line, text: str) -> None:
        self.reasons.append(Reason(rule, f"line {line.number}: {text}"))


def applies(inspection: Inspection) -> bool:
    return networkd.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    network = context.inspection.network
    names = new_names(context)
    for path in networkd.netdevs(guest):
        lines = networkd.read(guest, path)
        yield from _edit(path, lines, *_netdev(lines, network, names))
    for path in networkd.files(guest):
        files = {p: networkd.read(guest, p) for p in (path, *networkd.dropins(guest, path))}
        state = _state(path, files, network, names)
        if state is None:
            continue
        for file, lines in files.items():
            state.reasons = []
            yield from _edit(file, lines, _network(lines, state, main=file == path), state.reasons)
    if not network.nics and set(network.stacks) <= {networkd.STACK, netplan.STACK} and not _written(guest):
        text = "no file of systemd-networkd or netplan is for a network interface"
        yield Edit(CREATED, _NETWORK.encode(), (Reason("M-08", text),))


def _written(guest: Guest) -> bool:
    """Whether cloud-init will configure the network on EC2, or netplan hands it to NetworkManager."""
    if not cloud_init.is_disabled(guest) and not cloud_init.is_network_disabled(guest):
        return True
    documents = (netplan.read(guest, path) for path in netplan.files(guest))
    return any(d is None or d.at(("network", "renderer")) == "NetworkManager" for d in documents)


def _edit(
    path: str, lines: Sequence[ini.Line], after: Sequence[ini.Line], reasons: Sequence[Reason]
) -> Iterable[Edit]:
    text = ini.unparse(after)
    if text == ini.unparse(lines):
        return
    target = networkd.override(path)
    if target != path:
        why = f"{path} belongs to a package and stays as it is; a file of its name in /etc takes its place"
        reasons = (*reasons, Reason(OWN_RULE, why))
    yield Edit(target, text.encode("utf-8", "surrogateescape"), tuple(reasons))


def _state(
    path: str, files: dict[str, tuple[ini.Line, ...]], network: Network, names: Names
) -> _State | None:
    """None for a file of an interface that stands on no NIC."""
    every = [line for lines in files.values() for line in lines]
    found = networkd.names(files[path])
    pinned = {pin.mac: pin.name for pin in network.pins if pin.mac}
    pinned.update({nic.mac: nic.name for nic in network.nics if nic.mac and nic.name})
    macs = networkd.macs(files[path])
    candidates = (*found, *(pinned.get(mac) for mac in macs), *macs, path)
    key = next((k for k in candidates if k is not None and k in network.places), None)
    if not found or key is None:
        return None
    place = network.places[key]
    static = networkd.is_static(every) or bool(networkd.gateways(every))
    port = any(ini.values(every, "Network", key) for key in networkd.UPPER)
    mine = not network.nics or set(network.nics[0].sources) <= set(files)
    left = networkd.is_unmanaged(every) and not (place.primary and mine)
    wanted = place.dhcp and not port and not left and (static or (place.primary and found != ("*",)))
    hardware = any(line.section == "Match" and not networkd.fits_ec2(line) for line in every)
    new = names.renames.get(key, key)
    released = hardware and names.settled and (found != (None,) or _is_plain(new))
    return _State(
        place,
        names,
        static,
        dhcp="ipv4" if wanted and not networkd.is_dhcp(every) else None,
        name=new if released and _is_plain(new) else None,
        released=released,
        silent=not place.primary or (static and not place.dhcp),
        servers=static or (place.primary and _has_lost_servers(every)),
        managed=place.primary and not left,
    )


def _has_lost_servers(lines: Sequence[ini.Line]) -> bool:
    """DHCP's name servers are refused, and its own cannot be reached from EC2."""
    servers = [word.split("#")[0] for text in ini.values(lines, "Network", "DNS") for word in text.split()]
    refused = any(line.key == "UseDNS" and line.value.lower() in _FALSE for line in lines)
    return refused and all(is_lost(server) for server in servers)


def _is_plain(name: str) -> bool:
    return ":" not in name and "/" not in name and not is_pattern(name)


def _network(lines: Sequence[ini.Line], state: _State, *, main: bool) -> tuple[ini.Line, ...]:
    told = _told_by_dhcp(lines)
    after = [
        new for line in lines if (new := line if line.number in told else _line(line, state)) is not None
    ]
    if not main:
        if ini.values(after, "Network", "DHCP") != ini.values(lines, "Network", "DHCP"):
            state.reasons.append(
                Reason("M-06", f"the interface is to be addressed by DHCP: DHCP={state.dhcp}")
            )
        return tuple(after)
    result = tuple(after)
    if state.released and not any(line.section == "Match" and line.key for line in result):
        result = ini.add(result, "Match", "Name", state.name or "*")
    elif state.name and not ini.values(result, "Match", "Name"):
        result = ini.add(result, "Match", "Name", state.name)
    if state.dhcp:
        result = _set(result, "Network", "DHCP", state.dhcp)
        state.reasons.append(Reason("M-06", f"the interface is to be addressed by DHCP: DHCP={state.dhcp}"))
    if state.silent and not _is_false(ini.values(result, "Link", "RequiredForOnline")):
        result = _set(result, "Link", "RequiredForOnline", "no")
        state.reasons.append(Reason("M-08", "it gets no address on EC2 and must not be waited for at boot"))
    return result


def _told_by_dhcp(lines: Sequence[ini.Line]) -> frozenset[int]:
    """The lines of [Route] sections through the gateway that DHCP tells, which are right everywhere."""
    found: set[int] = set()
    section: list[ini.Line] = []
    for line in (*lines, ini.header("")):
        if line.header:
            gateways = [item.value for item in section if item.key == "Gateway"]
            if gateways and gateways[-1].startswith(("_dhcp", "_ipv6ra")):
                found.update(item.number for item in section)
            section = []
        section.append(line)
    return frozenset(found)


def _line(line: ini.Line, state: _State) -> ini.Line | None:
    """The line as it is to be; None where it goes. Comments always stay."""
    if line.section in _OWN_SECTIONS and (line.header or line.key):
        state.say("M-07", line, f"{line.text.strip()} goes with the old network")
        return None
    if line.key is None:
        return line
    gone = _gone(line, state)
    if gone is not None:
        state.say(gone[0], line, f"{line.key}={line.value} {gone[1]}")
        return None
    if (
        line.section == "Network"
        and line.key == "DHCP"
        and state.dhcp
        and line.value.lower() in {*_FALSE, "none"}
    ):
        return line.with_value(state.dhcp)
    return _named(line, state.names, state.reasons)


def _gone(line: ini.Line, state: _State) -> tuple[str, str] | None:
    """Why an assignment goes: the rule and what to say of it."""
    value = line.value.lower()
    if line.section == "Network":
        return _gone_of_network(line, state)
    if state.place.dhcp and value in _FALSE:
        routes = line.key in _REFUSES_ROUTES and (state.static or state.place.primary)
        if routes or (line.key == "UseDNS" and state.servers):
            return "M-07", "would leave the interface without what was static"
    if line.section == "Match" and state.released and not networkd.fits_ec2(line):
        return "R-66", "finds hardware that EC2 does not have"
    if line.section != "Link":
        return None
    if line.key == "MACAddress":
        return OWN_RULE, "goes: EC2 lets no other MAC address through than its own NIC's"
    if state.managed and line.key == "ActivationPolicy" and value in _NOT_AT_BOOT:
        return "M-08", "would leave EC2's one NIC down at boot"
    if state.managed and line.key == "Unmanaged" and value not in _FALSE:
        return "M-08", "would leave EC2's one NIC alone, and nothing else configures it"
    return None


def _gone_of_network(line: ini.Line, state: _State) -> tuple[str, str] | None:
    told = line.value.startswith(("_dhcp", "_ipv6ra"))
    if line.key in {"Address", "Gateway"} and not told:
        return "M-07", "goes with the static address"
    if line.key == "DNS" and state.servers:
        return "M-07", "goes with the static address"
    if line.key == "DHCPServer" and state.static and line.value.lower() not in _FALSE:
        return "M-07", "needs a static address, and EC2's networks have a DHCP server"
    on = line.value.lower() not in _FALSE
    if line.key == "DefaultRouteOnDevice" and state.place.dhcp and state.place.primary and on:
        return "M-07", "is a default route past the gateway that DHCP tells"
    return None


def _netdev(
    lines: Sequence[ini.Line], network: Network, names: Names
) -> tuple[tuple[ini.Line, ...], list[Reason]]:
    """A bridge or bond on the NIC must send with the NIC's MAC address: systemd.netdev(5), MACAddress=."""
    reasons: list[Reason] = []
    name = "".join(ini.values(lines, "NetDev", "Name")[-1:])
    kind = "".join(ini.values(lines, "NetDev", "Kind")[-1:])
    place = network.places.get(name)
    result = tuple(_named(line, names, reasons) for line in lines)
    if place is None or not place.dhcp or networkd.KINDS.get(kind) not in {Role.BRIDGE, Role.BOND}:
        return result, reasons
    if ini.values(lines, "NetDev", "MACAddress")[-1:] != ("none",):
        result = _set(result, "NetDev", "MACAddress", "none")
        text = (
            "EC2 lets no MAC address through but its own NIC's, which the interface has with MACAddress=none"
        )
        reasons.append(Reason(OWN_RULE, text))
    return result, reasons


def _named(line: ini.Line, names: Names, reasons: list[Reason]) -> ini.Line:
    if line.key not in _NAME_KEYS:
        return line
    words = line.value.split()
    new = [
        names.word(word.lstrip("!")) if not word.startswith("!") else f"!{names.word(word[1:])}"
        for word in words
    ]
    if new == words:
        return line
    reasons.append(Reason("R-66", f"line {line.number}: {line.value} will have the name {' '.join(new)}"))
    return line.with_value(" ".join(new))


def _set(lines: Sequence[ini.Line], section: str, key: str, value: str) -> tuple[ini.Line, ...]:
    """Changes the last assignment, which is the one that counts, or adds one."""
    places = [i for i, line in enumerate(lines) if line.section == section and line.key == key]
    if not places:
        return ini.add(lines, section, key, value)
    changed = lines[places[-1]].with_value(value)
    return tuple(changed if i == places[-1] else replace(line) for i, line in enumerate(lines))


def _is_false(values: Sequence[str]) -> bool:
    return bool(values) and values[-1].lower() in _FALSE
