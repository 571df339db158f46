"""Whether a plan fits into a guest, and what it leaves of its room."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from imgpatch import room
from imgpatch.errors import RefusedError
from imgpatch.files import Space
from imgpatch.plan import Change, Plan, Reason
from tests.checks.machines import ubuntu
from tests.memory_disk import MemoryDisk

MIB = 1 << 20
BOOT = "/boot/initrd.img-6.8.0-138-generic"


@dataclass
class Mounted(MemoryDisk):
    """A guest with a file system of its own on /boot."""

    root: Space
    boot: Space

    def __post_init__(self) -> None:
        super().__init__(ubuntu().machine().guest)

    def space(self, path: str) -> Space:
        return self.boot if f"{path}/".startswith("/boot/") else self.root


def mounted(blocks: int = 50_000, inodes: int = 100) -> Mounted:
    return Mounted(Space("/", 4096, 100_000, 10_000), Space("/boot", 1024, blocks, inodes))


def plan(*changes: tuple[str, int | None]) -> Plan:
    why = (Reason("M-03", "why"),)
    return Plan(
        tuple(Change(path, b"old", None if size is None else bytes(size), why) for path, size in changes)
    )


def test_originals_and_new_files_stay_beside_each_other() -> None:
    files = mounted()
    left = room.left(plan((BOOT, 10 * MIB), ("/etc/fstab", 1)), files, "/boot")
    taken = files.boot.blocks - left.blocks
    assert taken * 1024 >= 10 * MIB
    assert taken <= 10 * 1024 + 1 + room.METADATA_BLOCKS
    assert room.left(plan(("/etc/fstab", 1)), files, "/boot") == files.boot


def test_a_removed_file_gives_nothing_back() -> None:
    files = mounted()
    assert room.left(plan((BOOT, None)), files, "/boot").blocks <= files.boot.blocks


def test_an_empty_plan_leaves_everything() -> None:
    files = mounted()
    assert room.left(Plan(()), files, "/") == files.root


@pytest.mark.parametrize(("boot", "said"), [({"blocks": 10_000}, "MiB"), ({"inodes": 1}, "inodes")])
def test_what_does_not_fit_is_refused(boot: dict[str, int], said: str) -> None:
    files = mounted(**boot)
    with pytest.raises(RefusedError, match=f"/boot: .* {said}"):
        room.left(plan((BOOT, 10 * MIB)), files, "/")
    assert room.left(plan(("/etc/fstab", 10 * MIB)), files, "/boot") == files.boot


def test_a_new_folder_counts_for_the_file_system_it_will_be_on() -> None:
    files = mounted()
    (need,) = room.needs(plan(("/boot/new/deep/file", 1)), files)
    assert need.space == files.boot
