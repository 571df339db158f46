"""Guests with a network, the corpora's files about it, and the ways the corpora's laws want them spoiled."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import cast

from imgpatch import edition
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import inspect_network
from imgpatch.inspection.system import inspect_system
from imgpatch.plan import Choices, Context, Plan, Transform, make_plan, planned
from imgpatch.storage import Storage
from imgpatch.transforms import (
    bridge_macs,
    cloud_init,
    dhclient,
    dhcpcd,
    ifcfg,
    ifupdown,
    initramfs_network,
    netplan,
    networkd,
    networkmanager,
    networkmanager_conf,
    nic_mentions,
    nic_names,
    old_network,
    resolv_conf,
    wicked,
)

CORPORA = Path(__file__).parents[1] / ".." / "shared" / "corpora" / "config"
MODULES: tuple[ModuleType, ...] = (
    nic_names,
    ifupdown,
    networkd,
    netplan,
    cloud_init,
    networkmanager,
    networkmanager_conf,
    ifcfg,
    wicked,
    dhclient,
    dhcpcd,
    bridge_macs,
    resolv_conf,
    old_network,
    initramfs_network,
    nic_mentions,
)
INTERFACES = "/etc/network/interfaces"
KEYFILES = "/etc/NetworkManager/system-connections"


def corpus(category: str) -> list[Path]:
    """Its files; none where the corpora are not here."""
    return sorted(path for path in (CORPORA / category).rglob("*") if path.is_file())


def guest(
    files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None, *, client: bool = True
) -> Guest:
    """A machine with these files; with a DHCP client for ifupdown unless told otherwise."""
    data = {
        path: text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        for path, text in files.items()
    }
    dhclient = {"/usr/sbin/dhclient": b""} if client else {}
    return Guest(MemoryTree({**dhclient, **data}, links=links), Storage())


def context(machine: Guest, nic_names: str = "eth0") -> Context:
    inspection = Inspection(inspect_system(machine), "bios", None, (), inspect_network(machine))
    return Context(edition.load(), inspection, Choices(nic_names=nic_names))


def plan(machine: Guest, nic_names: str = "eth0") -> Plan:
    """What the transforms of the network make of it; a second plan over the result must be empty."""
    transforms = cast("Sequence[Transform]", MODULES)
    first = make_plan(machine, transforms, context(machine, nic_names))
    after = planned(machine, {change.path: change.after for change in first.changes})
    second = make_plan(after, transforms, context(after, nic_names))
    assert second.changes == (), "a second plan changes something"
    return first


def after(files: Mapping[str, str | bytes], path: str | None = None, nic_names: str = "eth0") -> str:
    """The planned text of a file, of the first one where none is named."""
    machine = guest(files)
    wanted = path or next(iter(files))
    changes = {change.path: change.after for change in plan(machine, nic_names).changes}
    data = changes.get(wanted, machine.read(wanted))
    assert data is not None
    return data.decode("utf-8", "surrogateescape")


def mutations(data: bytes, seed: str, cuts: int = 20) -> list[bytes]:
    chance = random.Random(seed)
    return [
        data.replace(b"\n", b"\r\n"),
        data.rstrip(b"\n"),
        b"\xef\xbb\xbf" + data,
        data + b"# caf\xe9\n",
        data.replace(b"\n", b" \t\n"),
        data + data,
        *(data[: chance.randrange(len(data) + 1)] for _ in range(cuts)),
    ]
