"""Containers that cannot be treated: which, why, what the documents say to them, and what to do.

Above all those that lead to another file: nothing but what the user named is ever opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn

from imgpatch.errors import RefusedError
from imgpatch.images import qcow2, qemu, vdi, vhd, vhdx, vmdk
from imgpatch.images.disk import SECTOR, Disk, Image
from imgpatch.images.sniff import OVA, VMDK_OTHER, Kind
from imgpatch.images.vmdk import Obstacle
from imgpatch.images.vmdk_descriptor import Descriptor

GET_AGAIN = "get the image again, whole"

Refusal = tuple[object, str, str, str | None]
"""Whether it applies, what was found, what to do, the rule of the documents that is not met."""

_EXPORT = "export the machine again, each disk as one file without snapshots"
_MERGE = "merge it into its parent first, or export the machine again"
_NAMES = {"vpc": "VHD", "vhdx": "VHDX", "vmdk": "VMDK", "vdi": "VDI"}

_OBSTACLES: Mapping[Obstacle, tuple[str, str, str]] = {
    Obstacle.DELTA: ("it holds only what differs from another disk, its parent", _MERGE, "R-02"),
    Obstacle.SE_SPARSE: ("it is in SEsparse format, a delta of vSphere's", _EXPORT, "R-06"),
    Obstacle.COWD: ("it is in ESX's own sparse format (COWD)", _EXPORT, "R-02"),
    Obstacle.RAW_DEVICE: ("it stands for a device of another machine", _EXPORT, "R-07"),
    Obstacle.ENCRYPTED: ("it is encrypted by VMware", "decrypt the machine, and export it again", "R-02"),
    Obstacle.SPLIT: ("its disk lies in several files", _EXPORT, "R-02"),
    Obstacle.FLAT: (
        "it is only a descriptor, and no file but those that are named is opened",
        "give the file in which its data is: it is a raw disk",
        "R-02",
    ),
    Obstacle.ELSEWHERE: ("it leads to another file, which is not opened", _EXPORT, "R-02"),
}


def refuse_kind(image: Image, kind: Kind, file: Disk) -> NoReturn:
    """Refuses a file that has no reader here.

    Raises:
        RefusedError: always.
        FormatError: a VMDK of some kind whose descriptor cannot be read.
    """
    if kind is VMDK_OTHER:
        found, hint, rule = _OBSTACLES[vmdk.obstacle(file) or Obstacle.FLAT]
        raise _refusal(image, found + _elsewhere(vmdk.describe(file)), hint, rule)
    if kind is OVA:
        raise RefusedError(
            f"{image.name}: an archive stands where a disk was wanted", hint=_EXPORT, rule="R-01"
        )
    hint = kind.hint or GET_AGAIN
    raise RefusedError(
        f"{image.name}: this is {kind.name}, and no disk image that imgpatch reads",
        hint=hint.format(path=image.path),
        rule=kind.rule,
    )


def _refusal(image: Image, found: str, hint: str, rule: str | None) -> RefusedError:
    kind = _NAMES.get(image.format, image.format)
    return RefusedError(
        f"{image.name}: this {kind} image cannot be taken: {found}",
        hint=hint.format(path=image.path),
        rule=rule,
    )


def _elsewhere(found: Descriptor | None) -> str:
    names = [extent.name for extent in found.extents if extent.name] if found is not None else []
    return f" (its data is in {', '.join(names[:3])}{', ...' if names[3:] else ''})" if names else ""


def refuse_unsupported(image: Image, disk: Disk) -> None:
    """Refuses a container that its reader understands, and that cannot be treated.

    Raises:
        RefusedError: it leads to another file, is marked as damaged, or has no whole sectors.
    """
    for applies, found, hint, rule in [*_refusals(image, disk), *_of_any(disk)]:
        if applies:
            raise _refusal(image, found, hint, rule)


def _of_any(disk: Disk) -> Iterator[Refusal]:
    yield disk.size == 0, "its disk has no size", GET_AGAIN, "R-01"
    sectors = f"its disk of {disk.size} bytes is no whole number of sectors"
    yield disk.size % SECTOR, sectors, GET_AGAIN, "R-32"


def _refusals(image: Image, disk: Disk) -> Iterator[Refusal]:
    if isinstance(disk, qcow2.Qcow2):
        return _of_qcow2(disk.header)
    if isinstance(disk, vmdk.Vmdk):
        return _of_vmdk(disk)
    if isinstance(disk, vhd.Vhd):
        return _of_vhd(disk)
    if isinstance(disk, vhdx.Vhdx):
        return _of_vhdx(disk)
    if isinstance(disk, vdi.Vdi):
        return iter([_differencing(disk.variety, None)])
    raise TypeError(f"{image.format}: no reader of containers")


def _differencing(variety: str, rule: str | None) -> Refusal:
    found = "it holds only what differs from another disk, its parent"
    return (
        variety == "differencing",
        found,
        "merge it into its parent first, or export the machine again",
        rule,
    )


def _of_qcow2(header: qcow2.Header) -> Iterator[Refusal]:
    bad = header.incompatible
    flatten = "flatten it first: qemu-img convert -O qcow2 '{path}' flat.qcow2"
    yield header.backing, "it is an overlay that needs its backing file", flatten, None
    whole = "put both into one first: qemu-img convert -O qcow2 '{path}' whole.qcow2"
    yield bad & qcow2.EXTERNAL_DATA, "its data is in another file", whole, None
    decrypt = "decrypt it first with qemu-img convert and its secret object"
    yield header.encrypted, "it is encrypted by QEMU", decrypt, None
    repair = "repair a copy first: qemu-img check -r all '{path}'"
    yield bad & qcow2.CORRUPT, "QEMU has marked it corrupt", repair, None
    yield bad & qcow2.DIRTY, "it was not closed cleanly", repair, None


def _of_vmdk(disk: vmdk.Vmdk) -> Iterator[Refusal]:
    if disk.obstacle is not None:
        found, hint, rule = _OBSTACLES[disk.obstacle]
        yield True, found + _elsewhere(disk.descriptor), hint, rule
    again = "create it again in OVF format, or convert it: qemu-img convert -O raw '{path}' disk.raw"
    plain = disk.variety == "streamOptimized" and disk.algorithm == 0
    yield plain, "it is stream-optimized with compression algorithm 0", again, "R-10"


def _of_vhd(disk: vhd.Vhd) -> Iterator[Refusal]:
    yield _differencing(disk.variety, "R-05")
    faults = disk.footer_faults()
    again = "export it again; qemu-img convert -f vpc -O raw '{path}' disk.raw reads what can be read"
    yield faults, "; ".join(faults), again, "R-05"


def _of_vhdx(disk: vhdx.Vhdx) -> Iterator[Refusal]:
    yield _differencing(disk.variety, "R-05")
    replay = "mount and unmount it on Windows, or repair a copy: qemu-img check -r all '{path}'"
    yield (
        disk.sector_size != SECTOR,
        f"its sectors have {disk.sector_size} bytes, and {SECTOR} are read",
        ("copy the disk into a new one with sectors of 512 bytes, on the machine itself"),
        None,
    )
    yield disk.log_pending, "its log holds writes that are not in it yet", replay, None


def refuse_inconsistent(image: Image) -> None:
    """Asks qemu-img whether the tables of an image agree with each other.

    Leaked clusters only waste space; a wrong reference count lets a write destroy data.

    Raises:
        RefusedError: they do not.
    """
    if image.format not in ("qcow2", "vhdx", "vdi"):
        return  # qemu-img has no check for the others
    name = qemu.name(qemu.node(image))
    hint = f"repair a copy first: qemu-img check -r all '{image.path}'"
    try:
        answer = qemu.run_json("check", name, ok=(0, 2, 3))
    except qemu.QemuImgError as error:
        raise RefusedError(f"{image.name}: {error}", hint=f"end what uses the image, or {hint}") from error
    errors = answer.get("corruptions", 0) + answer.get("check-errors", 0)
    if errors:
        raise RefusedError(
            f"{image.name}: qemu-img check finds {errors} errors in this {image.format} image", hint=hint
        )
