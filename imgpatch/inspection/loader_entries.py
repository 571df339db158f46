"""Boot Loader Specification entries of the guest, in the order in which GRUB's blscfg has them."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imgpatch.formats import bls
from imgpatch.inspection.grub_files import GrubFiles

LOADER_ENTRIES = "/loader/entries"
"""Where blscfg looks, below the file system of /boot, unless `blsdir` says otherwise."""


@dataclass(frozen=True, slots=True)
class BlsEntry:
    """A loader entry: the file's name without `.conf`, its path in the guest, its lines."""

    id: str
    path: str
    lines: tuple[bls.Line, ...] = field(repr=False)


def loader_entries(files: GrubFiles, folder: str = LOADER_ENTRIES) -> tuple[BlsEntry, ...]:
    """The loader entries of the guest, in the order of their names."""
    for base in dict.fromkeys((f"/boot{folder}", folder, f"/boot/efi{folder}", f"/efi{folder}")):
        paths = files.guest.glob(f"{base}/*.conf") if "(" not in base else ()
        found = [(path, files.read(path)) for path in paths]
        entries = tuple(
            BlsEntry(
                posixpath.basename(path).removesuffix(".conf"),
                files.guest.resolve(path),
                bls.parse(data.decode("utf-8", "surrogateescape")),
            )
            for path, data in found
            if data is not None
        )
        if entries:
            return entries
    return ()


def sorted_entries(entries: Sequence[BlsEntry]) -> tuple[BlsEntry, ...]:
    """The newest first, as blscfg orders them: name, version and release cut from the file's name."""
    ordered = sorted(entries, key=functools.cmp_to_key(_newest_first))
    found: list[BlsEntry] = []
    for entry in ordered:
        if not found or compared(found[-1].id, entry.id) != 0:
            found.append(entry)
    return tuple(found)


def _newest_first(one: BlsEntry, two: BlsEntry) -> int:
    return compared(two.id, one.id)


def compared(one: str, two: str) -> int:
    """1: the first id is newer; -1: the second is; 0: they are the same version."""
    for a, b in zip(_package(one), _package(two), strict=True):
        result = compared_versions(a, b)
        if result:
            return result
    return 0


def _package(entry_id: str) -> tuple[str, str, str]:
    parts = entry_id.rsplit("-", 2)
    return (parts[0], parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else "")


def compared_versions(one: str, two: str) -> int:
    """As rpm compares versions: runs of digits by number, runs of letters by code, `~` before all."""
    a, b = _segments(one), _segments(two)
    for x, y in zip(a, b, strict=False):
        if x == y:
            continue
        if "~" in (x, y):
            return -1 if x == "~" else 1
        if x.isdigit() != y.isdigit():
            return 1 if x.isdigit() else -1
        if x.isdigit() and int(x) == int(y):
            continue
        newer = int(x) > int(y) if x.isdigit() else x > y
        return 1 if newer else -1
    if len(a) == len(b):
        return 0
    longer, sign = (a[len(b)], 1) if len(a) > len(b) else (b[len(a)], -1)
    return -sign if longer == "~" else sign


def _segments(version: str) -> list[str]:
    return [part[:4000] for part in re.findall(r"[0-9]+|[A-Za-z]+|~", version)]


def expanded(value: str, variables: Mapping[str, str]) -> str:
    """The `$name`s of a loader entry's value, as blscfg puts them in; unset ones are nothing."""
    return re.sub(r"\$([A-Za-z0-9_]+)", lambda match: variables.get(match[1], ""), value)
