"""A change in place in which each call that writes fails once: `python -m tests.images.faults [MACHINE...]`.

strace kills the process at the call, or lets it fail with EIO, or lets this and every later one fail with
ENOSPC, as on a disk that is full. After each, `recover` must leave the images wholly old or wholly new, in
sound containers, with nothing beside them. The calls are those of imgpatch itself, of each QEMU program it
runs, and of `recover`, from either state. What is printed is how many points were tried.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count, product
from pathlib import Path

from imgpatch.errors import ImgpatchError
from imgpatch.images import redolog
from imgpatch.images.container import open_disk, open_images
from imgpatch.images.inplace import InPlace, Recovered, recover
from tests.images import changes

CALLS = ("openat", "write", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "fsync", "fdatasync",
         "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir")  # fmt: skip
FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC")
QEMU = ("create*overlay-0.qcow2", "create*change-0.qcow2", "rebase*", "commit*")
BUG = 70
KILLED = -signal.SIGKILL
_NUMBERED = (("overlay", ".qcow2"), ("change", ".qcow2"), ("before", ""))

_WRAPPER = """#!/bin/sh
case "$*" in
$FAULT_AT) {action} ;;
esac
exec {qemu_img} "$@"
"""
_TRACED = 'exec strace -f -q -o "$FAULT_LOG" {tracing} $FAULT {qemu_img} "$@"'


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`th of one system call, and what happens to it."""

    call: str
    number: int
    fault: str

    @property
    def inject(self) -> str:
        after = "+" if self.fault == "error=ENOSPC" else ""  # a full disk stays full
        return f"{self.call}:{self.fault}:when={self.number}{after}"


class Place:
    """A machine's images in a folder of their own, put back before each point."""

    def __init__(self, folder: Path, kind: str, count: int = 1) -> None:
        self.folder = folder / "images"
        self.folder.mkdir()
        self.kind = kind
        self.paths = changes.machine(self.folder, kind, count)
        self.original = [path.read_bytes() for path in self.paths]
        self.images = open_images(self.paths)
        self.left = [redolog.folder_of(path) for path in self.paths]
        self.outside = folder
        self.log = folder / "strace.log"

    def reset(self, left: Path | None = None) -> None:
        """The images as they were, and what a killed run had left."""
        for path, data, folder in zip(self.paths, self.original, self.left, strict=True):
            path.write_bytes(data)
            shutil.rmtree(folder, ignore_errors=True)
            if left is not None:
                shutil.copytree(left / folder.name, folder)
        self.log.unlink(missing_ok=True)

    @property
    def tracing(self) -> list[str]:
        """Options for strace: the calls and the files that it looks at."""
        numbered = [f"{name}-{n}{end}" for n in range(len(self.paths)) for name, end in _NUMBERED]
        names = [*numbered, "state.json", "belongs-to"]
        inside = [folder / (name + end) for folder in self.left for name in names for end in ("", ".new")]
        options = (("-P", str(path)) for path in (self.folder, *self.paths, *self.left, *inside))
        return ["-e", "signal=none", "-e", f"trace={','.join(CALLS)}", *chain.from_iterable(options)]

    def change(self) -> None:
        """The work that is tried."""
        with InPlace(self.images) as change:
            for number, overlay in enumerate(change.overlays):
                changes.fill(overlay.path, number)
            change.commit()

    def recover(self) -> Recovered | None:
        return recover(self.paths[-1:]) or recover(self.paths)

    def check(self, status: int, recovered: Recovered | None, *, only_new: bool = False) -> None:
        """What must be true after a run that ended like this and a `recover`."""
        assert sorted(self.folder.iterdir()) == self.paths
        assert status in (0, 3, 4, 5, KILLED), status
        is_old = [path.read_bytes() for path in self.paths] == self.original
        assert is_old or self._is_new()
        assert not (is_old and (only_new or status in (0, 4))), status
        assert is_old or status in (0, 4, KILLED), status
        assert not (recovered is Recovered.FINISHED and is_old), recovered
        assert not (recovered is Recovered.DISCARDED and not is_old), recovered

    def _is_new(self) -> bool:
        for number, image in enumerate(open_images(self.paths)):
            with open_disk(image) as disk:
                if disk.read(0, disk.size) != changes.new(number):
                    return False
        return True


def run(place: Place, work: Callable[[], object], *strace: str, **environment: str) -> int:
    """Does some work in a child, perhaps under strace; gives its exit status, minus the signal it died of."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.environ.update(environment)
        os.read(reading, 1)
        _work(place, work)
    os.close(reading)
    with ExitStack() as stack:
        if strace:
            command = ["strace", "-p", str(child), "-o", str(place.log), *strace]
            tracer = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE))
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            assert b"attached" in said, said
        os.write(writing, b"x")
        os.close(writing)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _work(place: Place, work: Callable[[], object]) -> None:
    code = BUG
    try:
        work()
        code = 0
    except ImgpatchError as error:
        code = error.exit_code
    except BaseException:  # noqa: BLE001
        (place.outside / "bug").write_text(traceback.format_exc())
    finally:
        os._exit(code)


def points(place: Place, work: Callable[[], object], left: Path | None = None) -> Iterator[tuple[Point, int]]:
    """Each point of some work, with the exit status of the run in which it was hit."""
    place.reset(left)
    assert run(place, work, *place.tracing) == 0
    calls = _calls(place.log.read_text())
    for fault in FAULTS:
        for call, number in calls:
            point = Point(call, number, fault)
            place.reset(left)
            status = run(place, work, *place.tracing, "-e", f"inject={point.inject}")
            yield point, status


def _calls(log: str) -> list[tuple[str, int]]:
    """The calls of a log that write, each with its number among those of its name."""
    seen: Counter[str] = Counter()
    found = []
    for line in log.split("\n"):
        match = re.match(r"([a-z0-9]+)\(", line)
        if match is None:
            continue
        seen[match[1]] += 1
        if match[1] != "openat" or "O_CREAT" in line:
            found.append((match[1], seen[match[1]]))
    return found


def points_in_qemu(place: Place) -> Iterator[tuple[Point, int]]:
    """The same for what QEMU's programs call; how often, the instant decides, so that it is found out."""
    folder = place.outside / "bin"
    folder.mkdir(exist_ok=True)
    qemu_img = shutil.which("qemu-img")
    wrapper = folder / "qemu-img"
    action = _TRACED.format(tracing=shlex.join(place.tracing), qemu_img=qemu_img)
    wrapper.write_text(_WRAPPER.format(action=action, qemu_img=qemu_img))
    wrapper.chmod(0o700)
    path = f"{folder}:{os.environ['PATH']}"
    for at in QEMU:
        environment = {"PATH": path, "FAULT_AT": at, "FAULT_LOG": str(place.log)}
        place.reset()
        assert run(place, place.change, FAULT="", **environment) == 0
        text = place.log.read_text() if place.log.exists() else ""  # a raw image has nothing to be lowered
        called = set(re.findall(r"^\d+ +([a-z0-9]+)\(", text, re.MULTILINE))
        for fault, call in product(FAULTS, sorted(called)):
            for number in count(1):
                point = Point(call, number, fault)
                place.reset()
                inject = f"-e inject={point.inject}"
                status = run(place, place.change, FAULT=inject, **environment)
                if not _was_hit(place.log):
                    break
                yield Point(f"{at}: {call}", number, fault), status


def _was_hit(log: Path) -> bool:
    text = log.read_text() if log.exists() else ""
    return "INJECTED" in text or "= ?" in text


def orphans(place: Place) -> Iterator[tuple[Point, int]]:
    """Killed while a QEMU program runs, which goes on."""
    folder = place.outside / "orphans"
    folder.mkdir(exist_ok=True)
    wrapper = folder / "qemu-img"
    wrapper.write_text(_WRAPPER.format(action="kill -9 $PPID; sleep 0.3", qemu_img=shutil.which("qemu-img")))
    wrapper.chmod(0o700)
    for at in QEMU:
        place.reset()
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "FAULT_AT": at}
        status = run(place, place.change, **environment)
        if status == KILLED:  # of a raw image nothing is lowered
            yield Point(f"{at}: orphan", 1, "signal=KILL"), status


def left_at(place: Place, last: str) -> Path:
    """A copy of what a run leaves that is killed after a step."""

    def stepping() -> None:
        for step in changes.steps(place.images):
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)

    place.reset()
    assert run(place, stepping) == KILLED
    kept = place.outside / last.replace(" ", "-")
    for folder in place.left:
        shutil.copytree(folder, kept / folder.name)
    return kept


def try_all(place: Place) -> Counter[str]:
    """Tries every point of one kind of image; how many there were of each sort."""
    tried: Counter[str] = Counter()

    def judge(sort: str, found: Iterator[tuple[Point, int]], *, only_new: bool = False) -> None:
        for point, status in found:
            tried[f"{sort}, {point.fault}"] += 1
            try:
                place.check(status, place.recover(), only_new=only_new)
            except (AssertionError, ImgpatchError) as error:
                bug = place.outside / "bug"
                text = bug.read_text() if bug.exists() else ""
                raise AssertionError(f"{place.kind}: {sort}: {point}: {status}: {error!r} {text}") from error

    judge("imgpatch", points(place, place.change))
    judge("qemu-img", points_in_qemu(place))
    judge("orphaned qemu-img", orphans(place))
    again = points(place, place.recover, left_at(place, changes.COMMITTING))
    judge("recover, finishing", again, only_new=True)
    again = points(place, place.recover, left_at(place, "digests 0 written"))
    judge("recover, discarding", again)
    return tried


def main(*machines: str) -> None:
    """Tries machines such as `vhd` and, with two disks, `vhd*2`."""
    total = 0
    for machine in machines or (*changes.KINDS, "raw*2", "vmdk*2"):
        kind, _, number = machine.partition("*")
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            tried = try_all(Place(Path(folder), kind, int(number or 1)))
        total += sum(tried.values())
        print(f"{machine}: {sum(tried.values())} points: {dict(tried)}", flush=True)
    print(f"{total} points")


if __name__ == "__main__":
    main(*sys.argv[1:])
