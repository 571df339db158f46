"""A change in place, with every system call that writes failing once; minutes for each kind of container."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.images import changes, disks, faults

pytestmark = disks.needs_qemu_img


@pytest.mark.parametrize("kind", ["raw", "vhd"])
def test_a_qemu_img_that_goes_on_keeps_the_next_run_waiting(tmp_path: Path, kind: str) -> None:
    place = faults.Place(tmp_path, kind)
    tried = 0
    for _, status in faults.orphans(place):
        place.check(status, place.recover())
        tried += 1
    assert tried == (1 if kind == "raw" else len(faults.QEMU))


@pytest.mark.all_boots
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("kind", "count"), [*((kind, 1) for kind in changes.KINDS), ("raw", 2), ("vmdk", 2)])
def test_whatever_call_fails_the_images_are_wholly_old_or_wholly_new(
    tmp_path: Path, kind: str, count: int
) -> None:
    tried = faults.try_all(faults.Place(tmp_path, kind, count))
    assert sum(tried.values()) > 150
    assert {"imgpatch, signal=KILL", "qemu-img, signal=KILL"} <= set(tried)
