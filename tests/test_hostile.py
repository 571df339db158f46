"""Hostile and broken disk files, each given to the command line: one clear error, nothing else touched."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.hostile import HOSTILE, plant
from fixtures.hostile_made import DISK, Hostile, qcow2
from imgpatch.images.container import open_images
from imgpatch.images.disk import FileDisk, open_file
from imgpatch.images.overlay import create_overlay
from imgpatch.reports.terminal import safe
from tests.images.disks import guest_bytes, needs_qemu_img
from tests.launcher import MARK

ROOT = Path(__file__).parent.parent
SECONDS = 20
MEMORY = 300 << 20
ADDRESSES = 3 << 30
CALLS = (
    "open,openat,openat2,creat,truncate,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,chmod,fchmodat,execve,connect,sendto,sendmsg,bind,name_to_handle_at"
)
PROGRAMS = "/usr/bin:/bin"
OF_PROGRAMS = ("/usr/", "/lib/", "/lib64/", "/proc/", "/sys/", "/etc/ld.so.", "/etc/ssl/openssl.cnf")
"""Where programs and their libraries are; of /proc and /sys, what says how much memory and how many CPUs."""

COMMANDS = ("preview", "apply to a file", "apply in place", "inspect", "revert", "recover")

pytestmark = needs_qemu_img


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        memory: bytes.
        trace: what strace saw of it; None where there is no strace.
    """

    code: int
    out: str
    err: str
    seconds: float
    memory: int
    trace: Sequence[str] | None


class Launcher:
    """`tests.launcher`, traced."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self._out, self._err, self._trace = (folder / name for name in ("out", "err", "trace"))
        trace = f"strace -f --seccomp-bpf -y -s 4096 -e trace={CALLS} -e signal=none -o".split(" ")
        self.traces = _can_trace()
        self._process = subprocess.Popen(
            [*([*trace, str(self._trace)] if self.traces else []), sys.executable, "-m", "tests.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | {
                "PATH": PROGRAMS,
                "TMPDIR": str(self.work),
                "LC_ALL": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        self._seen = 0

    def run(self, *arguments: str | Path) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "arguments": list(map(str, arguments)),
            "out": str(self._out),
            "err": str(self._err),
            "memory": ADDRESSES,
            "seconds": SECONDS,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        out, err = (p.read_bytes().decode("utf-8", "surrogateescape") for p in (self._out, self._err))
        return Ended(answer["code"], out, err, answer["seconds"], answer["memory"], self._traced())

    def _traced(self) -> Sequence[str] | None:
        """The lines between the last two marks."""
        if not self.traces:
            return None
        with self._trace.open("rb") as file:
            file.seek(self._seen)
            data = file.read()
        self._seen += len(data)
        _, lines, _ = data.decode("utf-8", "surrogateescape").split(f'"{MARK}"')
        return lines.split("\n")[1:-1]  # without what is left of the lines of the marks

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _can_trace() -> bool:
    return (
        shutil.which("strace") is not None
        and subprocess.run(
            ["strace", "-f", "--seccomp-bpf", "-e", "trace=execve", "-o", os.devnull, "true"]
        ).returncode
        == 0
    )


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with tempfile.TemporaryDirectory(prefix="imgpatch-hostile-") as folder:
        launcher = Launcher(Path(folder))
        yield launcher
        launcher.end()


def arguments(command: str, path: Path) -> list[str | Path]:
    if command == "apply to a file":
        return ["apply", path, "--output", path.parent / "new.img"]
    return ["apply", path, "--in-place"] if command == "apply in place" else [command, path]


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, COMMANDS[number % 3]) for number, name in enumerate(HOSTILE)]
    + [(name, "inspect") for name in [*HOSTILE][::20]],
)
def test_a_hostile_file_ends_in_one_clear_error(
    launcher: Launcher, tmp_path: Path, name: str, command: str
) -> None:
    hostile = HOSTILE[name]
    path = made(hostile, tmp_path)
    before = digests(tmp_path)
    ended = launcher.run(*arguments(command, path))
    is_refused(ended, hostile, path)
    assert digests(tmp_path) == before
    assert os.listdir(launcher.work) == []
    assert strays(ended, path, launcher.work) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_check_says_of_a_hostile_file_what_the_service_would_or_refuses_it(
    launcher: Launcher, tmp_path: Path, name: str
) -> None:
    hostile = HOSTILE[name]
    path = made(hostile, tmp_path)
    before = digests(tmp_path)
    ended = launcher.run("check", path)
    if ended.code == 1:
        assert says(hostile, ended.out), ended.out
        assert shown(path) in ended.out
        no_harm(ended)
    else:
        is_refused(ended, hostile, path)
    assert digests(tmp_path) == before
    assert strays(ended, path, launcher.work) == []


def test_the_trace_shows_what_is_opened(launcher: Launcher, tmp_path: Path) -> None:
    """Else none of the other tests would prove anything."""
    path = made(HOSTILE["qcow2 over the file beside it"], tmp_path)
    other = tmp_path / "room" / "backing.qcow2"
    ended = launcher.run("preview", path, other)
    if ended.trace is None:
        pytest.skip("strace cannot be run here")
    assert (
        strays(ended, path, launcher.work) == []
    )  # the first one was refused before the other was looked at
    ended = launcher.run("preview", other, path)
    assert [line for line in strays(ended, path, launcher.work) if str(other) in line]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(launcher: Launcher, tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        (folder / "disk.img").write_bytes(DISK)
        (folder / "disk.img").chmod(0)
        return folder / "disk.img"

    hostile = Hostile(make, "cannot be read")
    is_refused(launcher.run("preview", path := made(hostile, tmp_path)), hostile, path)


@pytest.mark.parametrize(
    "name",
    ["json:{}", 'json:{"driver":"nbd"}', "nbd:127.0.0.1:1", "fat:rw:.", "file:x", "a,b:c.img", "-", "-x",
     "--help", "%s{}$HOME`x`'\"\\.img", " x ", "a\nb\x1b[2J.img", "d" * 240],
)  # fmt: skip
@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_a_name_is_nothing_but_a_name(tmp_path: Path, name: str, image_format: str) -> None:
    """QEMU takes some for protocols, and others for options."""
    path = tmp_path / name
    path.write_bytes(DISK if image_format == "raw" else qcow2())
    (image,) = open_images([path])
    assert (image.path, image.format) == (path, image_format)
    over = create_overlay(image, tmp_path / "over.qcow2", room=0)
    assert guest_bytes(over.path, "qcow2") == DISK
    assert create_overlay(over, tmp_path / f"{name[:200]}.2", room=0).path.exists()


def test_the_command_line_itself(tmp_path: Path) -> None:
    """As a user runs it: a process of its own from its start on."""
    path = made(HOSTILE["qcow2 over the file beside it"], tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "imgpatch", "apply", path, "--in-place"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"imgpatch: {path}: ")
    assert done.stderr.count("\n") == 2


def made(hostile: Hostile, folder: Path) -> Path:
    room = folder / "room"
    room.mkdir()
    plant(room)
    return hostile.make(room)


def is_refused(ended: Ended, hostile: Hostile, path: Path) -> None:
    no_harm(ended)
    assert ended.code == hostile.code, ended
    assert ended.out == ""
    *notes, error, hint, end = ended.err.split("\n")
    assert end == ""
    assert error.startswith("imgpatch: ")
    assert not any(note.startswith("imgpatch: ") for note in notes)
    assert shown(path) in error
    assert says(hostile, error), error
    assert re.fullmatch(r"  \S.*", hint)


def says(hostile: Hostile, text: str) -> bool:
    return any(part in text for part in hostile.said.split("|"))


def no_harm(ended: Ended) -> None:
    assert "Traceback" not in ended.err
    assert ended.seconds < SECONDS
    assert ended.memory < MEMORY
    written = (ended.out + ended.err).replace("\n", "")
    assert written == safe(written)


def shown(path: Path) -> str:
    return safe(str(path))


def digests(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is in a folder, and the folder."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        digest = hashlib.sha256()
        if stat.S_ISREG(status.st_mode):
            with open_file(path) as descriptor:
                file = FileDisk(descriptor)
                for at, length in file.allocated():
                    digest.update(file.read(at, length))
        found[str(path)] = (
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ino,
            digest.digest(),
        )
    return found


_CALL = re.compile(r"\d+ +(\w+)\((.*)")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_OPENED = re.compile(r"= \d+<(/[^<>]*)>$")


def strays(ended: Ended, path: Path, work: Path) -> list[str]:
    """What was opened, made or asked beside the file, the programs and the folder for temporary files."""
    if ended.trace is None:
        return []
    return [
        line for line in ended.trace if (call := _CALL.match(line)) and not _allowed(call, line, path, work)
    ]


def _allowed(call: re.Match[str], line: str, path: Path, work: Path) -> bool:
    paths = [
        codecs.escape_decode(found.encode("utf-8", "surrogateescape"))[0] for found in _PATH.findall(call[2])
    ]
    if call[1] == "execve":
        paths = paths[:1]
    names = [os.fsdecode(name) for name in paths]
    if opened := _OPENED.search(line):
        names.append(os.fsdecode(codecs.escape_decode(opened[1].encode("utf-8", "surrogateescape"))[0]))
    return bool(names) and all(_is_expected(name, path, work) for name in names)


def _is_expected(name: str, path: Path, work: Path) -> bool:
    own = (str(work), sys.prefix, str(ROOT / "imgpatch"))
    named = {str(path), str(path.resolve()) if not path.is_symlink() or path.exists() else str(path)}
    if name in {"/dev/null", "/dev/urandom", *named} or name.startswith(
        (str(work.parent / "out"), str(work.parent / "err"))
    ):
        return True
    return os.path.normpath(name).startswith((*OF_PROGRAMS, *own))
