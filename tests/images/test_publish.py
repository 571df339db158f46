from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgpatch.errors import ImgpatchError, RefusedError, UsageError, VerifyError
from imgpatch.images import readback
from imgpatch.images.container import open_images
from imgpatch.images.destination import Destination, NewFiles, Published, new_files
from imgpatch.images.disk import Image
from imgpatch.images.locks import hold
from imgpatch.images.publish import check_output
from imgpatch.progress import Silent
from tests.images import disks

pytestmark = disks.needs_qemu_img


class Told:
    """Remembers the steps and fractions of them; `stop` is raised at the first of a step with these words."""

    def __init__(self, stop_at: str = "") -> None:
        self.steps: list[tuple[str, int | None]] = []
        self.fractions: dict[str, list[float]] = {}
        self._stop_at = stop_at

    def step(self, text: str, size: int | None = None) -> None:
        self.steps.append((text, size))
        self.fractions[text] = []

    def fraction(self, done: float) -> None:
        text = self.steps[-1][0]
        self.fractions[text].append(done)
        if self._stop_at and self._stop_at in text:
            raise KeyboardInterrupt

    def close(self) -> None: ...


@contextmanager
def target(
    images: Sequence[Image],
    outputs: Sequence[Path],
    output_format: str | None = None,
    *,
    work_dir: Path | None = None,
) -> Iterator[NewFiles]:
    """What apply does around the writing."""
    destination = Destination(tuple(outputs), False, output_format, work_dir=work_dir)
    with new_files(images, destination) as files:
        yield files


def publish(files: NewFiles, progress: Told | None = None) -> Published:
    return files.publish(None, progress or Silent())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return disks.make(tmp_path / "disk.img", disks.content())


def changed(data: bytes) -> bytes:
    return data[:50_000] + b"n" * 10_000 + data[60_000:]


@pytest.mark.parametrize("output_format", ["raw", "qcow2"])
def test_an_output_is_the_image_with_its_overlay(source: Path, output_format: str) -> None:
    output = source.with_name("out file,1=[x].img")
    told = Told()
    with target(open_images([source]), [output], output_format) as files:
        disks.write(files.overlays[0].path, 50_000, b"n" * 10_000)
        publish(files, told)
    assert disks.guest_bytes(output, output_format) == changed(disks.content())
    assert source.read_bytes() == disks.content()
    assert sorted(source.parent.iterdir()) == sorted([source, output])
    assert [text.split(" out")[0] for text, _ in told.steps] == ["writing", "reading back", "adding up"]
    assert all(size for _, size in told.steps)
    for done in told.fractions.values():
        assert done == sorted(done)
        assert done[-1] == 1.0


def test_a_raw_output_is_sparse(tmp_path: Path) -> None:
    source = disks.make(tmp_path / "disk.img", disks.mbr().ljust(64 * disks.MIB, b"\0"))
    with target(open_images([source]), [tmp_path / "out"]) as files:
        publish(files)
    status = (tmp_path / "out").stat()
    assert status.st_size == 64 * disks.MIB
    assert status.st_blocks * 512 < 2 * disks.MIB


def test_the_format_of_the_image_is_kept(tmp_path: Path) -> None:
    sources = [disks.make(tmp_path / f"a.{f}", disks.content(), f) for f in ("raw", "qcow2")]
    outputs = [tmp_path / "x", tmp_path / "y"]
    with target(open_images(sources), outputs) as files:
        publish(files)
    assert [image.format for image in open_images(outputs)] == ["raw", "qcow2"]


def test_an_output_can_be_read_by_whom_the_umask_lets(source: Path) -> None:
    old = os.umask(0o027)
    try:
        with target(open_images([source]), [source.with_name("out")]) as files:
            publish(files)
    finally:
        os.umask(old)
    assert source.with_name("out").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("output_format", ["raw", "qcow2", "vmdk", "vhd", "vhdx", "ova"])
def test_an_output_can_be_read_by_nobody_who_cannot_read_the_image(source: Path, output_format: str) -> None:
    source.chmod(0o400)
    output = source.with_name("out")
    with target(open_images([source]), [output], output_format) as files:
        publish(files)
    assert output.stat().st_mode & 0o777 == 0o600


def test_what_exists_is_not_replaced(source: Path) -> None:
    output = source.with_name("out")
    output.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"), target(open_images([source]), [output]):
        pass
    assert output.read_bytes() == b"mine"


def test_what_comes_to_exist_meanwhile_is_not_replaced(source: Path) -> None:
    output = source.with_name("out")
    images = open_images([source])
    with pytest.raises(UsageError, match="exists"), target(images, [output]) as files:  # noqa: PT012
        output.write_bytes(b"mine")
        publish(files)
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
        ("disk.img/out", "no such folder"),
        ("x" * 240, "too long"),
    ],
)
def test_an_output_that_cannot_be_is_refused(source: Path, name: str, said: str) -> None:
    folder = source.parent
    (folder / "link").symlink_to("disk.img")
    (folder / "dangling").symlink_to("missing")
    (folder / "folder").mkdir()
    before = sorted(folder.iterdir())
    images = open_images([source])
    with pytest.raises(UsageError, match=said):
        check_output(folder / name, images)
    assert sorted(folder.iterdir()) == before


def test_no_output_has_its_name_before_all_are_whole(tmp_path: Path) -> None:
    images = open_images([disks.make(tmp_path / name, disks.content()) for name in "ab"])
    outputs = [tmp_path / "x", tmp_path / "y"]
    told = Told(stop_at="adding up y")
    with pytest.raises(KeyboardInterrupt), target(images, outputs) as files:
        publish(files, told)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("output_format", ["raw", "qcow2", "vmdk", "vhd", "vhdx", "ova"])
@pytest.mark.parametrize("step", ["writing", "reading back", "adding up"])
def test_an_interrupt_leaves_nothing(source: Path, tmp_path: Path, output_format: str, step: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    before = sorted(tmp_path.rglob("*"))
    output = tmp_path / "out"
    with (
        pytest.raises(KeyboardInterrupt),
        target(open_images([source]), [output], output_format, work_dir=work) as files,
    ):
        publish(files, Told(stop_at=step))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_does_not_read_back_gets_no_name(source: Path) -> None:
    """What was changed between the writing and the reading stands for what a broken writer writes."""

    class Spoil(Told):
        def step(self, text: str, size: int | None = None) -> None:
            super().step(text, size)
            if text.startswith("reading back"):
                (made,) = source.parent.glob(".out.imgpatch-*/output")
                with made.open("r+b") as file:
                    file.seek(55_000)
                    file.write(b"!")

    with (
        pytest.raises(VerifyError, match="does not read back"),
        target(open_images([source]), [source.with_name("out")]) as files,
    ):
        publish(files, Spoil())
    assert sorted(source.parent.iterdir()) == [source]


WAIT = """
import pathlib, sys, time
from imgpatch.images.container import open_images
from tests.images.test_publish import target
with target(open_images([sys.argv[1]]), [pathlib.Path(sys.argv[2])], work_dir=pathlib.Path(sys.argv[3])):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_leaves_the_next_removes(source: Path, tmp_path: Path) -> None:
    output, work = source.with_name("out"), tmp_path / "work"
    work.mkdir()
    with subprocess.Popen([sys.executable, "-c", WAIT, source, output, work], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        left = [*(set(source.parent.iterdir()) - {source, work}), *work.iterdir()]
        assert len(left) == 2
        with target(open_images([source]), [output], work_dir=work):
            assert all(folder.exists() for folder in left), "a run still going keeps its folders"
        run.send_signal(signal.SIGKILL)
    assert all(folder.exists() for folder in left)
    with target(open_images([source]), [output], work_dir=work) as files:
        assert not any(folder.exists() for folder in left)
        publish(files)
    assert sorted(source.parent.iterdir()) == [source, output, work]
    assert not list(work.iterdir())


PUBLISH = """
import pathlib, sys
from imgpatch.cli import _Interrupted, _stopped_by_signals
from imgpatch.images.container import open_images
from tests.images.test_publish import Told, publish, target
class Loud(Told):
    def fraction(self, done):
        print("going", flush=True)
try:
    images, outputs = open_images([sys.argv[1]]), [pathlib.Path(sys.argv[2])]
    with _stopped_by_signals(), target(images, outputs, sys.argv[3]) as files:
        publish(files, Loud())
except _Interrupted:
    sys.exit(130)
"""


@pytest.mark.usefixtures("signals_arrive")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("output_format", ["raw", "vmdk", "ova"])
def test_a_signal_while_writing_leaves_nothing(
    tmp_path: Path, output_format: str, number: signal.Signals
) -> None:
    """Processes and threads are at work then: qemu-img, and those that compress."""
    source = disks.make(tmp_path / "disk.img", disks.mbr() + os.urandom(64 * disks.MIB - 512))
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISH, source, tmp_path / "out", output_format], stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"going\n"
        start = time.monotonic()
        run.send_signal(number)
        run.stdout.read()
    assert run.returncode == 130
    assert time.monotonic() - start < 10
    assert list(tmp_path.iterdir()) == [source]


def test_an_image_read_is_kept_from_another_run_that_writes(source: Path) -> None:
    images = open_images([source])
    with (
        target(images, [source.with_name("a")]),
        target(images, [source.with_name("b")]),
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
    data = disks.mbr() + os.urandom(4 * disks.MIB)
    source = disks.make(source.with_name("dense.img"), data[: 4 * disks.MIB])
    images = open_images([source])
    for outputs, work_dir, purpose in (
        ([full_disk / "out"], None, "the output out"),
        ([full_disk / "out"], source.parent, "the output out"),
        ([source.with_name("out")], full_disk, "the overlay"),
    ):
        with (
            pytest.raises(ImgpatchError, match="bytes are free") as caught,
            target(images, outputs, work_dir=work_dir),
        ):
            pass
        assert purpose in str(caught.value)
        assert "free" in (caught.value.hint or "")
        assert list(full_disk.iterdir()) == []
    assert source.read_bytes() == data[: 4 * disks.MIB]


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(source: Path, full_disk: Path) -> None:
    data = disks.mbr() + os.urandom(4 * disks.MIB)
    source = disks.make(source.with_name("dense.img"), data[: 4 * disks.MIB])  # a third was expected
    with (
        pytest.raises((ImgpatchError, OSError)),
        target(open_images([source]), [full_disk / "out"], "vmdk", work_dir=source.parent) as files,
    ):
        publish(files)
    assert list(full_disk.iterdir()) == []
    assert source.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_refused(source: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with (
        pytest.raises(RefusedError, match="cannot be written"),
        target(open_images([source]), [locked / "out"]),
    ):
        pass


def test_the_sum_is_that_of_the_file_and_left_out_where_holes_would_take_longest(tmp_path: Path) -> None:
    source = disks.make(tmp_path / "disk.img", disks.mbr().ljust(64 * disks.MIB, b"\0"))
    with target(open_images([source]), [tmp_path / "out"]) as files:
        (written,) = publish(files).files
    said = subprocess.run(["sha256sum", tmp_path / "out"], capture_output=True, text=True, check=True).stdout
    assert written.sha256 == said.split()[0]
    assert (written.format, written.size, written.file_size) == ("raw", 64 * disks.MIB, 64 * disks.MIB)
    os.truncate(tmp_path / "out", 10 << 40)
    start = time.monotonic()
    assert readback.sha256(tmp_path / "out", 64 * disks.MIB, lambda _: None) is None
    assert time.monotonic() - start < 1
