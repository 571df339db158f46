"""The hardware of an OVF (DSP0243 8, CIM_ResourceAllocationSettingData), and what vendors add to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgpatch.formats.xmltext import Element

PROCESSOR, MEMORY, ETHERNET, FLOPPY, CD, DVD, DISK = "3", "4", "10", "14", "15", "16", "17"
DRIVES = {FLOPPY: "floppy", CD: "CD-ROM", DVD: "CD-ROM"}

_ITEMS = ("Item", "StorageItem", "EthernetPortItem")  # the last two are of OVF 2
_TARGET = re.compile(r"(?:ovf:)?/?(disk|file)/(.+)")
_ADDRESS = re.compile(r"\d{1,9}")
_NUMBER = re.compile(r"\s*(\d{1,19})\s*")
_UNITS = re.compile(r"\s*bytes?\s*(?:\*\s*(\d{1,4})\s*(?:\^\s*(\d{1,2}))?)?\s*", re.IGNORECASE)
_OLD_UNITS = {"kilobytes": 10, "kb": 10, "megabytes": 20, "mb": 20, "gigabytes": 30, "gb": 30,
              "terabytes": 40, "tb": 40}  # fmt: skip
_VMWARE = "{http://www.vmware.com/schema/ovf}"
_XEN_BOOT = "HVM_boot_params"
_XEN_DEVICE = re.compile(r"(?:^|,)device=(\d{1,9})(?:,|$)")
_LAST = 1 << 31


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of hardware; texts are empty where it does not tell.

    Attributes:
        number: which it is in the text.
        type: ResourceType, as CIM numbers it.
        label: what to call it in a message.
    """

    number: int
    type: str
    subtype: str
    id: str
    parent: str
    address: str
    address_on_parent: str
    host_resource: str
    connection: str
    quantity: str
    units: str
    label: str


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card.

    Attributes:
        model: for instance `E1000` or `VmxNet3`; empty where it is not told.
        network: the name of the network it is on.
    """

    model: str
    network: str


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive for removable media with something connected to it.

    Attributes:
        kind: `CD-ROM` or `floppy`.
        media: what is in it, as the OVF says: `ovf:/file/file2`, or a device of the host.
    """

    kind: str
    label: str
    media: str


def items(hardware: Element, configuration: str | None) -> tuple[Item, ...]:
    """The items the machine has unless its user chooses another configuration.

    Items with `ovf:bound` only say which quantities may be chosen (DSP0243 8.4).
    """
    found = []
    for number, element in enumerate(hardware.children):
        if element.name not in _ITEMS:
            continue
        own = {name.rpartition("}")[2]: value for name, value in element.attributes.items()}
        only = own.get("configuration", "").split()
        if "bound" not in own and (not only or configuration in only):
            found.append(_item(number, element))
    return tuple(found)


def _item(number: int, element: Element) -> Item:
    values: dict[str, str] = {}
    for child in element.children:
        values.setdefault(child.name, child.text.strip())

    def value(*names: str) -> str:
        return next((values[name] for name in names if values.get(name)), "")

    return Item(
        number,
        value("ResourceType"),
        value("ResourceSubType"),
        value("InstanceID", "InstanceId"),  # the latter in OVF 0.9
        value("Parent"),
        value("Address"),
        value("AddressOnParent"),
        value("HostResource"),
        value("Connection"),
        value("VirtualQuantity"),
        value("AllocationUnits"),
        value("ElementName", "Caption", "Description", "InstanceID", "InstanceId") or f"number {number + 1}",
    )


def target(item: Item, kind: str) -> str | None:
    """The id in `ovf:/disk/ID` or `/file/ID`, as the kind is; None where the item names no such thing."""
    found = _TARGET.fullmatch(item.host_resource)
    return found[2] if found is not None and found[1] == kind else None


def disks(items: Sequence[Item]) -> list[Item]:
    """The hard disks in the machine's order.

    Each kind of controller (IDE, SCSI, SATA) stands where its first disk is in the text, since the OVF
    does not tell the order of boot between kinds. Within a kind it goes by the address of the controller,
    on a controller by the address on it; what has no address comes in the text's order, last.
    Whatever holds an `ovf:/disk` and is no drive for removable media counts: XenServer writes type 19 for
    what others call 17.
    """
    found = [
        item
        for item in items
        if item.type == DISK or (item.type not in DRIVES and target(item, "disk") is not None)
    ]
    controllers: dict[str, Item] = {}
    for item in items:
        controllers.setdefault(item.id, item)
    first_of_type: dict[str, int] = {}
    keys = {}
    for item in found:
        controller = controllers.get(item.parent) if item.parent else None
        kind = "" if controller is None else controller.type
        keys[item.number] = (
            first_of_type.setdefault(kind, item.number),
            _address(controller.address) if controller else _LAST,
            controller.number if controller else _LAST,
            _place(item),
            item.number,
        )
    return sorted(found, key=lambda item: keys[item.number])


def _place(item: Item) -> int:
    """Its address on the controller, or the number XenServer gives it: `device=0,bootable=true,mode=RW`."""
    device = _XEN_DEVICE.search(item.connection)
    return _address(device[1] if device and not item.address_on_parent else item.address_on_parent)


def _address(text: str) -> int:
    return int(text) if _ADDRESS.fullmatch(text) else _LAST


def nics(items: Iterable[Item]) -> tuple[Nic, ...]:
    return tuple(Nic(item.subtype, item.connection) for item in items if item.type == ETHERNET)


def drives(items: Iterable[Item]) -> tuple[Drive, ...]:
    return tuple(
        Drive(DRIVES[item.type], item.label, item.host_resource)
        for item in items
        if item.type in DRIVES and item.host_resource
    )


def processors(items: Iterable[Item]) -> int | None:
    quantity = next((item.quantity for item in items if item.type == PROCESSOR), "")
    return int(quantity) if _ADDRESS.fullmatch(quantity) else None


def memory(items: Iterable[Item]) -> int | None:
    item = next((item for item in items if item.type == MEMORY), None)
    return None if item is None else in_bytes(item.quantity, item.units or "byte * 2^20")


def in_bytes(number: str, units: str) -> int | None:
    """Bytes of `20` and `byte * 2^30`; None for what is no plain number (`${disk.size}`) or unit."""
    count = _NUMBER.fullmatch(number)
    found = _UNITS.fullmatch(units)
    if count is None:
        return None
    if found is None:
        power = _OLD_UNITS.get(units.strip().lower())
        return None if power is None else int(count[1]) << power
    factor: int = int(found[1] or 1) ** int(found[2] or 1)
    return int(count[1]) * factor


def firmware(system: Element) -> str | None:
    """What VMware (`vmw:Config`), XenServer or VirtualBox (`vbox:Machine`) says of it."""
    for element in system.walk():
        own = element.attributes
        if element.name in ("Config", "ExtraConfig") and own.get(f"{_VMWARE}key") == "firmware":
            return _firmware(own.get(f"{_VMWARE}value", ""))
        if element.name == "VirtualSystemOtherConfigurationData" and _XEN_BOOT in own.values():
            return _firmware("".join(child.text for child in element.children if child.name == "Value"))
    machine = next((child for child in system.children if child.name == "Machine"), None)
    if machine is None:
        return None
    # VirtualBox writes the element only for what is no BIOS, or without a type.
    types = [element.attributes.get("type", "") for element in machine.walk() if element.name == "Firmware"]
    return _firmware(types[0] if types else "")


def _firmware(word: str) -> str:
    """VMware's bios and efi, VirtualBox's BIOS, EFI, EFI32, EFI64 and EFIDUAL, Xen's `firmware=uefi`."""
    return "uefi" if "efi" in word.lower() else "bios"
