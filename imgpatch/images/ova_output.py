"""Writing an OVA: the descriptor first, then the manifest, then the disks and whatever else was there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from imgpatch.errors import UsageError
from imgpatch.formats import ova_manifest, ovf_edit, tar
from imgpatch.formats.ova_manifest import Sum
from imgpatch.formats.ovf_edit import DiskFile, NewMachine
from imgpatch.formats.tar import Kind, Member
from imgpatch.images.disk import Disk
from imgpatch.images.ova import Meter, Ova, Progress, is_unsafe, pieces

EXTENSIONS = {"vmdk": "vmdk", "vpc": "vhd", "raw": "raw", "qcow2": "qcow2"}
_TIME = 315_532_800  # 1980: the same in every run, and not the 0 that GNU tar warns about
_RESERVED = (".ovf", ".mf", ".cert")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk to be written.

    Attributes:
        name: of its file in the OVA; `file_name` makes one.
        content: the bytes of that file.
        capacity: bytes of the disk.
        format: as qemu names it; a VMDK has to be stream-optimized.
    """

    name: str
    content: Disk
    capacity: int
    format: str = "vmdk"


def file_name(template: str, disk_format: str) -> str:
    """What to call a disk file of another format: `disk1.vhd` for `disk1.vmdk`."""
    stem, dot, extension = template.rpartition(".")
    wanted = EXTENSIONS[disk_format]
    return template if dot and extension.lower() == wanted else f"{stem if dot else template}.{wanted}"


def write_ova(
    target: BinaryIO,
    template: Ova | NewMachine,
    disks: Sequence[NewDisk],
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Writes an OVA; gives what of the template's files was left out, and why.

    Args:
        target: empty and seekable; what is written to it depends on nothing but the arguments.
        template: an OVA whose descriptor and other files are kept, or the machine to describe.
        disks: in the machine's order; one for each disk of the template.
        progress: told how far it is.

    Raises:
        UsageError: a name is taken, or is none for a file in an OVA, or a format is.
        RefusedError: a file became shorter meanwhile.
    """
    _refuse(disks)
    files = [DiskFile(disk.name, disk.content.size, disk.capacity, disk.format) for disk in disks]
    contents = dict(zip((disk.name for disk in disks), (disk.content for disk in disks), strict=True))
    if isinstance(template, NewMachine):
        plan = _Plan.of_machine(template, files)
        left_out: tuple[str, ...] = ()
        order: list[str] = list(contents)
    else:
        plan = _Plan.of_ova(template, files)
        others, left_out = _others(template)
        order = _order(template, disks, others)
        taken = sorted(set(contents) & set(others))
        if taken:
            raise UsageError(
                f"{taken[0]} is in the OVA already", hint="choose another name for the disk file"
            )
        contents |= {name: template.content(member) for name, member in others.items()}
    _write(target, plan, [(name, contents[name]) for name in order], progress)
    return left_out


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all but the disks will be."""

    descriptor_name: str
    descriptor: bytes
    manifest_name: str
    algorithm: str
    time: int

    @classmethod
    def of_machine(cls, machine: NewMachine, files: Sequence[DiskFile]) -> _Plan:
        stem = _UNFIT.sub("_", machine.name)[:80].strip("._") or "machine"
        descriptor = ovf_edit.new(machine, files)
        return cls(f"{stem}.ovf", descriptor, f"{stem}.mf", ova_manifest.DEFAULT_ALGORITHM, _TIME)

    @classmethod
    def of_ova(cls, ova: Ova, files: Sequence[DiskFile]) -> _Plan:
        name = ova.descriptor.name
        manifest = name[: -len(".ovf")] + ".mf" if ova.manifest_file is None else ova.manifest_file.name
        algorithm = ova_manifest.DEFAULT_ALGORITHM if ova.manifest is None else ova.manifest.algorithm
        descriptor = ovf_edit.edited(ova.machine, files)
        return cls(name, descriptor, manifest, algorithm, ova.descriptor.time or _TIME)


def _others(ova: Ova) -> tuple[dict[str, Member], tuple[str, ...]]:
    """The template's files that are kept as they are, and what of it is not."""
    own = {ova.descriptor.name, *(disk.name for disk in ova.disks)}
    if ova.manifest_file is not None:
        own.add(ova.manifest_file.name)
    kept: dict[str, Member] = {}
    left_out = []
    for member in ova.members:
        if member.name in own:
            continue
        if member.name.lower().endswith(".cert"):
            left_out.append(f"{member.name}: it signs what the OVA was before")
        elif member.kind is not Kind.FILE or is_unsafe(member.name):
            left_out.append(f"{member.name}: a {member.kind}, and an OVA holds files side by side")
        elif member.name in kept:
            left_out.append(f"{member.name}: it is there twice, and the later one counts")
        if (
            member.kind is Kind.FILE
            and not is_unsafe(member.name)
            and not member.name.lower().endswith(".cert")
        ):
            kept[member.name] = member
    return kept, tuple(left_out)


def _order(ova: Ova, disks: Sequence[NewDisk], others: dict[str, Member]) -> list[str]:
    """All files as References lists them, then the rest (DSP0243 5.3)."""
    new_names = {disk.file.id: new.name for disk, new in zip(ova.machine.disks, disks, strict=True)}
    order = []
    for file in ova.machine.files:
        name = new_names.get(file.id) or next((name for name in file.names if name in others), None)
        if name is not None:
            order.append(name)
    return list(dict.fromkeys((*order, *others)))


def _refuse(disks: Sequence[NewDisk]) -> None:
    names = [disk.name for disk in disks]
    for disk in disks:
        name = disk.name
        if disk.format not in ovf_edit.FORMATS:
            raise UsageError(
                f"{name}: OVF has no name for the format {disk.format}", hint="use VMDK in an OVA"
            )
        if is_unsafe(name) or "/" in name or name == "." or not name.isprintable():
            raise UsageError(f"{name!r} is no name for a file in an OVA", hint="choose a plain file name")
        if name.lower().endswith(_RESERVED) or names.count(name) > 1:
            raise UsageError(f"{name} is taken in the OVA", hint="choose another name for the disk file")


def _write(
    target: BinaryIO, plan: _Plan, files: Sequence[tuple[str, Disk]], progress: Progress | None
) -> None:
    """The manifest's place is kept free until the sums are known: its size depends on names alone."""
    names = [plan.descriptor_name, *(name for name, _ in files)]
    manifest_size = ova_manifest.size(plan.algorithm, names)
    target.write(tar.header(plan.descriptor_name, len(plan.descriptor), plan.time))
    target.write(tar.padded(plan.descriptor))
    target.write(tar.header(plan.manifest_name, manifest_size, plan.time))
    manifest_at = target.tell()
    target.write(tar.padded(bytes(manifest_size)))
    sums = [Sum(plan.algorithm, plan.descriptor_name, _digest(plan.algorithm, plan.descriptor))]
    meter = Meter(sum(content.size for _, content in files), progress)
    for name, content in files:
        target.write(tar.header(name, content.size, plan.time))
        sums.append(Sum(plan.algorithm, name, _copy(content, target, plan.algorithm, meter)))
    target.write(bytes(2 * tar.BLOCK))
    target.write(bytes(-target.tell() % tar.RECORD))
    target.seek(manifest_at)
    target.write(ova_manifest.unparse(sums))
    target.seek(0, 2)


def _digest(algorithm: str, data: bytes) -> str:
    return hashlib.new(algorithm.lower(), data, usedforsecurity=False).hexdigest()


def _copy(content: Disk, target: BinaryIO, algorithm: str, meter: Meter) -> str:
    digest = hashlib.new(algorithm.lower(), usedforsecurity=False)
    for piece in pieces(content):
        target.write(piece)
        digest.update(piece)
        meter.add(len(piece))
    target.write(bytes(-content.size % tar.BLOCK))
    return digest.hexdigest()
