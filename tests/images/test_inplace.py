"""A change in place: killed at each step, the images are wholly old or wholly new after the next run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from imgpatch.errors import CommitError, RefusedError, StalePlanError, UsageError
from imgpatch.images import locks, merging, redolog
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image, open_file
from imgpatch.images.inplace import InPlace, Recovered, finish_steps, recover
from imgpatch.images.reading import refuse_half_merged
from tests.images import changes, disks
from tests.images.changes import AT, COMMITTING, contents, fill, machine, new, old

pytestmark = disks.needs_qemu_img


def killed_after(paths: Sequence[Path], last: int | str) -> str | None:
    """Runs a change in another process, killed after so many steps or a certain one; None: none is left."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number, name in enumerate(changes.steps(open_images(paths)), 1):
                if last in (number, name):
                    os.write(writing, name.encode())
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read() or None


@pytest.mark.parametrize(("kind", "count"), [("raw", 2), ("qcow2", 1), ("vhd", 2)])
def test_killed_at_any_step_before_merging_it_is_discarded(tmp_path: Path, kind: str, count: int) -> None:
    """Each time another of the disks is the one the next run is given."""
    ended: list[str] = []
    paths: list[Path] = []
    for number in range(1, 100):
        paths = machine(tmp_path, kind, count)
        files = [path.read_bytes() for path in paths]
        step = killed_after(paths, number)
        assert step is not None
        assert [path.read_bytes() for path in paths] == files, step
        if step == COMMITTING:
            break
        ended.append(step)
        assert Recovered.DISCARDED in (recover([paths[number % count]]), recover(paths))
        assert [path.read_bytes() for path in paths] == files, step
        assert sorted(tmp_path.iterdir()) == sorted(paths), step
    assert {"state written", "overlay 0 filled", "disk 0 lowered", "digests 0 written"} <= set(ended)
    assert recover(paths) is Recovered.FINISHED
    assert contents(paths) == [new(n) for n in range(count)]


def half_merged(folder: Path, kind: str = "raw", count: int = 1) -> list[Path]:
    paths = machine(folder, kind, count)
    assert killed_after(paths, COMMITTING) == COMMITTING
    return paths


@pytest.mark.parametrize(("kind", "count"), [(kind, 1) for kind in changes.KINDS] + [("raw", 2), ("vmdk", 2)])
def test_killed_after_any_write_it_is_finished(tmp_path: Path, kind: str, count: int) -> None:
    first = tmp_path / "first"
    first.mkdir()
    names = [path.name for path in half_merged(first, kind, count)]
    ended: list[str] = []
    whole: list[bytes] = []
    while not ended or ended[-1] != "pointers removed":
        folder = Path(shutil.copytree(first, tmp_path / str(len(ended))))
        paths = [folder / name for name in names]
        log = redolog.load(redolog.folder_of(paths[0]))
        assert log is not None
        with locks.hold(paths, writing=True) as held:
            *_, step = islice(finish_steps(log, held), len(ended) + 1)
        ended.append(step)
        recovered = [recover([paths[len(ended) % count]]), recover(paths)]
        assert Recovered.FINISHED in recovered or step in ("state removed", "pointers removed")
        assert sorted(folder.iterdir()) == paths, step
        whole = whole or [path.read_bytes() for path in paths]
        assert [path.read_bytes() for path in paths] == whole, step
        shutil.rmtree(folder)
    assert sum("written" in step for step in ended) > 2 * count
    assert recover([first / name for name in names]) is Recovered.FINISHED
    assert contents([first / name for name in names]) == [new(n) for n in range(count)]


@pytest.mark.parametrize("kind", changes.KINDS)
def test_any_sectors_may_be_merged_already(tmp_path: Path, kind: str) -> None:
    """What a power cut leaves: some sectors of the page cache on the disk, in no order."""
    chance = random.Random(3)
    (path,) = half_merged(tmp_path, kind)
    change = redolog.folder_of(path) / "change-0.qcow2"
    with path.open("rb+") as file, open_file(change) as made:
        lowered = merging.open_change(made)
        if chance.random() < 0.5:
            file.truncate(lowered.size)
        for offset, length in merging.runs(lowered):
            for at in range(offset, min(offset + length, path.stat().st_size), 512):
                if chance.random() < 0.5:
                    file.seek(at)
                    file.write(lowered.read(at, 512))
    assert recover([path]) is Recovered.FINISHED
    assert contents([path]) == [new(0)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", changes.KINDS)
def test_a_change_is_merged_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    paths = machine(tmp_path, kind, 2)
    inodes = [path.stat().st_ino for path in paths]
    told: list[float] = []
    with InPlace(open_images(paths)) as change:
        for number, overlay in enumerate(change.overlays):
            fill(overlay.path, number)
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
        fill(change.overlays[0].path, 0)
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


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vmdk"])
def test_an_image_booted_meanwhile_is_left_alone(tmp_path: Path, kind: str) -> None:
    paths = half_merged(tmp_path, kind)
    done = subprocess.run(
        ["qemu-io", "-f", kind, "-c", f"write -P 3 {AT + 5000} 512", str(paths[0])],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b"wrote" in done.stdout
    before = paths[0].read_bytes()
    with pytest.raises(RefusedError, match="changed since") as caught:
        recover(paths)
    assert str(redolog.folder_of(paths[0])) in (caught.value.hint or "")
    assert paths[0].read_bytes() == before


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


@pytest.mark.parametrize("moved", [0, 1])
def test_a_disk_moved_away_from_the_others_is_not_called_whole(tmp_path: Path, moved: int) -> None:
    """What it knows of them stays, so that all can be finished when they are together again."""
    paths = [tmp_path / "a" / "d0.raw", tmp_path / "b" / "d1.raw"]
    for made, path in zip(machine(tmp_path, "raw", 2), paths, strict=True):
        path.parent.mkdir()
        made.rename(path)
    assert killed_after(paths, "disk 0 merged") == "disk 0 merged"
    folder, away = paths[moved].parent, tmp_path / "away"
    folder.rename(away)
    second = paths[1] if moved == 0 else away / "d1.raw"
    for look in (recover, refuse_half_merged):
        with pytest.raises(RefusedError, match=r"killed, and its log|do not belong") as caught:
            look([second])
        assert "put all disks back" in (caught.value.hint or "")
    away.rename(folder)
    assert recover(paths[1:]) is Recovered.FINISHED
    assert contents(paths) == [new(0), new(1)]
    assert [sorted(path.parent.iterdir()) for path in paths] == [[path] for path in paths]


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
        fill(change.overlays[0].path, 0)
        fill(change.overlays[1].path, 1)
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


@pytest.mark.parametrize("name", ["file", "/", "."])
def test_nothing_left_is_nothing_to_recover(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert recover([tmp_path / name]) is None


@pytest.mark.parametrize("name", ["disk.img", "file/disk.img", "x" * 300])
def test_what_is_not_there_is_not_called_recovered(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="no such file"):
        recover([tmp_path / name])


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


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vhd", "vmdk"])
def test_a_disk_that_fills_up_while_merging_is_finished_later(
    small_disk: Path, tmp_path: Path, kind: str
) -> None:
    """The log was written elsewhere, as before a move, so that merging alone runs out of room."""
    data = disks.mbr(8, 8000).ljust(changes.SIZE, b"\0")
    image_format, *options = changes.KINDS[kind]
    path = disks.make(tmp_path / f"d0.{kind}", data, image_format, *options)
    assert killed_after([path], COMMITTING) == COMMITTING
    moved = small_disk / path.name
    for source in (path, redolog.folder_of(path)):
        subprocess.run(["cp", "-a", "--sparse=always", str(source), str(small_disk)], check=True)
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 65536))
    with pytest.raises(CommitError, match="No space left"):
        recover([moved])
    ballast.unlink()
    assert recover([moved]) is Recovered.FINISHED
    assert contents([moved]) == [changes.changed(data, 0)]
    assert list(small_disk.iterdir()) == [moved]


def test_overlays_are_given_as_images(tmp_path: Path) -> None:
    paths = machine(tmp_path, "raw", 1)
    with InPlace(open_images(paths)) as change:
        (overlay,) = change.overlays
        assert overlay == Image(redolog.folder_of(paths[0]) / "overlay-0.qcow2", "qcow2", len(old(0)))
        assert disks.guest_bytes(overlay.path, "qcow2") == old(0)


def test_holes_of_a_raw_image_stay(tmp_path: Path) -> None:
    path = tmp_path / "d0.raw"
    with path.open("wb") as file:
        file.write(disks.mbr(8, changes.SIZE // 512 - 8))
        file.truncate(changes.SIZE)
    with InPlace(open_images([path])) as change:
        fill(change.overlays[0].path, 0)
        change.commit()
    assert path.read_bytes() == changes.changed(disks.mbr(8, changes.SIZE // 512 - 8), 0)
    assert path.stat().st_blocks * 512 < 500_000


def test_the_file_stays_the_same_with_its_owner_mode_and_links(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = machine(tmp_path, "vhd")
    path.chmod(0o640)
    (tmp_path / "link").hardlink_to(path)
    before = path.stat()
    with InPlace(open_images([path])) as change:
        fill(change.overlays[0].path, 0)
        change.commit()
    after = path.stat()
    assert (after.st_ino, after.st_uid, after.st_gid, after.st_mode, after.st_nlink) == (
        before.st_ino, before.st_uid, before.st_gid, before.st_mode, 2,
    )  # fmt: skip
    assert contents([tmp_path / "link"]) == [new(0)]
    assert "2 names (hard links)" in caplog.text


def test_what_qemu_cannot_write_is_refused_at_once(tmp_path: Path) -> None:
    path = disks.make(tmp_path / "d0.vmdk", old(0), "vmdk", "-o", "subformat=streamOptimized")
    (image,) = open_images([path])
    member = replace(image, format="raw", variety="", member="disk1.img", length=changes.SIZE)
    for refused, words in ((image, "streamOptimized"), (member, "archive")):
        with pytest.raises(RefusedError, match=words) as caught:
            InPlace([refused])
        assert "--output" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == [path]
