"""The network configuration of the guest: which stacks configure which network interfaces."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.guest import Guest


@dataclass(frozen=True, slots=True)
class Nic:
    """A physical network interface that the guest's files configure (no bridge, bond, VLAN, loopback).

    Attributes:
        name: as the files call it; None where they find it by MAC address alone.
        mac: lower case with colons, where a file pins it.
        static: whether a file gives it a static address.
        sources: the files that configure it.
    """

    name: str | None
    mac: str | None
    static: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """All stacks that are configured, and the interfaces, the primary one first.

    Attributes:
        stacks: `ifupdown`, `systemd-networkd`, `netplan`, `NetworkManager`, ...
        nics: the first one is the one that EC2's single network interface takes the place of.
    """

    stacks: tuple[str, ...]
    nics: tuple[Nic, ...]


def inspect_network(guest: Guest) -> Network:
    raise NotImplementedError(guest)
