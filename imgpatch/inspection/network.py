"""The network configuration of the guest: which stacks configure which network interfaces."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgpatch.guest import Guest
from imgpatch.inspection import cloud_init
from imgpatch.inspection.pins import Pin, find_pins
from imgpatch.inspection.stacks import (
    Interface,
    Role,
    dhcpcd,
    ifcfg,
    ifupdown,
    is_pattern,
    kernel_index,
    netplan,
    networkd,
    networkmanager,
    role_of_name,
    wicked,
)

EC2_NAME = "eth0"
EC2_PATTERN = "eth*"


@dataclass(frozen=True, slots=True)
class Nic:
    """A physical network interface that the guest's files configure (no bridge, bond, VLAN, loopback).

    Attributes:
        name: as the files call it, perhaps a pattern (`en*`); None where they find it by MAC address alone.
        mac: lower case with colons, where a file pins it.
        static: whether a file gives it, or a bridge or bond on it, a static address.
        sources: the files that configure it.
    """

    name: str | None
    mac: str | None
    static: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an interface stands on the machine's NICs.

    Attributes:
        primary: on the primary NIC, so it is there on EC2.
        dhcp: it is the one of its NIC that takes the address: the NIC itself, or the bond or bridge
            it is a port of. VLANs and what stands on them take none: EC2 has no tagged networks.
    """

    primary: bool
    dhcp: bool


@dataclass(frozen=True, slots=True)
class Network:
    """All stacks that are configured, and the interfaces, the primary one first.

    Attributes:
        stacks: `ifupdown`, `systemd-networkd`, `netplan`, `NetworkManager`, ...
        nics: the first one is the one that EC2's single network interface takes the place of.
        renames: the name of each NIC -> its name on a machine whose one NIC is eth0.
        places: name of an interface (a MAC address where it has none) -> where it stands; what stands
            on no NIC (loopback, host-only bridges, tunnels, wireless) is not in it.
        pins: the rules and .link files that give names by hardware.
        cloud_init: the files that hand cloud-init a network configuration.
    """

    stacks: tuple[str, ...]
    nics: tuple[Nic, ...]
    renames: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    cloud_init: tuple[str, ...] = ()


def inspect_network(guest: Guest) -> Network:
    pins = find_pins(guest)
    found = [*ifupdown.interfaces(guest), *networkd.interfaces(guest), *netplan.interfaces(guest)]
    found += [*networkmanager.interfaces(guest), *ifcfg.interfaces(guest), *wicked.interfaces(guest)]
    found += dhcpcd.interfaces(guest)
    topology = Topology(found, {pin.mac: pin.name for pin in pins if pin.mac})
    nics = topology.nics()
    return Network(
        stacks=_stacks(guest, found),
        nics=tuple(topology.nic(key) for key in nics),
        renames=_renames(nics, topology),
        places=topology.places(nics),
        pins=pins,
        cloud_init=cloud_init.network_files(guest),
    )


def alone(network: Network, found: Iterable[Interface]) -> Network:
    """The network if nothing but this were configured; the names others know the NICs by stay the same."""
    topology = Topology(found, {})
    nics = topology.nics()
    renames = network.renames if network.nics else _renames(nics, topology)
    return replace(network, places=topology.places(nics), renames=renames)


def renamed(word: str, renames: Mapping[str, str]) -> str:
    """A name, a VLAN's name (`ens192.10`) or an alias (`ens192:0`) after the renames."""
    base = re.split(r"[.:]", word, maxsplit=1)[0]
    if word in renames:
        return renames[word]
    return renames[base] + word[len(base) :] if base in renames else word


class Topology:
    """What stands on what, over all stacks."""

    def __init__(self, found: Iterable[Interface], pinned: Mapping[str, str]) -> None:
        self._all: dict[str, list[Interface]] = {}
        self._lower: dict[str, list[str]] = {}
        known = dict(pinned)
        self._pinned = {name: mac for mac, name in pinned.items()}
        found = list(found)
        known.update({i.mac: i.name for i in found if i.mac and i.name})
        for interface in found:
            key = interface.name or known.get(interface.mac or "") or interface.mac or interface.source
            self._all.setdefault(key, []).append(interface)
            self._lower.setdefault(key, []).extend(known.get(port, port) for port in interface.lower)
        for port in [port for ports in self._lower.values() for port in ports]:
            self._all.setdefault(port, [])

    def role(self, key: str) -> Role:
        said = {interface.role for interface in self._all.get(key, ()) if interface.role}
        virtual = sorted(said - {Role.NIC})
        if virtual:
            return Role(virtual[0])
        return Role.NIC if said or is_pattern(key) or "/" in key else role_of_name(key)

    def bases(self, key: str) -> frozenset[str]:
        """The NICs an interface stands on; a NIC stands on itself."""
        seen: set[str] = set()
        todo = [key]
        while todo:
            here = todo.pop()
            if here not in seen:
                seen.add(here)
                todo.extend(self._lower.get(here, ()))
        return frozenset(key for key in seen if self.role(key) is Role.NIC)

    def top(self, key: str) -> str:
        """The NIC, or the bond or bridge it is a port of, or the bridge that bond is a port of."""
        seen = {key}
        while True:
            masters = [
                m
                for m, ports in self._lower.items()
                if key in ports and self.role(m) in {Role.BRIDGE, Role.BOND}
            ]
            if not masters or masters[0] in seen:
                return key
            key = masters[0]
            seen.add(key)

    def nics(self) -> list[str]:
        """The primary first: by default gateway, else DHCP at boot, else the kernel's number, else order."""
        keys = [key for key in self._all if self.role(key) is Role.NIC]
        order = {
            key: (is_pattern(key), key not in _indexed(keys), kernel_index(key) or 0, i)
            for i, key in enumerate(keys)
        }

        def rank(key: str) -> tuple[object, ...]:
            above = [i for name, items in self._all.items() if key in self.bases(name) for i in items]
            return not any(i.gateway for i in above), not any(i.dhcp and i.boot for i in above), order[key]

        if not keys:
            return []
        primary = min(keys, key=rank)
        return [primary, *sorted((key for key in keys if key != primary), key=order.__getitem__)]

    def nic(self, key: str) -> Nic:
        here = self._all[key]
        above = [*here, *(i for i in self._all.get(self.top(key), ()) if i not in here)]
        return Nic(
            name=next((i.name for i in here if i.name), None if ":" in key or "/" in key else key),
            mac=next((i.mac for i in here if i.mac), self._pinned.get(key)),
            static=any(i.static for i in above),
            sources=tuple(dict.fromkeys(i.source for i in above)),
        )

    def places(self, nics: Sequence[str]) -> dict[str, Place]:
        tops = {self.top(key) for key in nics}
        places = {}
        for key in self._all:
            bases = self.bases(key)
            if bases:
                primary = is_pattern(key) or nics[0] in bases
                places[key] = Place(primary=primary, dhcp=key in tops)
        return places


def _indexed(keys: Iterable[str]) -> set[str]:
    return {key for key in keys if kernel_index(key) is not None}


def _renames(nics: Sequence[str], topology: Topology) -> dict[str, str]:
    """One new name a NIC; none at all where something virtual already has the name eth0."""
    if topology.role(EC2_NAME) is not Role.NIC:
        return {}
    names = [key for key in nics if not is_pattern(key)]
    taken = {EC2_NAME, *_indexed(names[1:])}
    renames = {}
    for key in names[1:]:
        if kernel_index(key) is None or key == EC2_NAME:
            new = next(
                n for n in (f"eth{i}" for i in range(1, len(names) + len(taken) + 1)) if n not in taken
            )
            taken.add(new)
            renames[key] = new
    if names and names[0] != EC2_NAME:
        renames[names[0]] = EC2_NAME
    patterns = [key for key in nics if is_pattern(key)]
    if patterns[:1] == nics[:1] and not any(fnmatch.fnmatchcase(EC2_NAME, p) for p in patterns):
        renames.update(dict.fromkeys(patterns, EC2_PATTERN))
    return renames


def _stacks(guest: Guest, found: Iterable[Interface]) -> tuple[str, ...]:
    stacks = {interface.stack for interface in found}
    if any(path.startswith(f"{netplan.FOLDER}/") for path in netplan.files(guest)):
        stacks.add(netplan.STACK)
    if ifupdown.files(guest):
        stacks.add(ifupdown.STACK)
    if any(guest.exists(f"{folder}/sbin/NetworkManager") for folder in ("", "/usr")):
        stacks.add(networkmanager.STACK)
    if networkd.is_enabled(guest):
        stacks.add(networkd.STACK)
    if dhcpcd.is_enabled(guest):
        stacks.add(dhcpcd.STACK)
    if wicked.is_active(guest):
        stacks.add(wicked.STACK)
    if ifcfg.is_present(guest):
        stacks.add(ifcfg.STACK)
    own = (ifupdown.STACK, networkd.STACK, netplan.STACK, networkmanager.STACK)
    order = (*own, dhcpcd.STACK, ifcfg.STACK, wicked.STACK)
    return tuple(stack for stack in order if stack in stacks)
