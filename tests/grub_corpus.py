"""Real files of GRUB from the corpora, and the mutations every format must bear."""

from __future__ import annotations

import random
from pathlib import Path

CONFIG = Path(__file__).parents[1] / ".." / "shared" / "corpora" / "config"


def files(category: str) -> dict[str, bytes]:
    """The files of a category by name; empty where the corpora are not here."""
    paths = sorted(path for path in (CONFIG / category).rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in paths}


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def mutations(data: bytes, seed: str) -> list[bytes]:
    """The file itself, and as editors, transfers and mistakes leave it."""
    chance = random.Random(seed)
    cuts = [data[: chance.randrange(len(data) + 1)] for _ in range(20)]
    return [
        data,
        data.replace(b"\n", b"\r\n"),
        data.rstrip(b"\n"),
        b"\xef\xbb\xbf" + data,
        data + b"# caf\xe9\n",
        data.replace(b"\n", b" \t\n"),
        data + data,
        *cuts,
    ]


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ between texts of as many lines."""
    old, new = before.split("\n"), after.split("\n")
    assert len(old) == len(new)
    return [(a, b) for a, b in zip(old, new, strict=True) if a != b]
