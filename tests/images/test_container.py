from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import ovas
from imgpatch.errors import RefusedError, UsageError
from imgpatch.images.container import open_disk, open_images
from imgpatch.images.disk import Image
from imgpatch.images.overlay import create_overlay
from tests.images import disks

pytestmark = disks.needs_qemu_img


FORMATS = {
    "raw": ("raw", (), ""),
    "qcow2": ("qcow2", (), ""),
    "sparse vmdk": ("vmdk", (), "monolithicSparse"),
    "stream-optimized vmdk": ("vmdk", ("-o", "subformat=streamOptimized"), "streamOptimized"),
    "fixed vhd": ("vpc", ("-o", "subformat=fixed,force_size=on"), "fixed"),
    "dynamic vhd": ("vpc", ("-o", "force_size=on"), "dynamic"),
    "dynamic vhdx": ("vhdx", (), "dynamic"),
    "fixed vhdx": ("vhdx", ("-o", "subformat=fixed"), "fixed"),
    "dynamic vdi": ("vdi", (), "dynamic"),
    "static vdi": ("vdi", ("-o", "static=on"), "static"),
}
"""What qemu-img calls it, its options, and the variety that is told."""


@pytest.mark.parametrize("made", FORMATS)
def test_a_disk_is_known_by_its_content(tmp_path: Path, made: str) -> None:
    """Not by its name; and QEMU, told what was found, sees the same bytes."""
    image_format, options, variety = FORMATS[made]
    data = disks.content()
    path = disks.make(tmp_path / "disk.img", data, image_format, *options)
    (image,) = open_images([path])
    assert image == Image(path, image_format, len(data), variety)
    with open_disk(image) as disk:
        assert disk.read(0, len(data)) == data
    over = create_overlay(image, tmp_path / "over.qcow2", room=0)
    assert disks.guest_bytes(over.path, "qcow2") == data


@pytest.mark.parametrize("made", FORMATS)
def test_an_archive_is_the_disks_of_its_machine(tmp_path: Path, made: str) -> None:
    """Read where they lie in it, in the order of the machine and not of the archive."""
    image_format, options, variety = FORMATS[made]
    contents = [disks.content(seed=1), disks.content(2 * disks.MIB, seed=2)]
    files = [disks.make(tmp_path / f"d{n}", data, image_format, *options) for n, data in enumerate(contents)]
    path = tmp_path / "vm.ova"
    path.write_bytes(ovas.good({file.name: file.read_bytes() for file in files}))
    images = open_images([path])
    assert [(i.format, i.variety, i.member) for i in images] == [
        (image_format, variety, f.name) for f in files
    ]
    for number, (image, data) in enumerate(zip(images, contents, strict=True)):
        with open_disk(image) as disk:
            assert disk.read(0, len(data)) == data
        over = create_overlay(image, tmp_path / f"over{number}.qcow2", room=0)
        assert disks.guest_bytes(over.path, "qcow2") == data


def test_links_are_followed_to_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disks.make(tmp_path / "disk.img", disks.content())
    (tmp_path / "link").symlink_to("disk.img")
    monkeypatch.chdir(tmp_path)
    assert open_images(["link"])[0].path == path


@pytest.mark.parametrize("name", ["\u65e5\u672c" * 40, "a\"b',c:\n%d\t\\"], ids=["Japanese", "signs"])
def test_an_overlay_lies_over_an_image_with_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / name
    folder.mkdir(parents=True)
    (image,) = open_images([disks.make(folder / name, disks.content())])
    over = create_overlay(image, tmp_path / "over.qcow2", room=0)
    assert disks.guest_bytes(over.path, "qcow2") == disks.content()


def test_a_path_too_long_for_an_overlay_is_told(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["long" * 50] * 5)
    folder.mkdir(parents=True)
    (image,) = open_images([disks.make(folder / "disk.img", disks.content())])
    with pytest.raises(RefusedError, match=r"a path of 1\d\d\d bytes") as caught:
        create_overlay(image, tmp_path / "over.qcow2", room=0)
    assert "shorter path" in (caught.value.hint or "")


def test_a_blank_disk_may_stand_beside_one_that_is_not(tmp_path: Path) -> None:
    full = disks.make(tmp_path / "a.img", disks.content())
    blank = disks.make(tmp_path / "b.img", bytes(disks.MIB))
    assert [i.path for i in open_images([full, blank])] == [full, blank]


def header(at: int, data: bytes) -> Callable[[Path], None]:
    """Changes bytes of a qcow2 header."""

    def change(folder: Path) -> None:
        path = disks.make(folder / "x", disks.content(), "qcow2")
        with path.open("rb+") as file:
            file.seek(at)
            file.write(data)

    return change


def holds(data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "x").write_bytes(data)

    return make


def overlay(folder: Path) -> None:
    base = disks.make(folder / "base", disks.content(), "qcow2")
    disks.qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", folder / "x")


def external_data(folder: Path) -> None:
    disks.make(folder / "x", disks.content(), "qcow2", "-o", f"data_file={folder / 'data'}")


def cut_qcow2(folder: Path) -> None:
    path = disks.make(folder / "x", disks.content(), "qcow2")
    os.truncate(path, path.stat().st_size - 100_000)


def cut_raw(folder: Path) -> None:
    holds(disks.content()[: 3 * disks.MIB])(folder)


def leaking_refcounts(folder: Path) -> None:
    """A data cluster with no reference: a write would take it for free."""
    path = disks.make(folder / "x", disks.content(), "qcow2")
    with path.open("rb+") as file:
        file.seek(2 * 65536)  # the first refcount block
        file.seek(2 * 65536 + 2 * 6)
        file.write(b"\0\0")


def blank_qcow2(folder: Path) -> None:
    disks.make(folder / "x", bytes(disks.MIB), "qcow2")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (holds(b""), "is empty"),
        (holds(bytes(disks.MIB)), "no partition table"),
        (holds(os.urandom(disks.MIB)), "no partition table"),
        (blank_qcow2, "no partition table"),
        (holds(b"x" * 100), "sectors"),
        (holds(disks.content() + b"x"), "sectors"),
        (cut_raw, "truncated"),
        (cut_qcow2, "truncated"),
        (holds(b"QFI\xfb"), "qcow2"),
        (overlay, "backing file"),
        (external_data, "another file"),
        (header(32, b"\0\0\0\2"), "encrypted"),
        (header(79, b"\1"), "not closed cleanly"),
        (header(79, b"\2"), "corrupt"),
        (header(72, b"\x80"), "unknown incompatible features"),
        (header(4, b"\0\0\0\4"), "version 4"),
        (leaking_refcounts, "qemu-img check"),
        (holds(b"KDMV".ljust(512, b"\0")), "vmdk"),
        (holds(b"# Disk DescriptorFile\n"), "VMDK"),
        (holds(b"conectix".ljust(512, b"\0")), "vpc"),
        (holds(disks.content() + b"conectix".ljust(512, b"\0")), "vpc"),
        (holds(b"vhdxfile".ljust(512, b"\0")), "vhdx"),
        (holds(bytes(64) + b"\x7f\x10\xda\xbe" + bytes(512)), "vdi"),
        (holds(b"\x1f\x8b\x08" + bytes(512)), "gzip"),
        (holds(b"\xfd7zXZ\0" + bytes(512)), "xz"),
        (holds(b"\x28\xb5\x2f\xfd" + bytes(512)), "zstd"),
        (holds(b"BZh9" + bytes(512)), "bzip2"),
        (holds(bytes(257) + b"ustar" + bytes(512)), "OVA"),
        (holds(bytes(0x8001) + b"CD001" + bytes(512)), "ISO"),
    ],
)  # fmt: skip
def test_what_cannot_be_treated_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path)
    path = tmp_path / "x"
    before = path.read_bytes()
    with pytest.raises(RefusedError) as caught:
        open_images([path])
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["missing", "-", "folder", "pipe", "/dev/null"])
def test_only_files_are_images(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError) as caught:
        open_images([name])
    assert caught.value.hint


def test_a_file_is_one_disk_only(tmp_path: Path) -> None:
    path = disks.make(tmp_path / "disk.img", disks.content())
    (tmp_path / "link").hardlink_to(path)
    with pytest.raises(UsageError, match="same file"):
        open_images([path, tmp_path / "link"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = disks.make(tmp_path / "disk.img", disks.content())
    path.chmod(0)
    with pytest.raises(RefusedError, match="cannot be read"):
        open_images([path])


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_an_image_in_use_by_qemu_is_refused(tmp_path: Path, image_format: str) -> None:
    path = disks.make(tmp_path / "disk", disks.content(), image_format)
    with subprocess.Popen(
        ["qemu-io", "-f", image_format, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        try:
            assert user.stdout is not None
            assert user.stdout.read(1)  # the prompt: it is open
            with pytest.raises(RefusedError, match="in use"):
                open_images([path])
        finally:
            user.kill()
    assert open_images([path])
