"""What a file holds, told by its bytes alone: names say nothing, and QEMU is never left to guess.

A guest can write any magic into the first sectors of a raw disk, so what is found here decides which
reader looks further, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.images.disk import SECTOR, Disk

HEAD = 36 * 1024
"""Bytes looked at: an ISO 9660 volume descriptor is the deepest magic, at 32 KiB."""

VHD_COOKIE = b"conectix"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        name: as qemu names the format, `ova` for the archive, or what people call it.
        hint: what to do with one that cannot be taken, with `{path}`; None for what has a reader.
        rule: of the documents, that such a file does not meet.
    """

    name: str
    hint: str | None = None
    rule: str | None = None


RAW = Kind("raw")
VMDK_OTHER = Kind("vmdk")
"""A VMDK without a header that says where its data is: text, or one of ESX's own formats."""

OVA = Kind("ova")

_CONVERT = "convert it first: qemu-img convert -O qcow2 '{path}' disk.qcow2"
_ISO = "install the system from it and give the disk it was installed on"


def _other(name: str, hint: str) -> Kind:
    return Kind(name, hint, "R-01")


# (where its magic is, the magic, what it is)
_MAGICS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"QFI\xfb", Kind("qcow2")),
    (0, b"KDMV", Kind("vmdk")),
    (0, b"# Disk DescriptorFile", VMDK_OTHER),
    (0, b"COWD", VMDK_OTHER),
    (0, b"\xbe\xba\xfe\xca", VMDK_OTHER),
    (0, VHD_COOKIE, Kind("vpc")),
    (0, b"vhdxfile", Kind("vhdx")),
    (64, b"\x7f\x10\xda\xbe", Kind("vdi")),
    (0, b"QED\0", _other("a QED image", _CONVERT)),
    (0, b"WithoutFreeSpace", _other("a Parallels image", _CONVERT)),
    (0, b"WithouFreSpacExt", _other("a Parallels image", _CONVERT)),
    (0, b"\x1f\x8b\x08", _other("a gzip file", "unpack it first: gunzip -k '{path}'")),
    (0, b"\xfd7zXZ\0", _other("an xz file", "unpack it first: unxz -k '{path}'")),
    (0, b"\x28\xb5\x2f\xfd", _other("a zstd file", "unpack it first: unzstd '{path}'")),
    (0, b"BZh", _other("a bzip2 file", "unpack it first: bunzip2 -k '{path}'")),
    (0, b"\x04\x22\x4d\x18", _other("an lz4 file", "unpack it first: unlz4 '{path}'")),
    (0, b"PK\x03\x04", _other("a zip file", "unpack it first: unzip '{path}'")),
    (0, b"7z\xbc\xaf\x27\x1c", _other("a 7z file", "unpack it first: 7z x '{path}'")),
    (257, b"ustar", OVA),
    (0x8001, b"CD001", _other("an ISO 9660 image", _ISO)),
)  # fmt: skip


def sniff(file: Disk) -> Kind:
    """Looks at the first bytes and, for a VHD without a header, at the last."""
    head = file.read(0, HEAD)
    found = next((kind for at, magic, kind in _MAGICS if head.startswith(magic, at)), None)
    if found is not None:
        return found
    tail = file.read(max(file.size - SECTOR, 0), SECTOR)
    # Versions of Virtual PC before 2004 wrote a footer of 511 bytes.
    return Kind("vpc") if VHD_COOKIE in (tail[:8], tail[1:9]) else RAW
