"""Two machines side by side: their disks on this host, their files each in an appliance of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from imgpatch.comparison import Comparison, Wanted, compare
from imgpatch.errors import UsageError
from imgpatch.images.blocks import differing
from imgpatch.images.container import open_disk
from imgpatch.images.disk import Disk, Image
from imgpatch.images.listing import Listing
from imgpatch.images.places import Read
from imgpatch.images.session import Session
from imgpatch.outside import Machine, Outside, outside
from imgpatch.progress import Progress
from imgpatch.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Compared:
    """Every difference of two machines.

    Attributes:
        outside: what is not in files; empty where only a part of the files was asked for.
        messages: of opening either.
    """

    outside: tuple[Outside, ...]
    files: Comparison
    messages: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.outside and not self.files.counts


Opened = tuple[Sequence[Image], Session]


def changed_sectors(
    before: Sequence[Image], after: Sequence[Image], progress: Progress
) -> tuple[Ranges, ...] | None:
    """For each disk that both have, where they differ; None: all disks are the same to the last byte."""
    progress.step("comparing the disks")
    changed = differing(before, after, progress.fraction)
    same_sizes = [image.size for image in before] == [image.size for image in after]
    return None if same_sizes and not any(changed) else changed


def compare_machines(
    before: Opened, after: Opened, changed: Sequence[Ranges], wanted: Wanted, progress: Progress
) -> Compared:
    """Compares two open machines, each in an appliance of its own.

    Disks of one origin cannot be in one appliance: their volume groups and file systems have the same names.
    """
    with _reader(before[0]) as read_before, _reader(after[0]) as read_after:
        progress.step("listing and comparing the files")
        one = Listing(before[1], changed, read_before, wanted.under)
        other = Listing(after[1], changed, read_after, wanted.under)
        if not one.exists and not other.exists:
            raise UsageError(f"--under {wanted.under}: neither machine has such a path")
        files = compare(one, other, wanted)
        machines = (
            Machine(before[1].guest.storage, one.segments, read_before),
            Machine(after[1].guest.storage, other.segments, read_after),
        )
        rest = tuple(outside(*machines, changed)) if wanted.under == "/" else ()
        sides = (("before", before[1], one), ("after", after[1], other))
        said = tuple(
            f"{name}: {m}" for name, session, side in sides for m in (*session.messages, *side.messages)
        )
        calls = before[1].appliance.calls + after[1].appliance.calls
        received = before[1].appliance.received + after[1].appliance.received
        progress.step(f"{calls} calls of the appliances, {received >> 10} KiB received")
        return Compared(rest, files, said)


@contextmanager
def _reader(images: Sequence[Image]) -> Iterator[Read]:
    with ExitStack() as stack:
        disks: list[Disk] = [stack.enter_context(open_disk(image)) for image in images]
        yield lambda disk, offset, length: disks[disk].read(offset, length)
