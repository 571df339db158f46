"""Running qemu-img: always with explicit formats, absolute paths and English messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imgpatch.errors import RefusedError
from imgpatch.images.disk import SECTOR, Image

Progress = Callable[[float], None]  # called with the fraction done, 0.0 to 1.0

INSTALL_QEMU_IMG = "install qemu-utils (Debian, Ubuntu), qemu-img (Fedora, RHEL) or qemu-tools (SUSE)"
_PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")


class QemuImgError(RefusedError):
    """qemu-img ended with an error; the message is its own last line."""


def run(*arguments: str | Path, pass_fds: Sequence[int] = (), ok: Sequence[int] = (0,)) -> str:
    """Runs qemu-img and gives its standard output.

    Raises:
        QemuImgError: it ended with a status that is not in `ok`.
        RefusedError: it is not installed.
    """
    with _start(arguments, pass_fds) as child:
        out, err = _communicate(child)
    if child.returncode not in ok:
        raise _failed(arguments, child.returncode, err)
    return out.decode("utf-8", "surrogateescape")


def run_with_progress(
    *arguments: str | Path, progress: Progress | None, pass_fds: Sequence[int] = ()
) -> None:
    """Runs a qemu-img subcommand that knows `-p`, telling how far it is.

    Raises:
        QemuImgError: it failed.
        RefusedError: it is not installed.
    """
    command, *rest = arguments
    with _start((command, "-p", *rest), pass_fds) as child:
        try:
            _follow(child, progress or (lambda _: None))
            _, err = child.communicate()
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        raise _failed(arguments, child.returncode, err)


def part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """The progress of the 0-based `number`th of `count` equal parts."""
    return None if progress is None else lambda done: progress((number + done) / count)


def run_json(*arguments: str | Path, ok: Sequence[int] = (0,)) -> dict[str, Any]:
    """Runs qemu-img with `--output=json`."""
    answer = json.loads(run(*arguments, "--output=json", ok=ok))
    if not isinstance(answer, dict):
        raise QemuImgError(f"qemu-img {arguments[0]}: answered with something other than a JSON object")
    return answer


def node(image: Image) -> dict[str, Any]:
    """An image as a block node of QEMU, in which nothing is left to be probed.

    The size of a VHD is the one in its footer, which QEMU otherwise believes of some writers only. A
    fixed one is its guest's disk and a footer: QEMU's own driver would look for another kind of VHD in
    what the guest wrote first.
    """
    file: dict[str, Any] = {"driver": "file", "filename": str(image.path)}
    if image.format == "vpc" and image.variety == "fixed":
        return {"driver": "raw", "offset": image.offset, "size": image.size, "file": file}
    if image.length is not None:
        whole = -(-image.length // SECTOR) * SECTOR  # an archive pads its members to whole sectors
        file = {"driver": "raw", "offset": image.offset, "size": whole, "file": file}
    found: dict[str, Any] = {"driver": image.format, "file": file}
    if image.format in ("qcow2", "vmdk"):
        found["backing"] = None  # should its header come to name one between our look and QEMU's
    return found | {"force_size_calc": "current_size"} if image.format == "vpc" else found


def name(block_node: dict[str, Any]) -> str:
    """A block node as the name of a file, as QEMU takes it everywhere."""
    return "json:" + json.dumps(block_node, ensure_ascii=False, separators=(",", ":"))


def _start(arguments: Sequence[str | Path], pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    try:
        # A session of its own: Ctrl-C reaches imgpatch alone, which then decides what becomes of the child.
        return subprocess.Popen(
            ["qemu-img", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise RefusedError("qemu-img is not installed", hint=INSTALL_QEMU_IMG) from error


def _communicate(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    try:
        return child.communicate()
    except BaseException:
        child.kill()
        raise


def _follow(child: subprocess.Popen[bytes], progress: Progress) -> None:
    if child.stdout is None:
        return
    rest = b""
    while chunk := os.read(child.stdout.fileno(), 4096):
        pieces = (rest + chunk).replace(b"\n", b"\r").split(b"\r")
        rest = pieces.pop()
        for found in filter(None, map(_PERCENT.search, pieces)):
            progress(float(found[1]) / 100)


def _failed(arguments: Sequence[str | Path], status: int, err: bytes) -> QemuImgError:
    lines = [line for line in err.decode("utf-8", "replace").split("\n") if line.strip()]
    said = lines[-1].removeprefix("qemu-img: ") if lines else f"exit status {status}"
    return QemuImgError(f"qemu-img {arguments[0]} failed: {said}")
