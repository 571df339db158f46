"""Room on the guest's file systems: whether a plan fits, and what it leaves."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imgpatch.errors import RefusedError
from imgpatch.files import Files, Space
from imgpatch.plan import Plan

METADATA_BLOCKS = 64
"""Blocks set aside on each file system for directories and for what the file system itself needs."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan takes of one file system.

    Attributes:
        space: as it is before.
    """

    space: Space
    blocks: int = METADATA_BLOCKS
    inodes: int = 0

    def with_file(self, size: int) -> Need:
        """And a file of so many bytes, which may need a folder."""
        blocks = self.blocks - (-size // self.space.block_size) + 1
        return replace(self, blocks=blocks, inodes=self.inodes + 2)


def needs(plan: Plan, files: Files) -> tuple[Need, ...]:
    """Of each file system that is written to; original and new file both stay, so all of it is new."""
    found: dict[str, Need] = {}
    for path, size in _new_files(plan, files):
        space = files.space(existing_parent(path, files))
        found[space.mountpoint] = found.get(space.mountpoint, Need(space)).with_file(size)
    return tuple(found.values())


def refuse_without_room(plan: Plan, files: Files) -> None:
    """Before anything is written.

    Raises:
        RefusedError: the plan does not fit.
    """
    for need in needs(plan, files):
        space = need.space
        if need.blocks > space.blocks:
            raise RefusedError(
                f"{space.mountpoint}: {_mib(space.blocks * space.block_size)} free, "
                f"{_mib(need.blocks * space.block_size)} wanted for new files beside the originals",
                hint="make room in the guest (on /boot: remove an old kernel), or enlarge the file system",
            )
        if space.inodes is not None and need.inodes > space.inodes:
            raise RefusedError(
                f"{space.mountpoint}: {space.inodes} free inodes, {need.inodes} wanted",
                hint="remove files in the guest that are no longer used",
            )


def left(plan: Plan, files: Files, path: str) -> Space:
    """What a plan leaves of the file system that a path is on.

    Raises:
        RefusedError: the plan does not fit on one of those that it writes to.
    """
    refuse_without_room(plan, files)
    space = files.space(path)
    for need in needs(plan, files):
        if need.space.mountpoint == space.mountpoint:
            return replace(space, blocks=space.blocks - need.blocks)
    return space


def existing_parent(path: str, files: Files) -> str:
    """The nearest folder above a path that is there."""
    parent = posixpath.dirname(path)
    while files.details(parent) is None:
        parent = posixpath.dirname(parent)
    return parent


def _new_files(plan: Plan, files: Files) -> Iterator[tuple[str, int]]:
    for change in plan.changes:
        yield change.path, len(change.after or b"")
    for rebuild in plan.rebuilds:
        details = files.details(rebuild.path)
        yield rebuild.path, 2 * (0 if details is None else details.size)


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
