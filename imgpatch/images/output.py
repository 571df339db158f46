"""One new file on its way: written, synced and read back, in a folder beside where it will stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images import pack, readback, reflink, thin
from imgpatch.images.convert import left_behind, stored, write_disk
from imgpatch.images.disk import Image
from imgpatch.images.durable import sync_file
from imgpatch.images.layers import changed_bytes
from imgpatch.images.output_formats import OVA, user_name
from imgpatch.progress import Progress


@dataclass(frozen=True, slots=True)
class Output:
    """A file to be written.

    Attributes:
        path: absolute, as `check_output` gives it.
        format: by the user's name.
        disks: each image with its overlay, where there is one yet; one pair, but in an OVA.
        thin: give the overlay itself the name.
    """

    path: Path
    format: str
    disks: tuple[tuple[Image, Path | None], ...]
    thin: bool = False

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(image for image, _ in self.disks)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, read back, and has its name.

    Attributes:
        format: by the user's name.
        size: bytes of the disk, of all disks in an OVA.
        file_size: bytes of the file.
        sha256: of the file; None where adding up its holes would take longer than all the rest.
        notes: what there is to tell about it.
    """

    path: Path
    format: str
    size: int
    file_size: int
    sha256: str | None
    notes: tuple[str, ...] = ()


def make_output(
    output: Output, folder: Path, scratch: Path, machine: NewMachine | None, progress: Progress
) -> tuple[Path, Written]:
    """Makes the file of an output; gives where it is so far, and what is to be told of it.

    Args:
        output: with its overlays.
        folder: for the file; on the file system of the output.
        scratch: for what is needed only meanwhile.
        machine: what an OVA is to describe, where the images are in none.
        progress: told each step.

    Raises:
        RefusedError: it cannot be made.
        VerifyError: it does not read back as it was to be written.
    """
    making = _Making(output, progress)
    if output.thin:
        return making.thin()
    if output.format == OVA:
        return making.archive(folder / "output", scratch, machine or NewMachine(output.path.stem))
    return making.disk(folder / "output")


@dataclass(frozen=True, slots=True)
class _Making:
    output: Output
    progress: Progress

    def disk(self, new: Path) -> tuple[Path, Written]:
        image, overlay = self._only()
        same = image.member is None and image.format in ("raw", "qcow2")
        if same and user_name(image.format) == self.output.format and reflink.clone(image.path, new):
            return self._into_copy(image, overlay, new)
        made, size = self._written(image, overlay, new, self.output.format)
        self._read_back(made, image, overlay, size)
        return self._done(new, size, left_behind(image))

    def thin(self) -> tuple[Path, Written]:
        image, overlay = self._only()
        note = thin.refer(image, overlay, self.output.path)
        sync_file(overlay)
        readback.check_whole(Image(overlay, "qcow2", image.size))
        return self._done(overlay, changed_bytes(overlay), (note,))

    def archive(self, new: Path, scratch: Path, machine: NewMachine) -> tuple[Path, Written]:
        disks = []
        for number, (image, overlay) in enumerate(self._pairs()):
            made, _ = self._written(image, overlay, scratch / f"disk{number}", "vmdk")
            disks.append(made)
        size = sum(disk.path.stat().st_size for disk in disks)
        self._step("packing", size)
        left_out = pack.write_archive(self.output.images, disks, new, machine, self.progress.fraction)
        for disk in disks:
            disk.path.unlink()
        sync_file(new)
        self._step("adding up what is in", size)
        for member, (image, overlay) in zip(
            pack.disks_in(new, self.output.images, self.progress.fraction), self._pairs(), strict=True
        ):
            self._read_back(member, image, overlay, stored(image, overlay))
        notes = [f"left out of {self.output.path.name}: {what}" for what in left_out]
        notes += [note for image in self.output.images for note in left_behind(image)]
        return self._done(new, size, tuple(notes))

    def _into_copy(self, image: Image, overlay: Path, new: Path) -> tuple[Path, Written]:
        size = changed_bytes(overlay)
        copy = Image(new, image.format, image.size)
        self._step("writing", size)
        reflink.merge_into_copy(copy, overlay, self.progress.fraction)
        sync_file(new)
        self._step("reading back", size)
        readback.check_whole(copy)
        readback.compare_by_readers(copy, image, overlay, self.progress.fraction, changes_only=True)
        return self._done(new, size)

    def _pairs(self) -> list[tuple[Image, Path]]:
        return [(image, overlay) for image, overlay in self.output.disks if overlay is not None]

    def _only(self) -> tuple[Image, Path]:
        (pair,) = self._pairs()
        return pair

    def _written(self, image: Image, overlay: Path, new: Path, written: str) -> tuple[Image, int]:
        size = stored(image, overlay)
        self._step("writing", size)
        made = write_disk(image, overlay, new, written, self.progress.fraction)
        sync_file(new)
        return made, size

    def _read_back(self, made: Image, image: Image, overlay: Path, size: int) -> None:
        self._step("reading back", size)
        readback.check_whole(made)
        by_qemu = made.format == "vmdk" and readback.qemu_goes_through(image)
        compare = readback.compare_by_qemu if by_qemu else readback.compare_by_readers
        compare(made, image, overlay, self.progress.fraction)

    def _done(self, new: Path, size: int, notes: tuple[str, ...] = ()) -> tuple[Path, Written]:
        file_size = new.stat().st_size
        self._step("adding up", file_size)
        digest = readback.sha256(new, size, self.progress.fraction)
        disks = sum(image.size for image in self.output.images)
        return new, Written(self.output.path, self.output.format, disks, file_size, digest, notes)

    def _step(self, what: str, size: int) -> None:
        self.progress.step(f"{what} {self.output.path.name}", size)
