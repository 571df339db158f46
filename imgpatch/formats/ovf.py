"""OVF descriptors (DSP0243 1.x; the 0.9 drafts and 2.x as exporters write them): the machine and its disks.

Sections are told by their local names, since exporters differ in the namespace they give them: VMware's
of 0.9, the DMTF's, and the DMTF's with a slash behind it (oVirt). 0.9 has one element `Section` and one
`Content`, and `xsi:type` says of which kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from imgpatch.errors import FormatError
from imgpatch.formats import ovf_hardware, xmltext
from imgpatch.formats.ovf_hardware import Drive, Item, Nic
from imgpatch.formats.xmltext import Document, Element

NAMESPACES = (
    "http://schemas.dmtf.org/ovf/envelope/1",
    "http://schemas.dmtf.org/ovf/envelope/1/",
    "http://schemas.dmtf.org/ovf/envelope/2",
    "http://schemas.dmtf.org/ovf/envelope/2/",
    "http://www.vmware.com/schema/ovf/1/envelope",
)
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_NUMBER = re.compile(r"\s*(\d{1,19})\s*")
_EXPORT_AGAIN = "export the machine again as one OVA, with each disk in one file of its own"


@dataclass(frozen=True, slots=True)
class File:
    """One line of References.

    Attributes:
        href: as it is written: the name of a file beside the descriptor.
        size: bytes; None where it is not told.
        element: where it stands.
    """

    id: str
    href: str
    size: int | None
    element: Element

    @property
    def names(self) -> tuple[str, ...]:
        """What the file may be called: an href is a URI (DSP0243 7.1), which few exporters obey."""
        return tuple(dict.fromkeys((self.href, unquote(self.href, errors="surrogateescape"))))


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of the machine.

    Attributes:
        capacity: bytes of the disk as the descriptor says; None where it does not, or not in plain numbers.
        format: a URI, for instance `http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized`.
        element: where it stands.
    """

    id: str
    file: File
    capacity: int | None
    format: str
    element: Element


@dataclass(frozen=True, slots=True)
class Appliance:
    """What a descriptor tells of its machine.

    Attributes:
        namespace: tells the version, see `NAMESPACES`.
        firmware: `bios` or `uefi`; None where the exporter does not tell.
        memory: bytes.
        disks: in the order the machine has them.
        drives: CD-ROM and floppy drives with something in them or connected to them.
        files: all that References lists, in its order.
        notes: what is odd, and was passed over.
    """

    document: Document
    namespace: str
    name: str
    firmware: str | None
    processors: int | None
    memory: int | None
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    drives: tuple[Drive, ...]
    files: tuple[File, ...]
    notes: tuple[str, ...]


def parse(data: bytes) -> Appliance:
    """Reads a descriptor.

    Raises:
        FormatError: it is none, it is of no or of several machines, or of disks that cannot be treated.
    """
    document = xmltext.parse(data)
    envelope = document.root
    if envelope.name != "Envelope" or envelope.namespace not in NAMESPACES:
        raise FormatError(
            f"the OVF is a {envelope.name} of {envelope.namespace!r}, and an Envelope of OVF 1 was wanted",
            hint="export the machine again, as OVF 1.x",
        )
    notes: list[str] = []
    system = _virtual_system(envelope, notes)
    hardware = _hardware(system, notes)
    items = ovf_hardware.items(hardware, _default_configuration(envelope))
    files = _files(envelope)
    disks = _Disks(envelope, files, notes)
    return Appliance(
        document,
        envelope.namespace,
        _name(system, hardware),
        ovf_hardware.firmware(system),
        ovf_hardware.processors(items),
        ovf_hardware.memory(items),
        disks.of_machine(items),
        ovf_hardware.nics(items),
        ovf_hardware.drives(items),
        tuple(files.values()),
        tuple(notes),
    )


def attribute(element: Element, name: str) -> str | None:
    """An attribute of the descriptor's own: in the element's namespace, or in none as some write it."""
    return element.attributes.get(f"{{{element.namespace}}}{name}", element.attributes.get(name))


def attribute_span(element: Element, name: str) -> xmltext.Span | None:
    """Where the attribute stands that `attribute` gives."""
    return element.spans.get(f"{{{element.namespace}}}{name}", element.spans.get(name))


def _kind(element: Element) -> str:
    """`DiskSection` for both `DiskSection` and `Section xsi:type="ovf:DiskSection_Type"`."""
    if element.name in ("Section", "Content"):
        return element.attributes.get(_TYPE, "").rpartition(":")[2].removesuffix("_Type")
    return element.name


def _children(element: Element, kind: str) -> Iterator[Element]:
    return (child for child in element.children if _kind(child) == kind)


def _virtual_system(envelope: Element, notes: list[str]) -> Element:
    systems: list[Element] = []
    waiting = [envelope]
    while waiting:
        element = waiting.pop()
        systems += _children(element, "VirtualSystem")
        waiting.extend(_children(element, "VirtualSystemCollection"))
    if not systems:
        raise FormatError("no virtual machine is in the OVF", hint="export a machine, not a template of one")
    if len(systems) > 1:
        names = ", ".join(_name(system, None) for system in systems[:10])
        raise FormatError(
            f"{len(systems)} virtual machines are in the OVF ({names}), and exactly one was wanted",
            hint="export each machine to an OVA of its own",
            rule="R-15",
        )
    if systems[0] not in envelope.children:
        notes.append(
            "the OVF holds its one machine in a collection (a vApp); exporters mostly write it plain"
        )
    return systems[0]


def _name(system: Element, hardware: Element | None) -> str:
    for child in system.children:
        if child.name == "Name" and child.text.strip():
            return child.text.strip()
    if hardware is not None:
        for element in hardware.walk():
            if element.name == "VirtualSystemIdentifier" and element.text.strip():
                return element.text.strip()
    return attribute(system, "id") or ""


def _hardware(system: Element, notes: list[str]) -> Element:
    sections: list[Element] = list(_children(system, "VirtualHardwareSection"))
    if not sections:
        raise FormatError("the machine of the OVF has no hardware, and disks were wanted", hint=_EXPORT_AGAIN)
    if len(sections) > 1:
        notes.append(f"the OVF describes {len(sections)} alternative sets of hardware; the first was taken")
    return sections[0]


def _default_configuration(envelope: Element) -> str | None:
    """The deployment option that is taken unless the user chooses (DSP0243 9.8); None: there are none."""
    options = [
        option
        for section in _children(envelope, "DeploymentOptionSection")
        for option in section.children
        if option.name == "Configuration"
    ]
    chosen = [option for option in options if attribute(option, "default") in ("true", "1")]
    return attribute((chosen or options)[0], "id") if options else None


def _files(envelope: Element) -> Mapping[str, File]:
    files: dict[str, File] = {}
    for references in _children(envelope, "References"):
        for element in references.children:
            if element.name != "File":
                continue
            name, href = attribute(element, "id"), attribute(element, "href")
            if not name or not href:
                raise FormatError("a File of the OVF has no id or no href", hint=_EXPORT_AGAIN)
            if name in files:
                raise FormatError(f"two files of the OVF have the id {name}", hint=_EXPORT_AGAIN)
            size = _NUMBER.fullmatch(attribute(element, "size") or "")
            files[name] = File(name, href, int(size[1]) if size else None, element)
    return files


class _Disks:
    """What DiskSection says, and which of it the machine has."""

    def __init__(self, envelope: Element, files: Mapping[str, File], notes: list[str]) -> None:
        self._files = files
        self._notes = notes
        self._elements: dict[str, Element] = {}
        for section in _children(envelope, "DiskSection"):
            for element in section.children:
                if element.name != "Disk":
                    continue
                name = attribute(element, "diskId")
                if not name or name in self._elements:
                    raise FormatError(
                        f"a Disk of the OVF has the id {name!r}, and one of its own was wanted",
                        hint=_EXPORT_AGAIN,
                    )
                self._elements[name] = element

    def of_machine(self, items: Sequence[Item]) -> tuple[Disk, ...]:
        """The disks, in order.

        Raises:
            FormatError: one has no file, shares it with another, or is in a form that is not read.
        """
        disks: list[Disk] = []
        owners: dict[str, str] = {}
        for item in ovf_hardware.disks(items):
            disk = self._disk(item, self._disk_id(item))
            for name in disk.file.names:
                if name in owners:
                    raise FormatError(
                        f"{name} is the file of two disks, {owners[name]} and {disk.id}", hint=_EXPORT_AGAIN
                    )
            owners |= dict.fromkeys(disk.file.names, disk.id)
            disks.append(disk)
        if not disks:
            raise FormatError("the machine of the OVF has no disk", hint=_EXPORT_AGAIN)
        in_drives = {ovf_hardware.target(item, "disk") for item in items if item.type in ovf_hardware.DRIVES}
        unused = self._elements.keys() - {disk.id for disk in disks} - in_drives
        self._notes += [
            f"the disk {name} of the OVF is attached to nothing, and left as it is" for name in sorted(unused)
        ]
        return tuple(disks)

    def _disk_id(self, item: Item) -> str:
        """Of `ovf:/disk/vmdisk1`, `/disk/vmdisk1`, and of oVirt's `GROUP/IMAGE` and `IMAGE`."""
        name = ovf_hardware.target(item, "disk")
        if name is None and item.host_resource.rpartition("/")[2] in self._elements:
            name = item.host_resource.rpartition("/")[2]
        if name is None:
            found = f"names {item.host_resource!r}" if item.host_resource else "names none"
            raise FormatError(
                f"the disk drive {item.label} of the OVF {found}, and a disk of it was wanted",
                hint="detach what is no virtual disk of the machine, and export it again",
            )
        return name

    def _disk(self, item: Item, name: str) -> Disk:
        element = self._elements.get(name)
        if element is None:
            raise FormatError(
                f"the disk drive {item.label} holds the disk {name}, which the OVF does not describe",
                hint=_EXPORT_AGAIN,
            )
        if attribute(element, "parentRef"):
            raise FormatError(
                f"the disk {name} of the OVF is a delta over another disk, and a whole one was wanted",
                hint="delete the machine's snapshots, and export it again",
            )
        reference = attribute(element, "fileRef")
        if not reference:
            raise FormatError(
                f"the disk {name} of the OVF has no file: it is to be made empty where it is deployed",
                hint="detach that disk from the machine, and export it again",
            )
        file = self._files.get(reference)
        if file is None:
            raise FormatError(
                f"the disk {name} is in the file {reference}, which the OVF does not list", hint=_EXPORT_AGAIN
            )
        _refuse_file(file)
        size = attribute(element, "capacity")
        units = attribute(element, "capacityAllocationUnits") or "byte"
        found = ovf_hardware.in_bytes(size or "", units)
        if size is not None and found is None:
            self._notes.append(
                f"the capacity of the disk {name}, {size[:40]} {units[:40]}, is not understood"
            )
        return Disk(name, file, found, attribute(element, "format") or "", element)


def _refuse_file(file: File) -> None:
    """Refuses a disk's file that is elsewhere, in pieces or packed."""
    if attribute(file.element, "chunkSize"):
        raise FormatError(
            f"the disk file {file.href} is split into chunks, and one file was wanted",
            hint=_EXPORT_AGAIN,
            rule="R-08",
        )
    packed = attribute(file.element, "compression") or "identity"
    if packed.lower() not in ("identity", "none"):
        raise FormatError(
            f"the disk file {file.href} is compressed ({packed[:40]})",
            hint="unpack the OVA, unpack that file, take ovf:compression out of the .ovf, and pack it again",
        )
    for name in file.names:
        if "://" in name:
            raise FormatError(
                f"the disk file {file.href} is somewhere on a network, and a file in the OVA was wanted",
                hint=_EXPORT_AGAIN,
            )
        if name in (".", "..") or any(character in name for character in "/\\\0"):
            raise FormatError(
                f"the disk file {file.href} is in another folder, and a file beside the .ovf was wanted",
                hint=_EXPORT_AGAIN,
            )
