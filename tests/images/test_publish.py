from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgpatch.errors import ImgpatchError, RefusedError, UsageError
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image
from imgpatch.images.durable import work_folder
from imgpatch.images.locks import hold
from imgpatch.images.overlay import create_overlay
from imgpatch.images.publish import check_output, publish_output, publish_outputs
from tests.images import disks

pytestmark = disks.needs_qemu_img


class Target:
    """What a run holds between its overlays and its outputs."""

    def __init__(self, overlays: Sequence[Path], outputs: Sequence[Path], formats: Sequence[str]) -> None:
        self.overlays, self.outputs, self.formats = overlays, outputs, formats

    def publish(self, *, overwrite: bool = False, progress: Callable[[float], None] | None = None) -> None:
        jobs = list(zip(self.overlays, self.outputs, self.formats, strict=True))
        publish_outputs(jobs, overwrite=overwrite, progress=progress)


@contextmanager
def new_files(
    images: Sequence[Image],
    outputs: Sequence[Path],
    *,
    output_format: str | None = None,
    overwrite: bool = False,
) -> Iterator[Target]:
    """What apply does around the writing."""
    checked = [check_output(output, images, overwrite=overwrite) for output in outputs]
    formats = [output_format or image.format for image in images]
    with (
        hold([image.path for image in images], writing=False),
        work_folder(checked[0].parent, checked[0].name) as folder,
    ):
        overlays = [create_overlay(image, folder / f"overlay-{n}").path for n, image in enumerate(images)]
        yield Target(overlays, checked, formats)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return disks.make(tmp_path / "disk.img", disks.content())


def changed(data: bytes) -> bytes:
    return data[:50_000] + b"n" * 10_000 + data[60_000:]


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_an_output_is_the_image_with_its_overlay(source: Path, image_format: str) -> None:
    output = source.with_name("out file,1=[x].img")
    told: list[float] = []
    with new_files(open_images([source]), [output], output_format=image_format) as target:
        disks.write(target.overlays[0], 50_000, b"n" * 10_000)
        target.publish(progress=told.append)
    assert disks.guest_bytes(output, image_format) == changed(disks.content())
    assert source.read_bytes() == disks.content()
    assert sorted(source.parent.iterdir()) == sorted([source, output])
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_raw_output_is_sparse(tmp_path: Path) -> None:
    source = disks.make(tmp_path / "disk.img", disks.mbr().ljust(64 * disks.MIB, b"\0"))
    with new_files(open_images([source]), [tmp_path / "out"]) as target:
        target.publish()
    status = (tmp_path / "out").stat()
    assert status.st_size == 64 * disks.MIB
    assert status.st_blocks * 512 < 2 * disks.MIB


def test_the_format_of_the_image_is_kept(tmp_path: Path) -> None:
    sources = [disks.make(tmp_path / f"a.{f}", disks.content(), f) for f in ("raw", "qcow2")]
    outputs = [tmp_path / "x", tmp_path / "y"]
    with new_files(open_images(sources), outputs) as target:
        target.publish()
    assert [image.format for image in open_images(outputs)] == ["raw", "qcow2"]


def test_an_output_can_be_read_by_whom_the_umask_lets(source: Path) -> None:
    old = os.umask(0o027)
    try:
        with new_files(open_images([source]), [source.with_name("out")]) as target:
            target.publish()
    finally:
        os.umask(old)
    assert source.with_name("out").stat().st_mode & 0o777 == 0o640


def test_what_exists_is_replaced_only_when_told(source: Path) -> None:
    output = source.with_name("out")
    output.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"), new_files(open_images([source]), [output]):
        pass
    assert output.read_bytes() == b"mine"
    with new_files(open_images([source]), [output], overwrite=True) as target:
        target.publish(overwrite=True)
    assert output.read_bytes() == disks.content()


def test_what_comes_to_exist_meanwhile_is_not_replaced(source: Path) -> None:
    output = source.with_name("out")
    images = open_images([source])
    with pytest.raises(UsageError, match="exists"), new_files(images, [output]) as target:  # noqa: PT012
        output.write_bytes(b"mine")
        target.publish()
    assert output.read_bytes() == b"mine"
    assert sorted(source.parent.iterdir()) == [source, output]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("disk.img", "the image itself"),
        ("link", "the image itself"),
        ("dangling", "no regular file"),
        ("folder", "no regular file"),
        ("nowhere/out", "no such folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(source: Path, name: str, said: str) -> None:
    folder = source.parent
    (folder / "link").symlink_to("disk.img")
    (folder / "dangling").symlink_to("missing")
    (folder / "folder").mkdir()
    before = sorted(folder.iterdir())
    images = open_images([source])
    with pytest.raises(UsageError, match=said), new_files(images, [folder / name], overwrite=True):
        pass
    assert sorted(folder.iterdir()) == before


def test_no_output_has_its_name_before_all_are_whole(tmp_path: Path) -> None:
    images = open_images([disks.make(tmp_path / name, disks.content()) for name in "ab"])
    outputs = [tmp_path / "x", tmp_path / "y"]
    with new_files(images, outputs) as target:
        target.formats = ["raw", "no-such-format"]
        with pytest.raises(RefusedError, match="qemu-img"):
            target.publish()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a", tmp_path / "b"]


def test_a_failed_conversion_leaves_nothing(source: Path) -> None:
    images = open_images([source])
    overlay = create_overlay(images[0], source.with_name("over")).path
    output = source.with_name("out")
    with pytest.raises(RefusedError, match="qemu-img"):
        publish_output(overlay, output, "no-such-format")
    assert sorted(source.parent.iterdir()) == [source, overlay]


def test_an_interrupt_leaves_nothing(source: Path) -> None:
    def interrupt(_done: float) -> None:
        raise KeyboardInterrupt

    before = sorted(source.parent.iterdir())
    with (
        pytest.raises(KeyboardInterrupt),
        new_files(open_images([source]), [source.with_name("out")]) as target,
    ):
        target.publish(progress=interrupt)
    assert sorted(source.parent.iterdir()) == before


WAIT = """
import pathlib, sys, time
from imgpatch.images.container import open_images
from tests.images.test_publish import new_files
with new_files(open_images([sys.argv[1]]), [pathlib.Path(sys.argv[2])]):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_leaves_the_next_removes(source: Path) -> None:
    output = source.with_name("out")
    with subprocess.Popen([sys.executable, "-c", WAIT, source, output], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        (left,) = set(source.parent.iterdir()) - {source}
        with new_files(open_images([source]), [output]):
            assert left.exists(), "a run still going keeps its folder"
        run.send_signal(signal.SIGKILL)
    assert left.exists()
    with new_files(open_images([source]), [output]) as target:
        assert not left.exists()
        target.publish()
    assert sorted(source.parent.iterdir()) == [source, output]


def test_an_image_read_is_kept_from_another_run_that_writes(source: Path) -> None:
    images = open_images([source])
    with (
        new_files(images, [source.with_name("a")]),
        new_files(images, [source.with_name("b")]),
        pytest.raises(RefusedError, match="another imgpatch"),
        hold([source], writing=True),
    ):
        pass
    with hold([source], writing=True):
        pass


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_room_is_told_before_anything_is_written(source: Path, full_disk: Path) -> None:
    overlay = create_overlay(open_images([source])[0], source.with_name("over")).path
    for work in (
        lambda: publish_output(overlay, full_disk / "out", "raw"),
        lambda: new_files(open_images([source]), [full_disk / "out"]).__enter__(),
    ):
        with pytest.raises(ImgpatchError, match="bytes are free") as caught:
            work()
        assert "free" in (caught.value.hint or "")
        assert list(full_disk.iterdir()) == []
    assert source.read_bytes() == disks.content()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_refused(source: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with (
        pytest.raises(RefusedError, match="cannot be written"),
        new_files(open_images([source]), [locked / "out"]),
    ):
        pass


def test_progress_of_a_large_conversion_is_told_in_steps(tmp_path: Path) -> None:
    source = disks.make(tmp_path / "disk.img", disks.content(32 * disks.MIB))
    told: list[float] = []
    start = time.monotonic()
    with new_files(open_images([source]), [tmp_path / "out"]) as target:
        target.publish(progress=told.append)
    assert len(told) > 3
    assert all(0 <= done <= 1 for done in told)
    assert time.monotonic() - start < 60
