"""What the commands do, from disk files to results: the same functions serve as the Python interface.

open ── inspect ── make_plan ──┬── preview
                               └── commit ── verify ── publish
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgpatch import checks
from imgpatch import commit as commits
from imgpatch.checks import opening as opening_check
from imgpatch.edition import Edition
from imgpatch.errors import RefusedError, StalePlanError, UsageError
from imgpatch.finding import Container, Finding, Machine
from imgpatch.images import locks, probe, redolog
from imgpatch.images.appliance import Drive, Settings
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image
from imgpatch.images.durable import work_folder
from imgpatch.images.inplace import InPlace, Recovered, recover
from imgpatch.images.overlay import create_overlay
from imgpatch.images.publish import check_output, publish_outputs
from imgpatch.images.session import Session, open_session
from imgpatch.images.windows_volumes import SHUT_DOWN, Opening
from imgpatch.inspection import Inspection, inspect
from imgpatch.inspection.windows.hives import VOLUME
from imgpatch.manifest import Manifest
from imgpatch.plan import Choices, Context, Plan, make_plan, planned
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
        messages: what happened on opening the image.
    """

    plan: Plan
    messages: tuple[str, ...]
    written: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What an import would come upon.

    Attributes:
        findings: the most decisive first.
        containers: the disk files as the service would get them.
        inspection: None where the machine could not be opened: then nothing behind that was looked at.
        storage: likewise.
    """

    findings: tuple[Finding, ...]
    edition: Edition
    containers: tuple[Container, ...]
    inspection: Inspection | None
    messages: tuple[str, ...]
    storage: Storage | None = None


@dataclass(frozen=True, slots=True)
class Reverted:
    manifest: Manifest
    written: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a result goes: to new files, one an image, or over the images."""

    outputs: tuple[Path, ...]
    in_place: bool


def inspect_images(
    paths: Sequence[Path], progress: Progress, *, force_dirty_hives: bool = False
) -> Inspected:
    """Opens a machine read-only and says what is in it; a hibernated Windows too."""
    with _reading(paths, progress, Opening(look=True)) as (images, session):
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
    with _reading(paths, progress, opening) as (_, session):
        plan = _plan(session, edition, choices, progress)
        return Planned(plan, session.messages)


def check_images(
    paths: Sequence[Path],
    edition: Edition,
    progress: Progress,
    *,
    after: bool = False,
    choices: Choices | None = None,
) -> Checked:
    """Opens a machine read-only and predicts what its import would fail with.

    Args:
        paths: the disks of the machine, in order.
        edition: of the documents, perhaps with a table of the user's own.
        progress: told each step.
        after: check the machine as `apply_images` with these choices would leave it.
        choices: what the user decided; of use with `after`.

    Raises:
        RefusedError: it cannot be opened, for a reason that is none of the service's.
    """
    try:
        with _reading(paths, progress, SHUT_DOWN if after else Opening(look=True)) as (images, session):
            guest = session.guest
            if after:
                plan = _plan(session, edition, choices or Choices(), progress)
                guest = planned(guest, {change.path: change.after for change in plan.changes})
            progress.step("checking")
            inspection = inspect(guest, EC2)
            root = VOLUME if inspection.windows is not None else "/"
            space = {"/": session.files.space(root)}
            containers = tuple(map(_container, images))
            findings = checks.run(Machine(guest, inspection, edition, containers, space))
            appliance = session.appliance
            progress.step(
                f"{appliance.calls} calls of the appliance, {appliance.received >> 10} KiB of files read"
            )
            return Checked(findings, edition, containers, inspection, session.messages, guest.storage)
    except RefusedError as error:
        finding = opening_check.finding(error)
        if finding is None:
            raise
        containers = ()
        with contextlib.suppress(RefusedError):
            containers = tuple(map(_container, open_images(paths)))
        return Checked((finding,), edition, containers, None, ())


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
        return Planned(plan, messages, writing.publish())


def revert_images(
    paths: Sequence[Path], destination: Destination, progress: Progress, opening: Opening = SHUT_DOWN
) -> Reverted:
    """Puts back what the manifest in the image says, verifies that, and publishes the result."""
    with _writing(paths, destination, progress, opening) as writing:
        with writing.session("put the originals back", writable=True) as session:
            progress.step("putting the originals back")
            manifest = commits.revert(session.guest, session.files)
        with writing.session("read everything back", writable=False) as session:
            progress.step("reading everything back")
            commits.verify_reverted(manifest, session.files)
        return Reverted(manifest, writing.publish())


def recover_images(paths: Sequence[Path]) -> Recovered | None:
    """Finishes or discards what a killed change in place left; None: there was nothing."""
    return recover(paths)


def _refuse_half_merged(paths: Sequence[Path]) -> None:
    """A change that was discarded does no harm to reading; one that was half merged must be finished."""
    for path in paths:
        folder = redolog.find(path.resolve())
        left = None if folder is None else redolog.load(folder)
        if left is not None and left.state is redolog.State.COMMITTING:
            raise RefusedError(
                f"{path}: a change in place was killed while it was merged into the image",
                hint=f"finish it first: imgpatch recover {path}",
            )


def _container(image: Image) -> Container:
    return Container(str(image.path), image.format, image.size, image.path.stat().st_size)


def _plan(session: Session, edition: Edition, choices: Choices, progress: Progress) -> Plan:
    progress.step("inspecting")
    inspection = inspect(session.guest, EC2, force_dirty_hives=choices.force_dirty_hives)
    progress.step("planning")
    return make_plan(session.guest, TRANSFORMS, Context(edition, inspection, choices))


def _settings(progress: Progress) -> Settings:
    progress.step("probing this machine")
    return probe.appliance_settings(probe.probe())


@contextlib.contextmanager
def _reading(
    paths: Sequence[Path], progress: Progress, opening: Opening
) -> Iterator[tuple[tuple[Image, ...], Session]]:
    progress.step("looking at the disk files")
    _refuse_half_merged(paths)
    images = open_images(paths)
    drives = [Drive(image.path, image.format, writable=False) for image in images]
    with locks.hold([image.path for image in images], writing=False):
        settings = _settings(progress)
        progress.step("launching the appliance")
        with open_session(drives, [image.size for image in images], settings, progress, opening) as session:
            yield images, session


@dataclass(frozen=True, slots=True)
class _Writing:
    """Overlays that take what is written, and the way to publish them."""

    overlays: tuple[Image, ...]
    settings: Settings
    publish: Callable[[], tuple[Path, ...]]
    progress: Progress
    opening: Opening

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
    if destination.in_place == bool(destination.outputs):
        raise UsageError(
            "where the result goes is not clear",
            hint="give either --output FILE (once for each image) or --in-place",
        )
    progress.step("looking at the disk files")
    if destination.in_place:
        recovered = recover(paths)
        if recovered is not None:
            log.warning("a run that was killed has been %s", recovered)
    else:
        _refuse_half_merged(paths)
    images = open_images(paths)
    with (
        _in_place(images, progress, opening)
        if destination.in_place
        else _to_outputs(images, destination.outputs, progress, opening) as writing
    ):
        yield writing


@contextlib.contextmanager
def _in_place(images: Sequence[Image], progress: Progress, opening: Opening) -> Iterator[_Writing]:
    with InPlace(images) as change:

        def publish() -> tuple[Path, ...]:
            progress.step("merging the changes into the image")
            change.commit(progress.fraction)
            return tuple(image.path for image in images)

        yield _Writing(change.overlays, _settings(progress), publish, progress, opening)


@contextlib.contextmanager
def _to_outputs(
    images: Sequence[Image], outputs: Sequence[Path], progress: Progress, opening: Opening
) -> Iterator[_Writing]:
    if len(outputs) != len(images):
        raise UsageError(
            f"{len(images)} images and {len(outputs)} outputs",
            hint="give --output once for each image, in the same order",
        )
    targets = [check_output(output, images) for output in outputs]
    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.hold([image.path for image in images], writing=False))
        folders = [stack.enter_context(work_folder(t.parent, t.name)) for t in targets]
        overlays = tuple(
            create_overlay(image, folder / f"overlay{number}.qcow2")
            for number, (image, folder) in enumerate(zip(images, folders, strict=True))
        )

        def publish() -> tuple[Path, ...]:
            progress.step(f"writing {', '.join(target.name for target in targets)}")
            formats = [image.format for image in images]
            disks = list(zip((o.path for o in overlays), targets, formats, strict=True))
            publish_outputs(disks, progress=progress.fraction)
            return tuple(targets)

        yield _Writing(overlays, _settings(progress), publish, progress, opening)
