"""What QEMU made of a change is compared, byte by byte, with what was wanted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imgpatch.errors import VerifyError
from imgpatch.images import lowering, merging
from imgpatch.images.container import open_images
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.overlay import create_overlay
from tests.images import changes, disks

pytestmark = disks.needs_qemu_img


def lowered(folder: Path, kind: str) -> tuple[Image, Path, Path]:
    """An image, what was written over it, and the change of its file."""
    (image,) = open_images(changes.machine(folder, kind))
    overlay = folder / "overlay"
    create_overlay(image, overlay)
    changes.fill(overlay, 0)
    kept = Path(shutil.copy(overlay, folder / "kept"))
    lowering.lower(image, overlay, folder / "change")
    assert not overlay.exists()
    return image, kept, folder / "change"


@pytest.mark.parametrize("kind", [kind for kind in changes.KINDS if kind != "raw"])
def test_a_change_that_is_not_the_one_wanted_is_told(tmp_path: Path, kind: str) -> None:
    image, overlay, change = lowered(tmp_path, kind)
    lowering.prove(image, overlay, change)
    with open_file(change) as made:
        data = merging.open_change(made).read(0, 1 << 40)
    place = data.find(bytes([100]) * 4096)
    assert place >= 0
    disks.write(change, place + 77, b"x")
    with pytest.raises(VerifyError, match="differ from byte") as caught:
        lowering.prove(image, overlay, change)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("kind", ["vhd", "vhdx", "vdi", "vmdk"])
def test_a_file_that_would_be_cut_short_is_told(tmp_path: Path, kind: str) -> None:
    image, overlay, change = lowered(tmp_path, kind)
    size = merging_size(change)
    assert size > image.path.stat().st_size
    with change.open("rb+") as file:
        file.seek(24)
        file.write((size - 4096).to_bytes(8, "big"))
    with pytest.raises(VerifyError):
        lowering.prove(image, overlay, change)


def merging_size(change: Path) -> int:
    with open_file(change) as made:
        return merging.open_change(made).size


@pytest.mark.parametrize("kind", changes.KINDS)
def test_the_file_grows_by_no_more_than_it_must(tmp_path: Path, kind: str) -> None:
    """QEMU, writing into a copy itself, ends with the same length."""
    image, _, change = lowered(tmp_path, kind)
    by_qemu = Path(shutil.copy(image.path, tmp_path / "copy"))
    for (offset, length), byte in zip(changes.PIECES, (100, 200, 0), strict=True):
        disks.write(by_qemu, offset, bytes([byte]) * length, image.format)
    assert merging_size(change) < by_qemu.stat().st_size + 4096


def test_only_what_differs_is_in_a_change(tmp_path: Path) -> None:
    image, _, change = lowered(tmp_path, "vhd")
    with open_file(image.path) as file, open_file(change) as made:
        found = merging.open_change(made)
        assert merging.covered(found) < 1 << 20
        whole = merging.Changed(FileDisk(file), found, found.size)
        data = whole.read(0, whole.size)
    assert data[-512:-504] == b"conectix"
    assert data[-512:] == data[:512]
