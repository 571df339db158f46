"""Where a result goes: looked at before anything is launched, and with overlays that take what is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imgpatch.errors import UsageError
from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images import locks
from imgpatch.images.disk import Image
from imgpatch.images.durable import work_folder
from imgpatch.images.output import Output, Written
from imgpatch.images.output_formats import OVA, check_count, check_suffix, notes, output_formats
from imgpatch.images.overlay import create_overlay
from imgpatch.images.pack import source_archive
from imgpatch.images.publish import check_folder, check_output, publish, require_output_room
from imgpatch.progress import Progress


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a result goes, and as what: to new files, or over the images.

    Attributes:
        outputs: one for each disk, or one for all of them in an OVA.
        in_place: over the images.
        output_format: one of `output_formats.CHOICES`; None: the input's own.
        thin: write only what is changed, in a qcow2 over the image.
        work_dir: absolute, for what is needed only meanwhile; None: beside the outputs.
    """

    outputs: tuple[Path, ...]
    in_place: bool
    output_format: str | None = None
    thin: bool = False
    work_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What was written.

    Attributes:
        paths: of new files, or of the images where they were changed in place.
        files: more about new files.
        messages: what there is to tell about them.
    """

    paths: tuple[Path, ...]
    files: tuple[Written, ...] = ()
    messages: tuple[str, ...] = ()


def check_destination(destination: Destination) -> None:
    """Raises UsageError where what is asked for contradicts itself."""
    if destination.in_place == bool(destination.outputs):
        raise UsageError(
            "where the result goes is not clear",
            hint="give either --output FILE (once for each image) or --in-place",
        )
    asked = {
        "--output-format": destination.output_format is not None,
        "--thin": destination.thin,
        "--work-dir": destination.work_dir is not None,
    }
    given = next((option for option, is_given in asked.items() if is_given), None)
    if destination.in_place and given is not None:
        raise UsageError(
            f"{given} goes with --output: a change in place keeps format and place of the image",
            hint="give --output FILE, or leave it away",
        )
    if destination.thin and destination.output_format is not None:
        raise UsageError("--thin writes qcow2 and nothing else", hint="leave --output-format away")


class NewFiles:
    """Outputs with the overlays that take what is written."""

    def __init__(self, outputs: Sequence[Output], destination: Destination, told: Sequence[str]) -> None:
        self._outputs = outputs
        self._destination = destination
        self._told = tuple(told)

    @property
    def overlays(self) -> tuple[Image, ...]:
        """One for each disk, in the machine's order."""
        return tuple(
            Image(overlay, "qcow2", image.size)
            for output in self._outputs
            for image, overlay in output.disks
            if overlay is not None
        )

    @property
    def wants_machine(self) -> bool:
        """Whether an OVA is to be written, and there is none to go by."""
        return any(o.format == OVA and source_archive(o.images) is None for o in self._outputs)

    def publish(self, machine: NewMachine | None, progress: Progress) -> Published:
        """Writes the files; see `publish.publish`."""
        if machine is not None:
            machine = replace(machine, name=self._outputs[0].path.stem)
        work_dir = self._destination.work_dir
        files = publish(self._outputs, progress, machine=machine, work_dir=work_dir)
        told = (*self._told, *(note for written in files for note in written.notes))
        return Published(tuple(written.path for written in files), files, told)


@contextmanager
def new_files(images: Sequence[Image], destination: Destination) -> Iterator[NewFiles]:
    """Makes overlays of images, for outputs that are checked.

    Raises:
        UsageError: the outputs are too many or too few, are there already, or have misleading names.
        RefusedError: there is no room, or a folder cannot be written.
    """
    formats = output_formats(images, "qcow2" if destination.thin else destination.output_format)
    check_count(images, formats, destination.outputs)
    targets = [check_output(path, images) for path in destination.outputs]
    for target, written in zip(targets, formats, strict=True):
        check_suffix(target, written, chosen=destination.thin or destination.output_format is not None)
    _refuse_twice(targets)
    if destination.work_dir is not None:
        check_folder(destination.work_dir)
    with ExitStack() as stack:
        stack.enter_context(locks.hold({image.path for image in images}, writing=False))
        outputs: list[Output] = []
        for target, written in zip(targets, formats, strict=True):
            its = images if written == OVA else images[len(outputs) : len(outputs) + 1]
            output = Output(target, written, tuple((image, None) for image in its), destination.thin)
            outputs.append(_with_overlays(output, destination, stack))
        yield NewFiles(outputs, destination, list(notes(images, formats)))


def _with_overlays(output: Output, destination: Destination, stack: ExitStack) -> Output:
    beside = stack.enter_context(work_folder(output.path.parent, output.path.name))
    folder = beside
    if destination.work_dir is not None and not output.thin:  # a thin output is its overlay
        folder = stack.enter_context(work_folder(destination.work_dir, output.path.name))
    require_output_room(output, beside, folder)
    overlays = tuple(
        (image, create_overlay(image, folder / f"overlay{number}.qcow2").path)
        for number, image in enumerate(output.images)
    )
    return replace(output, disks=overlays)


def _refuse_twice(targets: Sequence[Path]) -> None:
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise UsageError(f"{target}: is given twice", hint="give each output a name of its own")
