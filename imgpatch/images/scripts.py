"""Scripts for the appliance's own programs, and what they write: for what would be a call a file."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from imgpatch.images.appliance import Appliance, ApplianceError

PIECE = 2 << 20
"""Bytes fetched with one call: as base64 below the 4 MiB of a libguestfs message."""

AT_ONCE = 384 << 10
"""Bytes that come with the call that makes them: of six commands they still fit into one message."""

ARGUMENT = 96 << 10
"""Characters sent with one call: the kernel takes 128 KiB as one argument (execve(2))."""

FOLDER = "/tmp/imgpatch"  # noqa: S108  in the appliance, where nobody else is
_START = f"export LC_ALL=C; umask 077; mkdir -p {FOLDER}; cd /sysroot; t={FOLDER}; "


class Output(Protocol):
    """What a command printed."""

    def read(self, size: int = -1, /) -> bytes: ...
    def read1(self, size: int = -1, /) -> bytes: ...


class Scripts:
    """Runs commands in the guest's root folder; `$t` is a folder of the appliance for what they write."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance

    def run(
        self, commands: Mapping[str, str], *, first: str = "true", names: Sequence[bytes] = ()
    ) -> Mapping[str, Output]:
        """Gives what each command prints; what is long comes piece by piece as it is read.

        Args:
            commands: by names of files.
            first: a command that they need to succeed.
            names: stand in `$t/names`, each with a NUL.

        Raises:
            ApplianceError: the first command failed.
        """
        script = f"{self._send(names)} {first} || exit 1; "
        for name, command in commands.items():
            file = f"$t/{name}.gz"
            script += (
                f"( {command} ) 2>/dev/null | gzip -1 > {file}; size=$(wc -c < {file}); echo {name} $size; "
            )
            script += f"test $size -gt {AT_ONCE} || base64 -w0 {file}; echo; "
        lines = self._sh(script).split("\n")
        found: dict[str, Output] = {}
        for head, text in zip(lines[::2], lines[1::2], strict=False):
            name, _, size = head.partition(" ")
            pieces = self._pieces(f"$t/{name}.gz", base64.b64decode(text), int(size))
            file_object = io.BufferedReader(_Pieces(pieces), PIECE)
            found[name] = io.BufferedReader(gzip.GzipFile(fileobj=file_object), 1 << 16)
        return found

    def _sh(self, script: str) -> str:
        output: str = self._appliance.debug("sh", [_START + script])
        return output

    def _send(self, names: Sequence[bytes]) -> str:
        """Sends what is too long for one argument, and gives the command for the rest."""
        text = base64.b64encode(gzip.compress(b"".join(name + b"\0" for name in names), 1)).decode("ascii")
        pieces = [text[at : at + ARGUMENT] for at in range(0, len(text), ARGUMENT)]
        commands = [f"printf %s {piece} | base64 -d >> $t/sent;" for piece in pieces]
        commands[0] = f": > $t/sent; {commands[0]}"
        for command in commands[:-1]:
            self._sh(command)
        return f"{commands[-1]} gzip -dc < $t/sent > $t/names;"

    def _pieces(self, file: str, first: bytes, size: int) -> Iterator[bytes]:
        done = len(first)
        yield first
        while done < size:
            number = done // PIECE
            text = self._sh(f"dd if={file} bs={PIECE} skip={number} count=1 status=none | base64 -w0")
            piece = base64.b64decode(text)
            if not piece:
                raise ApplianceError(f"{file} was cut short in the appliance")
            done += len(piece)
            yield piece
        self._appliance.received += done


class _Pieces(io.RawIOBase):
    """Bytes that come in pieces, as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def records(file: Output, end: bytes) -> Iterator[bytes]:
    """What ends with this byte, one after the other."""
    rest = b""
    while chunk := file.read1(1 << 16):
        *whole, rest = (rest + chunk).split(end)
        yield from whole
    if rest:
        raise ApplianceError("a list of the guest's files was cut short in the appliance; is its /tmp full?")
