"""A descriptor for other disks: the given one with only what must change, or a new one of a plain machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.formats import ovf, ovf_hardware
from imgpatch.formats.ovf import Appliance, Disk
from imgpatch.formats.xmltext import Span, escaped

_VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html"
_OLD_VMDK = "http://www.vmware.com/specifications/vmdk.html"
FORMATS = {
    "vmdk": (f"{_VMDK}#streamOptimized", f"{_OLD_VMDK}#streamOptimized", f"{_VMDK}#compressed",
             f"{_OLD_VMDK}#compressed"),
    "vpc": ("http://go.microsoft.com/fwlink/?LinkId=137171",
            "http://www.microsoft.com/technet/virtualserver/downloads/vhdspec.mspx"),
    "raw": ("http://en.wikipedia.org/wiki/Byte",),
    "qcow2": ("http://www.gnome.org/~markmc/qcow-image-format.html",),
}  # fmt: skip
"""A format as qemu names it -> the URIs it has in descriptors, first the one to write: VMware's for
stream-optimized VMDK, VirtualBox's for VHD, oVirt's for raw and qcow2. Others have none."""

UNITS_A_BUS = 15  # of a SCSI controller; the controller itself is unit 7
_HOST_UNIT = 7


@dataclass(frozen=True, slots=True)
class DiskFile:
    """The file a disk is to be in.

    Attributes:
        name: of the file beside the descriptor.
        size: bytes of the file.
        capacity: bytes of the disk.
        format: a key of `FORMATS`.
    """

    name: str
    size: int
    capacity: int
    format: str


@dataclass(frozen=True, slots=True)
class NewMachine:
    """The machine of a descriptor that is written anew.

    Attributes:
        firmware: `bios` or `uefi`.
        system: `linux`, `windows`, or anything else for what is not known.
        memory: bytes.
    """

    name: str
    firmware: str = "bios"
    system: str = ""
    processors: int = 2
    memory: int = 2 << 30


def edited(machine: Appliance, files: Sequence[DiskFile]) -> bytes:
    """The descriptor with other disk files; whatever need not change stays byte for byte.

    Args:
        machine: the descriptor as it was read.
        files: one for each of `machine.disks`, in that order.
    """
    edits = [
        edit
        for disk, file in zip(machine.disks, files, strict=True)
        for edit in (*_of_file(disk, file), *_of_disk(disk, file))
    ]
    return machine.document.edited(edits)


def _of_file(disk: Disk, file: DiskFile) -> Iterator[tuple[Span, str]]:
    href, size = (ovf.attribute_span(disk.file.element, name) for name in ("href", "size"))
    if href is not None and file.name not in disk.file.names:
        yield href, file.name
    if size is not None and disk.file.size != file.size:
        yield size, str(file.size)


def _of_disk(disk: Disk, file: DiskFile) -> Iterator[tuple[Span, str | None]]:
    uri = ovf.attribute_span(disk.element, "format")
    if uri is not None and disk.format not in FORMATS[file.format]:
        yield uri, FORMATS[file.format][0]
    populated = ovf.attribute_span(disk.element, "populatedSize")
    if populated is not None:
        yield populated, None  # it is optional, and nothing here knows it
    capacity = ovf.attribute_span(disk.element, "capacity")
    if capacity is not None and disk.capacity not in (None, file.capacity):
        yield capacity, str(file.capacity)
        units = ovf.attribute_span(disk.element, "capacityAllocationUnits")
        if units is not None:
            yield units, "byte"


_SYSTEMS = {"linux": (101, "otherLinux64Guest"), "windows": (103, "windows7Server64Guest")}
_OTHER_SYSTEM = (102, "otherGuest64")
_NETWORK = "VM Network"
_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
{files}
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
{disks}
  </DiskSection>
  <NetworkSection>
    <Info>Logical networks</Info>
    <Network ovf:name="{network}">
      <Description>The network of the machine</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="{system}" vmw:osType="{vmware_system}">
      <Info>The installed operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
{items}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{firmware}"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def new(machine: NewMachine, files: Sequence[DiskFile]) -> bytes:
    """A descriptor of OVF 1 that VMware and VirtualBox read.

    Disks hang in order on LSI Logic SCSI controllers and the network card is an Intel E1000: each of
    the two refuses the name the other has for SATA, and only VMware knows VMXNET3. ESXi takes vmx-10
    since 5.5. VirtualBox takes the firmware from its own settings alone, which are too many to make up.
    """
    system, vmware_system = _SYSTEMS.get(machine.system, _OTHER_SYSTEM)
    text = _ENVELOPE.format(
        files="\n".join(_file(number, file) for number, file in enumerate(files, 1)),
        disks="\n".join(_disk(number, file) for number, file in enumerate(files, 1)),
        items="\n".join(_items(machine, len(files))),
        name=escaped("".join(letter if letter.isprintable() else "_" for letter in machine.name)),
        network=_NETWORK,
        system=system,
        vmware_system=vmware_system,
        firmware="efi" if machine.firmware == "uefi" else "bios",
    )
    return text.encode()


def _file(number: int, file: DiskFile) -> str:
    return f'    <File ovf:href="{escaped(file.name)}" ovf:id="file{number}" ovf:size="{file.size}"/>'


def _disk(number: int, file: DiskFile) -> str:
    return (
        f'    <Disk ovf:capacity="{file.capacity}" ovf:capacityAllocationUnits="byte" '
        f'ovf:diskId="vmdisk{number}" ovf:fileRef="file{number}" ovf:format="{FORMATS[file.format][0]}"/>'
    )


def _items(machine: NewMachine, disks: int) -> Iterator[str]:
    buses = -(-disks // UNITS_A_BUS)
    yield _item(ElementName=f"{machine.processors} virtual CPU(s)", InstanceID=1,
                ResourceType=ovf_hardware.PROCESSOR, VirtualQuantity=machine.processors)  # fmt: skip
    mebibytes = machine.memory >> 20
    yield _item(AllocationUnits="byte * 2^20", ElementName=f"{mebibytes}MB of memory", InstanceID=2,
                ResourceType=ovf_hardware.MEMORY, VirtualQuantity=mebibytes)  # fmt: skip
    for bus in range(buses):
        yield _item(Address=bus, Description="SCSI Controller", ElementName=f"SCSI controller {bus}",
                    InstanceID=3 + bus, ResourceSubType="lsilogic", ResourceType=6)  # fmt: skip
    for disk in range(disks):
        unit = disk % UNITS_A_BUS
        yield _item(AddressOnParent=unit + (unit >= _HOST_UNIT), ElementName=f"Hard disk {disk + 1}",
                    HostResource=f"ovf:/disk/vmdisk{disk + 1}", InstanceID=3 + buses + disk,
                    Parent=3 + disk // UNITS_A_BUS, ResourceType=ovf_hardware.DISK)  # fmt: skip
    yield _item(AutomaticAllocation="true", Connection=_NETWORK, Description="E1000 ethernet adapter",
                ElementName="Network adapter 1", InstanceID=3 + buses + disks, ResourceSubType="E1000",
                ResourceType=ovf_hardware.ETHERNET)  # fmt: skip


def _item(**values: object) -> str:
    """One Item; the schema of CIM wants its elements in the order of the alphabet, as they are given."""
    lines = "\n".join(f"        <rasd:{name}>{value}</rasd:{name}>" for name, value in values.items())
    return f"      <Item>\n{lines}\n      </Item>"
