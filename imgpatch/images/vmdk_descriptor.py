"""The text that describes a VMDK: what kind of disk it is, which files hold it, and so whether one does.

It stands alone in a small file, or within a sparse extent (Virtual Disk Format 5.0 of VMware). It is
read leniently, as QEMU reads it: a line that says nothing known is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from imgpatch.errors import FormatError
from imgpatch.images.disk import SECTOR, Disk
from imgpatch.images.vmdk_header import MAGIC, Header, parse_header

COWD_MAGIC = b"COWD"
SE_SPARSE_MAGIC = b"\xbe\xba\xfe\xca\0\0\0\0"

_LIMIT = 1 << 20  # bytes; QEMU reads no more of it either
NO_PARENT = 0xFFFF_FFFF
_QEMU_READS = (SECTOR, 20 * SECTOR)  # it looks for a parent there, whatever the header says

_FIRST_LINE = "# disk descriptorfile"
_VERSION = re.compile(r"version\s*=\s*[123]\s*", re.IGNORECASE)
_EXTENT = re.compile(
    r'(RW|RO|RDONLY|NOACCESS)\s+(\d{1,20})\s+(\w{1,32})(?:\s+"([^"]*)")?(?:\s+\d{1,20})?.*', re.IGNORECASE
)
_PAIR = re.compile(r'([\w.:-]{1,256})\s*=\s*(?:"([^"]*)"|(.*))')
_HEX = re.compile(r"(?:0x)?([0-9a-f]{1,8})", re.IGNORECASE)

_RAW_DEVICES = {
    "fulldevice",
    "partitioneddevice",
    "vmfsraw",
    "vmfsrawdevicemap",
    "vmfsrdm",
    "vmfsrdmp",
    "vmfspassthroughrawdevicemap",
}
_RAW_EXTENTS = {"vmfsraw", "vmfsrdm"}
_DELTAS = {"vmfssparse", "vmfsthinsparse"}


class Obstacle(Enum):
    """Why a VMDK is not one file with a whole disk; the value says it of the file."""

    DELTA = "it holds only what differs from a parent disk"
    SE_SPARSE = "it is in SEsparse format"
    COWD = "it is in the COWD format of ESX"
    RAW_DEVICE = "it stands for a device and not for a file: a raw device mapping or a disk of a host"
    ENCRYPTED = "it is encrypted by VMware"
    SPLIT = "the disk is split into several files"
    FLAT = "it is only the descriptor, and the data is in another file"
    ELSEWHERE = "its descriptor leads to something else than the file itself"


@dataclass(frozen=True, slots=True)
class Extent:
    """One line of the list of what holds the disk.

    Attributes:
        access: `RW`, `RDONLY` (some write `RO`) or `NOACCESS`.
        kind: `SPARSE`, `FLAT`, `ZERO`, `VMFS`, `VMFSSPARSE`, `VMFSRDM`, `SESPARSE`, ...
        name: the file or device; empty for `ZERO`.
    """

    access: str
    sectors: int
    kind: str
    name: str = ""

    @property
    def strays(self) -> bool:
        """The name leads out of the folder of the image: no program writes such a one of its own file."""
        parts = re.split(r"[/\\]", self.name)
        return ".." in parts or (len(parts) > 1 and parts[0] == "") or self.name[1:2] == ":"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What the text says.

    Attributes:
        create_type: `streamOptimized`, `monolithicFlat`, ...; empty where it is not said.
        cid, parent_cid: None where they are not said.
        parent: the file name of the parent; None where none is named.
        extents: in the order of the disk.
        database: the `ddb.` values by the rest of their name.
        encrypted: it names a key.
    """

    create_type: str = ""
    cid: int | None = None
    parent_cid: int | None = None
    parent: str | None = None
    extents: tuple[Extent, ...] = ()
    database: dict[str, str] = field(default_factory=dict)
    encrypted: bool = False

    @property
    def adapter(self) -> str:
        """`ide`, `buslogic`, `lsilogic`, ...; empty where it is not said."""
        return self.database.get("adaptertype", "")

    @property
    def sectors(self) -> int:
        return sum(extent.sectors for extent in self.extents)

    @property
    def delta(self) -> bool:
        """It only holds what differs from a parent."""
        orphan = self.parent is None and self.parent_cid in (None, NO_PARENT)
        return not orphan or self._says(_DELTAS, _DELTAS)

    @property
    def se_sparse(self) -> bool:
        return self._says({"sesparse"}, {"sesparse"})

    @property
    def raw_device(self) -> bool:
        """It stands for a device: a raw device mapping, or a whole disk or partitions of a host."""
        devices = ("/dev/", "\\\\.\\", "\\\\?\\")
        return self._says(_RAW_DEVICES, _RAW_EXTENTS) or any(
            extent.name.startswith(devices) for extent in self.extents
        )

    @property
    def split(self) -> bool:
        """The disk lies in several files."""
        return len(self.extents) > 1 or self.create_type.startswith("twoGbMaxExtent")

    def _says(self, types: set[str], kinds: set[str]) -> bool:
        return self.create_type.lower() in types or any(e.kind.lower() in kinds for e in self.extents)


def is_descriptor(head: bytes) -> bool:
    """Whether a file that begins so is a text that describes a disk (`vmdk_probe` of QEMU is as lenient)."""
    text = head[:_LIMIT].split(b"\0", 1)[0].decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if text.lower().startswith(_FIRST_LINE):
        return True
    for line in text.split("\n", 64)[:64]:
        if line.strip() and not line.startswith("#"):
            return _VERSION.fullmatch(line) is not None
    return False


def parse_descriptor(data: bytes) -> Descriptor:
    """Reads the text up to its first NUL; of a value that is given twice the first counts."""
    text = data[:_LIMIT].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    values: dict[str, str] = {}
    extents = []
    for line in map(str.strip, text.replace("\r", "\n").split("\n")):
        if found := _EXTENT.fullmatch(line):
            extents.append(Extent(found[1].upper(), int(found[2]), found[3].upper(), found[4] or ""))
        elif pair := _PAIR.fullmatch(line):
            values.setdefault(pair[1].lower(), pair[3] if pair[2] is None else pair[2])
    return Descriptor(
        create_type=values.get("createtype", ""),
        cid=_hexadecimal(values.get("cid")),
        parent_cid=_hexadecimal(values.get("parentcid")),
        parent=values.get("parentfilenamehint"),
        extents=tuple(extents),
        database={name[4:]: value for name, value in values.items() if name.startswith("ddb.")},
        encrypted=any(name.startswith("encryption") for name in values),
    )


def _hexadecimal(text: str | None) -> int | None:
    found = None if text is None else _HEX.fullmatch(text.strip())
    return None if found is None else int(found[1], 16)


def describe(file: Disk) -> Descriptor | None:
    """What a file that is only a descriptor says; None for any other file."""
    if not is_descriptor(file.read(0, 16 * SECTOR)):
        return None
    return parse_descriptor(file.read(0, _LIMIT))


def obstacle(file: Disk) -> Obstacle | None:
    """Why this VMDK of whatever kind cannot be read by `Vmdk`; None where it can.

    Raises:
        FormatError: the file is no VMDK, or its header is damaged.
    """
    head = file.read(0, SECTOR)
    if head.startswith(COWD_MAGIC):
        return Obstacle.COWD
    if head.startswith(SE_SPARSE_MAGIC):
        return Obstacle.SE_SPARSE
    if head.startswith(MAGIC):
        header = parse_header(head)
        return embedded_obstacle(header, embedded(file, header), hints_at_parent(file))
    descriptor = describe(file)
    if descriptor is None:
        raise FormatError("no VMDK: neither a magic nor a descriptor at the start")
    return _described_obstacle(descriptor) or Obstacle.FLAT


def _described_obstacle(descriptor: Descriptor) -> Obstacle | None:
    found = (
        (descriptor.encrypted, Obstacle.ENCRYPTED),
        (descriptor.se_sparse, Obstacle.SE_SPARSE),
        (descriptor.delta, Obstacle.DELTA),
        (descriptor.raw_device, Obstacle.RAW_DEVICE),
        (descriptor.split, Obstacle.SPLIT),
    )
    return next((what for applies, what in found if applies), None)


def embedded_obstacle(header: Header, descriptor: Descriptor | None, hinted: bool) -> Obstacle | None:
    """Why a sparse extent is no whole disk.

    Args:
        header: its header.
        descriptor: what is embedded in it.
        hinted: what `hints_at_parent` says of it.
    """
    if hinted:
        return Obstacle.DELTA
    if descriptor is None:
        return Obstacle.ELSEWHERE if header.capacity == 0 else Obstacle.SPLIT
    if found := _described_obstacle(descriptor):
        return found
    # QEMU would open what the descriptor of an extent without capacity names.
    astray = any(extent.strays or extent.kind != "SPARSE" for extent in descriptor.extents)
    return Obstacle.ELSEWHERE if astray or header.capacity == 0 else None


def embedded(file: Disk, header: Header) -> Descriptor | None:
    """The descriptor within a sparse extent; None where there is none."""
    if header.descriptor == 0 or header.descriptor_size == 0:
        return None
    text = file.read(header.descriptor * SECTOR, min(header.descriptor_size * SECTOR, _LIMIT))
    # The extents of a split disk have room for a descriptor, and none in it.
    return parse_descriptor(text) if text.split(b"\0", 1)[0].strip() else None


def hints_at_parent(file: Disk) -> bool:
    """QEMU opens a parent for this word anywhere in these bytes, even in a comment."""
    text = file.read(*_QEMU_READS).split(b"\0", 1)[0]
    return b"parentFileNameHint" in text
