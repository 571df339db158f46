"""Would the import fail: from disk files to findings, without writing anything.

files ── examine ── open ── (plan) ── check
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgpatch import checks, room
from imgpatch.checks import opening as opening_check
from imgpatch.edition import Edition
from imgpatch.errors import RefusedError
from imgpatch.finding import Container, Finding, Machine, Operation
from imgpatch.guest import Guest
from imgpatch.images.examine import examine, sniffed
from imgpatch.images.reading import held_images, reading_session
from imgpatch.images.session import Session
from imgpatch.images.windows_volumes import SHUT_DOWN, Opening
from imgpatch.inspection import Inspection, inspect
from imgpatch.inspection.windows.hives import VOLUME
from imgpatch.plan import Choices, Context, Plan, make_plan, planned
from imgpatch.progress import Progress
from imgpatch.storage import Storage
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS


@dataclass(frozen=True, slots=True)
class Checked:
    """What an import would come upon.

    Attributes:
        findings: the most decisive first.
        containers: the disk files as the service would get them.
        inspection: None where the machine could not be opened: then nothing behind that was looked at.
        storage: likewise.
        operation: what was predicted.
    """

    findings: tuple[Finding, ...]
    edition: Edition
    containers: tuple[Container, ...]
    inspection: Inspection | None
    messages: tuple[str, ...]
    storage: Storage | None = None
    operation: Operation = Operation.IMAGE


def check_images(
    paths: Sequence[Path],
    edition: Edition,
    progress: Progress,
    *,
    after: bool = False,
    choices: Choices | None = None,
    operation: Operation = Operation.IMAGE,
) -> Checked:
    """Opens a machine read-only and predicts what its import would fail with.

    Args:
        paths: the disks of the machine, in order.
        edition: of the documents, perhaps with a table of the user's own.
        progress: told each step.
        after: check the machine as `apply_images` with these choices would leave it.
        choices: what the user decided; of use with `after`.
        operation: what is predicted; for a snapshot the machine is not launched.

    Raises:
        RefusedError: it cannot be opened, for a reason that is none of the service's.
    """
    containers: tuple[Container, ...] = ()
    try:
        with held_images(paths, progress) as images:
            containers = examine(images, progress)
            if after:
                containers = tuple(map(_as_written, containers))
            if operation is Operation.SNAPSHOT or any(container.damage for container in containers):
                found = checks.of_files(containers, edition, operation)
                return Checked(found, edition, containers, None, (), operation=operation)
            with reading_session(images, progress, SHUT_DOWN if after else Opening(look=True)) as session:
                plan = _plan(session.guest, edition, choices or Choices(), progress) if after else Plan(())
                machine = _machine(session, plan, edition, containers, operation)
                progress.step("checking")
                findings = checks.run(machine)
                progress.step(_read(session))
                found_in, storage = machine.inspection, machine.storage
                return Checked(findings, edition, containers, found_in, session.messages, storage, operation)
    except RefusedError as error:
        finding = opening_check.finding(error, edition, operation)
        if finding is None:
            raise
        if containers:
            found = checks.in_order((*checks.of_files(containers, edition, operation), finding))
        else:
            containers = sniffed(paths)
            found = (opening_check.placed(finding, containers),)
        return Checked(found, edition, containers, None, (), operation=operation)


def _as_written(container: Container) -> Container:
    """What a new file of the same format is like: a VMDK is then one that the service takes."""
    if container.format != "vmdk":
        return container
    return replace(container, variety="streamOptimized", maker="")


def _plan(guest: Guest, edition: Edition, choices: Choices, progress: Progress) -> Plan:
    progress.step("planning")
    return make_plan(guest, TRANSFORMS, Context(edition, inspect(guest, EC2), choices))


def _machine(
    session: Session,
    plan: Plan,
    edition: Edition,
    containers: tuple[Container, ...],
    operation: Operation,
) -> Machine:
    """What the checks look at: an open machine as a plan will leave it.

    Raises:
        RefusedError: the plan does not fit on it.
    """
    guest = planned(session.guest, {change.path: change.after for change in plan.changes})
    inspection = inspect(guest, EC2)
    root = VOLUME if inspection.windows is not None else "/"
    space = {"/": room.left(plan, session.files, root)}
    return Machine(guest, inspection, edition, containers, space, operation)


def _read(session: Session) -> str:
    """For `-v`: what the check cost."""
    appliance = session.appliance
    return f"{appliance.calls} calls of the appliance, {appliance.received >> 10} KiB of files read"
