"""boot.ini of Windows before Vista, lossless: bytes in, the same out but for what is taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = re.compile(rb"\s*\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        section: in small letters; empty before the first.
        text: as it stands, without its end.
        end: what ends it: CR, LF or both, all of which the loader takes; nothing on the last one.
    """

    number: int
    section: bytes
    text: bytes
    end: bytes


def parse(data: bytes) -> Iterator[Line]:
    section = b""
    for number, whole in enumerate(data.splitlines(keepends=True), 1):  # of bytes, by CR and LF alone
        text = whole.rstrip(b"\r\n")
        match = _SECTION.match(text)
        section = match[1].strip().lower() if match else section
        yield Line(number, section, text, whole[len(text) :])


def without(
    data: bytes, switches: tuple[bytes, ...], settings: tuple[bytes, ...]
) -> tuple[bytes, list[Line]]:
    """The file without switches of its entries and settings of its loader; with the lines that change.

    Args:
        data: the whole file.
        switches: names as in `/redirect`, in small letters, without the slash.
        settings: names as in `redirectbaudrate=...`, in small letters.
    """
    kept: list[bytes] = []
    changed = []
    wanted = b"|".join(re.escape(name) for name in switches)
    switch = re.compile(rb"\s*/(?:%s)(?:=[^\s/]*)?(?=[\s/]|$)" % wanted, re.IGNORECASE)
    for line in parse(data):
        name = line.text.partition(b"=")[0].strip().lower()
        if line.section == b"boot loader" and name in settings:
            changed.append(line)
            continue
        new = _outside_quotes(switch, line.text) if line.section == b"operating systems" else line.text
        if new != line.text:
            changed.append(line)
        kept.append(new + line.end)
    return b"".join(kept), changed


def _outside_quotes(switch: re.Pattern[bytes], text: bytes) -> bytes:
    """The line without the switches, which may stand in a system's name too."""
    parts = text.split(b'"')
    return b'"'.join(part if i % 2 else switch.sub(b"", part) for i, part in enumerate(parts))


def entries(data: bytes) -> tuple[bytes, ...]:
    """The systems there are to choose from: each line's device, before the `=`."""
    lines = (line for line in parse(data) if line.section == b"operating systems")
    return tuple(line.text.partition(b"=")[0].strip() for line in lines if b"=" in line.text)
