"""A change in place: killed at each step, the images are wholly old or wholly new after the next run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import pytest

from imgpatch.errors import CommitError, RefusedError, StalePlanError
from imgpatch.images import redolog
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image
from imgpatch.images.inplace import InPlace, Recovered, recover
from tests.images import disks

pytestmark = disks.needs_qemu_img

AT, LENGTH = 100_000, 300_000
KINDS: dict[str, tuple[str, ...]] = {
    "raw": ("raw",),
    "qcow2": ("qcow2",),
    "vhd": ("vpc", "-o", "subformat=dynamic,force_size=on"),
    "fixed-vhd": ("vpc", "-o", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx", "-o", "subformat=dynamic,block_size=1M"),
    "fixed-vhdx": ("vhdx", "-o", "subformat=fixed,block_size=1M"),
    "vdi": ("vdi",),
    "static-vdi": ("vdi", "-o", "static=on"),
    "vmdk": ("vmdk", "-o", "subformat=monolithicSparse"),
}
"""Format and options of qemu-img."""

COMMITTING = "committing written"
AFTER = ("state removed", "pointers removed")  # the images are whole and nothing is left to be told


def machine(folder: Path, kind: str, count: int) -> list[Path]:
    """Disks whose names end with their kind."""
    paths = [folder / f"d{number}.{kind}" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(image_file(kind, number))
    return paths


@cache
def image_file(kind: str, number: int) -> bytes:
    image_format, *options = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        return disks.make(Path(folder) / "disk", old(number), image_format, *options).read_bytes()


@cache
def old(number: int) -> bytes:
    return disks.content(seed=number)


def new(number: int) -> bytes:
    data = old(number)
    return data[:AT] + fill(number) + data[AT + LENGTH :]


def fill(number: int) -> bytes:
    return random.Random(100 + number).randbytes(LENGTH)


def change_steps(paths: Sequence[Path]) -> Iterator[str]:
    """A whole change, pausing after each step."""
    change = InPlace(open_images(paths))
    with ExitStack() as stack:
        yield from change.start_steps(stack)
        for number, overlay in enumerate(change.overlays):
            disks.write(overlay.path, AT, fill(number))
            yield f"overlay {number} filled"
        yield from change.lower_steps()
        yield from change.merge_steps()


def killed_after(paths: Sequence[Path], last: int | str) -> str | None:
    """Runs the steps in another process, killed after so many or a certain one; None: there is none."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number, name in enumerate(change_steps(paths), 1):
                if last in (number, name):
                    os.write(writing, name.encode())
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read() or None


def contents(paths: Sequence[Path]) -> list[bytes]:
    return [disks.guest_bytes(path, KINDS[path.suffix[1:]][0]) for path in paths]


@pytest.mark.parametrize(("image_format", "count"), [("raw", 1), ("raw", 2), ("qcow2", 2)])
def test_killed_at_any_step_the_next_run_ends_it(tmp_path: Path, image_format: str, count: int) -> None:
    """Each time another of the disks is the one the next run is given."""
    ended: list[str] = []
    for steps in range(1, 100):
        paths = machine(tmp_path, image_format, count)
        files = [path.read_bytes() for path in paths]
        step = killed_after(paths, steps)
        if step is None:
            break
        ended.append(step)
        committing = "committing written" in ended
        assert committing or [path.read_bytes() for path in paths] == files, step
        recovered = [recover([paths[steps % count]]), recover(paths)]
        assert (Recovered.FINISHED if committing else Recovered.DISCARDED) in recovered or ended[-1] in AFTER
        if committing:
            assert contents(paths) == [new(n) for n in range(count)], step
        else:
            assert [path.read_bytes() for path in paths] == files, step
        assert sorted(tmp_path.iterdir()) == sorted(paths), step
    assert {"state written", "committing written", "disk 0 merged", "state removed"} <= set(ended)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_killed_while_merging_the_next_run_finishes(tmp_path: Path, image_format: str) -> None:
    """Killed at random instants inside qemu-img commit, parent and child together."""
    chance = random.Random(7)
    for _ in range(3):
        paths = machine(tmp_path, image_format, 1)
        assert killed_after(paths, COMMITTING) == COMMITTING
        code = "import pathlib, sys, imgpatch.images.inplace as i; i.recover([pathlib.Path(sys.argv[1])])"
        with subprocess.Popen([sys.executable, "-c", code, str(paths[0])]) as run:
            time.sleep(chance.uniform(0.1, 0.4))
            _kill_tree(run.pid)
        _recover_patiently(paths)
        assert contents(paths) == [new(0)]
        open_images(paths)
        assert sorted(tmp_path.iterdir()) == paths


def _recover_patiently(paths: Sequence[Path]) -> None:
    """A qemu-img that outlives its parent keeps the lock until it ends."""
    for _ in range(100):
        with suppress(RefusedError):
            recover(paths)
            return
        time.sleep(0.1)
    recover(paths)


def _kill_tree(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        os.kill(int(child), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("image_format", KINDS)
def test_a_change_is_merged_and_leaves_nothing(tmp_path: Path, image_format: str) -> None:
    paths = machine(tmp_path, image_format, 2)
    inodes = [path.stat().st_ino for path in paths]
    told: list[float] = []
    with InPlace(open_images(paths)) as change:
        for number, overlay in enumerate(change.overlays):
            disks.write(overlay.path, AT, fill(number))
        change.commit(told.append)
    assert contents(paths) == [new(0), new(1)]
    assert [path.stat().st_ino for path in paths] == inodes
    assert sorted(tmp_path.iterdir()) == paths
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_without_commit_the_images_are_untouched(tmp_path: Path) -> None:
    paths = machine(tmp_path, "qcow2", 2)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    with pytest.raises(KeyError), InPlace(open_images(paths)) as change:  # noqa: PT012
        disks.write(change.overlays[0].path, AT, fill(0))
        raise KeyError
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
    assert sorted(tmp_path.iterdir()) == paths


def test_two_runs_at_one_image_are_refused(tmp_path: Path) -> None:
    paths = machine(tmp_path, "raw", 2)
    with InPlace(open_images(paths[:1])), pytest.raises(RefusedError, match="another imgpatch"):
        InPlace(open_images(paths)).__enter__()
    assert sorted(tmp_path.iterdir()) == paths


def test_an_image_changed_during_the_work_is_not_merged_into(tmp_path: Path) -> None:
    paths = machine(tmp_path, "raw", 1)
    with pytest.raises(StalePlanError), InPlace(open_images(paths)) as change:  # noqa: PT012
        with paths[0].open("rb+") as file:
            file.write(b"x")
        change.commit()
    assert sorted(tmp_path.iterdir()) == paths


def half_merged(folder: Path, image_format: str = "raw", count: int = 1) -> list[Path]:
    paths = machine(folder, image_format, count)
    step = killed_after(paths, COMMITTING)
    assert step == COMMITTING
    return paths


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_an_image_booted_meanwhile_is_left_alone(tmp_path: Path, image_format: str) -> None:
    paths = half_merged(tmp_path, image_format)
    done = subprocess.run(
        ["qemu-io", "-f", image_format, "-c", f"write -P 3 {AT + 5000} 512", str(paths[0])],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b"wrote" in done.stdout
    before = paths[0].read_bytes()
    with pytest.raises(RefusedError, match="changed since") as caught:
        recover(paths)
    assert str(redolog.folder_of(paths[0])) in (caught.value.hint or "")
    assert paths[0].read_bytes() == before


def test_any_pages_may_be_merged_already(tmp_path: Path) -> None:
    """What a power cut leaves: some pages of the page cache on the disk, in no order."""
    chance = random.Random(3)
    (path,) = half_merged(tmp_path)
    with path.open("rb+") as file:
        for page in range(AT // 4096, (AT + LENGTH) // 4096):
            if chance.random() < 0.5:
                file.seek(page * 4096)
                file.write(new(0)[page * 4096 : (page + 1) * 4096])
    assert old(0) != path.read_bytes() != new(0)
    assert recover([path]) is Recovered.FINISHED
    assert path.read_bytes() == new(0)


def test_a_machine_moved_meanwhile_is_finished_at_its_new_place(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    paths = half_merged(tmp_path / "old", "qcow2", 2)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = [tmp_path / "new" / path.name for path in paths]
    assert recover(moved[1:]) is Recovered.FINISHED
    assert contents(moved) == [new(0), new(1)]


def test_a_missing_disk_of_an_unfinished_change_is_named(tmp_path: Path) -> None:
    paths = half_merged(tmp_path, "raw", 2)
    paths[1].rename(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match=r"d1\.raw: is gone"):
        recover(paths[:1])


def test_a_log_cannot_reach_a_file_that_does_not_know_of_it(tmp_path: Path) -> None:
    paths = half_merged(tmp_path, "raw", 2)
    victim = disks.make(tmp_path / "victim", old(1))
    state = redolog.folder_of(paths[0]) / "state.json"
    data = json.loads(state.read_bytes())
    data["disks"][1]["path"] = "../victim"
    state.write_text(json.dumps(data))
    with pytest.raises(RefusedError, match="do not belong"):
        recover(paths[:1])
    assert victim.read_bytes() == old(1)


@pytest.mark.parametrize(
    "state", [b"", b"{}", b"[1]", b'{"schema": 9}', b'{"schema": 1, "state": "?"}', b"\xff"]
)
def test_a_state_of_another_make_is_refused(tmp_path: Path, state: bytes) -> None:
    paths = half_merged(tmp_path)
    (redolog.folder_of(paths[0]) / "state.json").write_bytes(state)
    with pytest.raises(RefusedError, match="state"):
        recover(paths)
    assert paths[0].read_bytes() == old(0)


def test_a_folder_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    paths = half_merged(tmp_path)
    redolog.folder_of(paths[0]).chmod(0o777)
    with pytest.raises(RefusedError, match="no private folder"):
        recover(paths)


def test_a_folder_with_other_files_is_kept(tmp_path: Path) -> None:
    (path,) = machine(tmp_path, "raw", 1)
    folder = redolog.folder_of(path)
    folder.mkdir(mode=0o700)
    (folder / "mine").write_bytes(b"x")
    with pytest.raises(RefusedError, match="did not make"):
        InPlace(open_images([path])).__enter__()
    assert (folder / "mine").read_bytes() == b"x"


def test_a_merge_that_fails_keeps_the_log(tmp_path: Path) -> None:
    paths = machine(tmp_path, "raw", 2)
    with pytest.raises(CommitError) as caught, InPlace(open_images(paths)) as change:  # noqa: PT012
        disks.write(change.overlays[0].path, AT, fill(0))
        disks.write(change.overlays[1].path, AT, fill(1))
        list(change.lower_steps())
        for step in change.merge_steps():
            if step == "disk 0 merged":
                broken = redolog.folder_of(paths[0]) / "change-1.qcow2"
                broken.rename(broken.with_suffix(".away"))
    assert caught.value.hint
    away = redolog.folder_of(paths[0]) / "change-1.away"
    away.rename(away.with_suffix(".qcow2"))
    assert recover(paths) is Recovered.FINISHED
    assert contents(paths) == [new(0), new(1)]


def test_nothing_left_is_nothing_to_recover(tmp_path: Path) -> None:
    assert recover([tmp_path / "disk.img"]) is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_too_little_room_is_refused_with_nothing_written(small_disk: Path) -> None:
    paths = machine(small_disk, "qcow2", 1)
    before = paths[0].read_bytes()
    with pytest.raises(RefusedError, match="bytes are free") as caught:
        InPlace(open_images(paths)).__enter__()
    assert "free" in (caught.value.hint or "")
    assert paths[0].read_bytes() == before
    assert sorted(small_disk.iterdir()) == paths


def test_a_disk_that_fills_up_while_merging_is_finished_later(small_disk: Path, tmp_path: Path) -> None:
    """The overlays lie elsewhere, as after a move, so that merging alone runs out of room."""
    data = disks.mbr(8, 8000).ljust(4 * disks.MIB, b"\0")
    path = disks.make(tmp_path / "d0.qcow2", data, "qcow2")
    assert killed_after([path], COMMITTING) == COMMITTING
    moved = small_disk / path.name
    moved.write_bytes(path.read_bytes())
    folder = redolog.folder_of(moved)
    folder.mkdir(mode=0o700)
    for kept in redolog.folder_of(path).iterdir():
        (folder / kept.name).write_bytes(kept.read_bytes())
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 65536))
    with pytest.raises(CommitError, match="No space left"):
        recover([moved])
    ballast.unlink()
    assert recover([moved]) is Recovered.FINISHED
    assert contents([moved]) == [data[:AT] + fill(0) + data[AT + LENGTH :]]


def test_overlays_are_given_as_images(tmp_path: Path) -> None:
    paths = machine(tmp_path, "raw", 1)
    with InPlace(open_images(paths)) as change:
        (overlay,) = change.overlays
        assert overlay == Image(redolog.folder_of(paths[0]) / "overlay-0.qcow2", "qcow2", len(old(0)))
        assert disks.guest_bytes(overlay.path, "qcow2") == old(0)
