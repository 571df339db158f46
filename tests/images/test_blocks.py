from __future__ import annotations

from pathlib import Path

import pytest

from imgpatch.images import qemu
from imgpatch.images.blocks import differing
from imgpatch.images.disk import Image

SIZE = 8 << 20


def raw(folder: Path, name: str, *pieces: tuple[int, bytes]) -> Image:
    path = folder / name
    with path.open("wb") as file:
        file.truncate(SIZE)
        for at, data in pieces:
            file.seek(at)
            file.write(data)
    return Image(path, "raw", SIZE)


def ranges(one: Image, other: Image) -> list[tuple[int, int]]:
    (found,) = differing([one], [other], lambda _: None)
    return list(found)


@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "vhdx"])
def test_sectors_that_differ_are_found_in_every_format(image_format: str, tmp_path: Path) -> None:
    one = raw(tmp_path, "one", (0, b"a"), (70_000, b"b" * 2000), (4 << 20, bytes(4096)))
    changed = raw(tmp_path, "changed", (0, b"a"), (70_000, b"b" * 1000 + b"c" * 1000), (SIZE - 1, b"z"))
    other = changed
    if image_format != "raw":
        path = tmp_path / f"other.{image_format}"
        qemu.run("convert", "-q", "-f", "raw", "-O", image_format, changed.path, path)
        other = Image(path, image_format, SIZE)
    assert ranges(one, other) == [(70_656, 72_192), (SIZE - 512, SIZE)]
    assert ranges(other, one) == ranges(one, other)


def test_disks_without_a_partner_are_left_out(tmp_path: Path) -> None:
    one = raw(tmp_path, "one", (0, b"a"))
    assert len(differing([one, one], [one], lambda _: None)) == 1


def test_only_what_both_have_is_compared(tmp_path: Path) -> None:
    one, other = raw(tmp_path, "one"), raw(tmp_path, "other", (SIZE - 512, b"x"))
    small = Image(one.path, "raw", SIZE - 512)
    assert ranges(small, other) == []
    assert ranges(other, small) == []
