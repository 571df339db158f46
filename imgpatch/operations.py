"""What the commands do, from disk files to results: the same functions serve as the Python interface.

open ── inspect ── make_plan ──┬── preview
                               └── commit ── verify ── publish
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgpatch import commit as commits
from imgpatch.comparison import Comparison, Wanted
from imgpatch.edition import Edition
from imgpatch.errors import StalePlanError
from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images.appliance import Drive, Settings
from imgpatch.images.both import Compared, changed_sectors, compare_machines
from imgpatch.images.container import open_images
from imgpatch.images.destination import Destination, Published, check_destination, new_files
from imgpatch.images.disk import Image
from imgpatch.images.inplace import InPlace, Recovered, recover
from imgpatch.images.output import Written
from imgpatch.images.reading import (
    appliance_settings,
    held_images,
    reading,
    reading_session,
    refuse_half_merged,
)
from imgpatch.images.session import Session, open_session
from imgpatch.images.windows_volumes import SHUT_DOWN, Opening
from imgpatch.inspection import Inspection, inspect
from imgpatch.manifest import Manifest
from imgpatch.plan import Choices, Context, Plan, make_plan
from imgpatch.progress import Progress
from imgpatch.storage import Storage
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspected:
    """A machine as `inspect` shows it."""

    images: tuple[Image, ...]
    storage: Storage
    inspection: Inspection
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and where it was written to; nowhere for a preview.

    Attributes:
        messages: what happened on opening the image, and what there is to tell of what was written.
        files: more about what was written, where these are new files.
    """

    plan: Plan
    messages: tuple[str, ...]
    written: tuple[Path, ...] = ()
    files: tuple[Written, ...] = ()


@dataclass(frozen=True, slots=True)
class Reverted:
    """What was put back, and where it was written to.

    Attributes:
        messages: what happened on opening the image, and what there is to tell of what was written.
        files: more about what was written, where these are new files.
    """

    manifest: Manifest
    written: tuple[Path, ...]
    messages: tuple[str, ...] = ()
    files: tuple[Written, ...] = ()


def inspect_images(
    paths: Sequence[Path], progress: Progress, *, force_dirty_hives: bool = False
) -> Inspected:
    """Opens a machine read-only and says what is in it; a hibernated Windows too."""
    with reading(paths, progress, Opening(look=True)) as (images, session):
        progress.step("inspecting")
        inspection = inspect(session.guest, EC2, force_dirty_hives=force_dirty_hives)
        return Inspected(images, session.guest.storage, inspection, session.messages)


def preview_images(
    paths: Sequence[Path],
    edition: Edition,
    choices: Choices,
    progress: Progress,
    opening: Opening = SHUT_DOWN,
) -> Planned:
    """Opens a machine read-only and makes the plan that `apply_images` would carry out."""
    with reading(paths, progress, opening) as (_, session):
        plan = _plan(session, edition, choices, progress)
        return Planned(plan, session.messages)


def apply_images(
    paths: Sequence[Path],
    destination: Destination,
    edition: Edition,
    choices: Choices,
    expected: str | None,
    progress: Progress,
    opening: Opening = SHUT_DOWN,
) -> Planned:
    """Makes a plan, writes it to an overlay, reads it back in a fresh session, and publishes the result.

    Args:
        paths: the disks of the machine, in order.
        destination: where the result goes.
        edition: of the documents.
        choices: what the user decided.
        expected: the digest the plan must have; None takes any.
        progress: told each step.
        opening: what may be lost of a Windows that was not shut down.

    Raises:
        StalePlanError: the plan has another digest.
        VerifyError: what was written does not read back as planned; nothing was published.
    """
    with _writing(paths, destination, progress, opening) as writing:
        with writing.session("read and change the machine", writable=True) as session:
            plan = _plan(session, edition, choices, progress)
            machine = writing.describe(session)
            messages = session.messages
            if expected not in (None, plan.digest):
                raise StalePlanError(
                    f"the plan is {plan.digest}, not {expected}: the image or the choices are others",
                    hint="run `imgpatch preview` with the same options and look again",
                )
            if not plan.is_empty:
                progress.step("writing into an overlay")
                suffix = choices.original_suffix
                commits.commit(plan, session.guest, session.files, suffix, edition=edition.name)
        if plan.is_empty and destination.in_place:
            return Planned(plan, messages)
        if not plan.is_empty:
            with writing.session("read everything back", writable=False) as session:
                progress.step("reading everything back")
                commits.verify(plan, session.guest, session.files)
        done = writing.publish(machine)
        return Planned(plan, (*messages, *done.messages), done.paths, done.files)


def revert_images(
    paths: Sequence[Path], destination: Destination, progress: Progress, opening: Opening = SHUT_DOWN
) -> Reverted:
    """Puts back what the manifest in the image says, verifies that, and publishes the result."""
    with _writing(paths, destination, progress, opening) as writing:
        with writing.session("put the originals back", writable=True) as session:
            progress.step("putting the originals back")
            manifest = commits.revert(session.guest, session.files)
            machine = writing.describe(session)
            messages = session.messages
        with writing.session("read everything back", writable=False) as session:
            progress.step("reading everything back")
            commits.verify_reverted(manifest, session.files)
        done = writing.publish(machine)
        return Reverted(manifest, done.paths, (*messages, *done.messages), done.files)


def diff_images(
    before: Sequence[Path], after: Sequence[Path], wanted: Wanted, progress: Progress
) -> Compared:
    """Opens two machines read-only and says everything that differs between them."""
    with held_images(before, progress) as one, held_images(after, progress) as other:
        changed = changed_sectors(one, other, progress)
        if changed is None:
            return Compared((), Comparison((), {}))
        look = Opening(look=True)
        with reading_session(one, progress, look) as first, reading_session(other, progress, look) as second:
            return compare_machines((one, first), (other, second), changed, wanted, progress)


def recover_images(paths: Sequence[Path]) -> Recovered | None:
    """Finishes or discards what a killed change in place left; None: there was nothing."""
    return recover(paths)


def _plan(session: Session, edition: Edition, choices: Choices, progress: Progress) -> Plan:
    progress.step("inspecting")
    inspection = inspect(session.guest, EC2, force_dirty_hives=choices.force_dirty_hives)
    progress.step("planning")
    return make_plan(session.guest, TRANSFORMS, Context(edition, inspection, choices))


@dataclass(frozen=True, slots=True)
class _Writing:
    """Overlays that take what is written, and the way to publish them."""

    overlays: tuple[Image, ...]
    settings: Settings
    publish: Callable[[NewMachine | None], Published]
    progress: Progress
    opening: Opening
    wants_machine: bool = False

    def describe(self, session: Session) -> NewMachine | None:
        """The machine in an open session, where an OVA has to tell of it."""
        if not self.wants_machine:
            return None
        inspection = inspect(session.guest, EC2)
        system = "linux" if inspection.windows is None else "windows"
        return NewMachine("machine", inspection.firmware, system)

    @contextlib.contextmanager
    def session(self, purpose: str, *, writable: bool) -> Iterator[Session]:
        self.progress.step(f"launching the appliance to {purpose}")
        drives = [Drive(overlay.path, overlay.format, writable) for overlay in self.overlays]
        sizes = [overlay.size for overlay in self.overlays]
        with open_session(drives, sizes, self.settings, self.progress, self.opening) as session:
            yield session


@contextlib.contextmanager
def _writing(
    paths: Sequence[Path], destination: Destination, progress: Progress, opening: Opening
) -> Iterator[_Writing]:
    check_destination(destination)
    progress.step("looking at the disk files")
    if destination.in_place:
        recovered = recover(paths)
        if recovered is not None:
            log.warning("a run that was killed has been %s", recovered)
    else:
        refuse_half_merged(paths)
    images = open_images(paths, progress)
    with (
        _in_place(images, progress, opening)
        if destination.in_place
        else _to_outputs(images, destination, progress, opening) as writing
    ):
        yield writing


@contextlib.contextmanager
def _in_place(images: Sequence[Image], progress: Progress, opening: Opening) -> Iterator[_Writing]:
    with InPlace(images) as change:

        def publish(_: NewMachine | None) -> Published:
            progress.step("merging the changes into the image")
            change.commit(progress.fraction)
            return Published(tuple(image.path for image in images))

        yield _Writing(change.overlays, appliance_settings(progress), publish, progress, opening)


@contextlib.contextmanager
def _to_outputs(
    images: Sequence[Image], destination: Destination, progress: Progress, opening: Opening
) -> Iterator[_Writing]:
    with new_files(images, destination) as files:

        def publish(machine: NewMachine | None) -> Published:
            return files.publish(machine, progress)

        settings = replace(appliance_settings(progress), work_dir=destination.work_dir)
        yield _Writing(files.overlays, settings, publish, progress, opening, files.wants_machine)
