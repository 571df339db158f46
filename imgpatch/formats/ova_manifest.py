"""The manifest of an OVA (DSP0243 5.1): a line `SHA256(disk1.vmdk)= 0123...` for each file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_BYTES = 1 << 20
DEFAULT_ALGORITHM = "SHA256"

_DIGITS = {"SHA1": 40, "SHA224": 56, "SHA256": 64, "SHA384": 96, "SHA512": 128}
_LINE = re.compile(
    r"[ \t]*(sha-?(?:1|224|256|384|512))[ \t]*\((.{1,1024})\)[ \t]*=[ \t]*([0-9a-f]{1,200})[ \t]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sum:
    """What one file should add up to.

    Attributes:
        algorithm: `SHA1`, `SHA256` or another; in lower case it is hashlib's name for it.
        digest: hexadecimal, lower case.
    """

    algorithm: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest.

    Attributes:
        unread: lines that are no sums, as they stand.
    """

    sums: tuple[Sum, ...]
    unread: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        return self.sums[0].algorithm if self.sums else DEFAULT_ALGORITHM


def parse(data: bytes) -> Manifest:
    """Reads a manifest; blanks, the case of letters and the ends of lines may be as they like."""
    sums = []
    unread = []
    text = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\0").decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        found = _LINE.fullmatch(line.rstrip("\r"))
        algorithm = found[1].upper().replace("-", "") if found else ""
        if found and len(found[3]) == _DIGITS[algorithm]:
            sums.append(Sum(algorithm, found[2].strip(" \t"), found[3].lower()))
        elif line.strip():
            unread.append(line.strip())
    return Manifest(tuple(sums), tuple(unread))


def size(algorithm: str, names: Iterable[str]) -> int:
    """Bytes of the manifest of files with these names, before their sums are known."""
    return len(unparse(Sum(algorithm, name, "0" * _DIGITS[algorithm]) for name in names))


def unparse(sums: Iterable[Sum]) -> bytes:
    lines = (f"{sum_.algorithm}({sum_.name})= {sum_.digest}\n" for sum_ in sums)
    return "".join(lines).encode("utf-8", "surrogateescape")
