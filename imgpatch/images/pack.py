"""One OVA of a whole machine: its disks as stream-optimized VMDKs, its OVF, and a manifest that agrees."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imgpatch.errors import RefusedError, VerifyError
from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images import ova, ova_output
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.ova_output import NewDisk
from imgpatch.images.readback import Tell


def source_archive(images: Sequence[Image]) -> Path | None:
    """The OVA that all of these disks are in, and none of its disks is missing; None where there is none."""
    paths = {image.path for image in images if image.member is not None}
    return (
        next(iter(paths)) if len(paths) == 1 and all(image.member is not None for image in images) else None
    )


def write_archive(
    images: Sequence[Image], disks: Sequence[Image], new: Path, machine: NewMachine, progress: Tell
) -> tuple[str, ...]:
    """Writes an OVA with these disk files; gives what of the source's files was left out.

    Args:
        images: what the disks were made from: their OVA's descriptor is kept, and edited where it must be.
        disks: stream-optimized VMDK files.
        new: path of the OVA to be.
        machine: to describe, where the images are in no OVA.
        progress: told how far it is.
    """
    source = source_archive(images)
    with ExitStack() as stack:
        contents = [FileDisk(stack.enter_context(open_file(disk.path))) for disk in disks]
        if source is None:
            template: ova.Ova | NewMachine = machine
            names = [f"{machine.name}-disk{number}.vmdk" for number in range(1, len(disks) + 1)]
        else:
            template = ova.open_ova(FileDisk(stack.enter_context(open_file(source))))
            names = [ova_output.file_name(member.name, "vmdk") for member in template.disks]
        rows = [
            NewDisk(name, content, disk.size)
            for name, content, disk in zip(names, contents, disks, strict=True)
        ]
        with new.open("xb") as file:
            return ova_output.write_ova(file, template, rows, progress)


def disks_in(new: Path, images: Sequence[Image], progress: Tell) -> list[Image]:
    """The disks in a new OVA, whose files are compared with its manifest first.

    Raises:
        VerifyError: it is not as it was to be written.
    """
    with open_file(new) as descriptor:
        try:
            archive = ova.open_ova(FileDisk(descriptor))
            archive.verify(progress)
        except RefusedError as error:
            raise VerifyError(f"{new.name}: what was written does not read back: {error}") from error
        if len(archive.disks) != len(images):
            raise VerifyError(
                f"{new.name}: {len(archive.disks)} disks are in it, and {len(images)} were wanted"
            )
        return [
            Image(new, "vmdk", image.size, "streamOptimized", member.offset, member.size, member.name)
            for member, image in zip(archive.disks, images, strict=True)
        ]
