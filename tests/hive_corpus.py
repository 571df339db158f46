"""Real registry hives, where they are present beside the repository."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent.parent.parent / "shared/corpora/windows"

HIVES = tuple(
    sorted(
        str(path.relative_to(CORPUS))
        for path in CORPUS.glob("*/*")
        if path.is_file() and ".LOG" not in path.name
    )
)

DAMAGED = frozenset(
    {
        "regipy/corrupted_system_hive.xz",
        "yarp/BadBaseBlockHive__BadBaseBlockHive",
        "yarp/BadListHive",
        "yarp/GarbageHive",
        "yarp/InvalidParentHive",
        "yarp/TruncatedDirtyHive",
        "yarp/TruncatedHive",
        "yarp/WrongOrderHive",
    }
)
"""What the owners of these damaged, each in one way."""


@cache
def hive(name: str) -> bytes:
    data = (CORPUS / name).read_bytes()
    return lzma.decompress(data) if name.endswith(".xz") else data
