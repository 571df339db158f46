"""The systems that an edition says can be imported, and whether a guest is one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class LinuxRow:
    """One row of the table of Linux systems.

    Attributes:
        id: as os-release(5) has it.
        versions: `9.0-9.7` from one to the other, `11` with all that begins so.
        kernels: the beginnings of `uname -r`; none where the edition names none.
        service_packs: of SLES, 0 for none; empty where the row has no such column.
        excluded: beginnings of kernels that are not supported although listed.
        uek: the beginnings of Oracle's own kernels, `*` for any.
    """

    id: str
    name: str
    versions: tuple[str, ...]
    kernels: tuple[str, ...] = ()
    service_packs: tuple[int, ...] = ()
    excluded: tuple[str, ...] = ()
    uek: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`SLES 15 SP4, SP5`."""
        packs = ", ".join(f"SP{pack}" if pack else "without SP" for pack in self.service_packs)
        return f"{self.name} {', '.join(self.versions)}{' ' if packs else ''}{packs}"

    @property
    def kernel_text(self) -> str:
        """`4.18.0; UEK 5.15.0`."""
        ours = [", ".join(self.kernels)] if self.kernels else []
        uek = ", ".join("any" if release == "*" else release for release in self.uek)
        text = "; ".join([*ours, *([f"UEK {uek}"] if uek else [])]) or "any"
        return f"{text} (not {', '.join(self.excluded)})" if self.excluded else text

    def has_version(self, version: str) -> bool:
        """Whether the row is of this version; of `7` alone it cannot be told which 7 it is, so it is."""
        number = numbers(version)
        if self.service_packs:
            pack = number[1] if len(number) > 1 else 0
            return pack in self.service_packs and any(_within(number[:1], v) for v in self.versions)
        return any(_within(number, v) for v in self.versions)

    def has_major(self, version: str) -> bool:
        """Whether the row is of the same release, whatever its point."""
        return any(numbers(v)[:1] == numbers(version)[:1] for v in self.versions)

    def has_kernel(self, release: str) -> bool:
        """Whether `uname -r` begins as the row says."""
        if any(_begins(release, other) for other in self.excluded):
            return False
        if not self.kernels and not self.uek:
            return True
        listed = (*self.kernels, *self.uek) if "uek" in release else self.kernels
        return any(beginning == "*" or _begins(release, beginning) for beginning in listed)


@dataclass(frozen=True, slots=True)
class WindowsRow:
    """One row of the table of Windows systems.

    Attributes:
        bits: 32, 64.
        service_pack: the least one, 0 where any will do.
    """

    name: str
    editions: tuple[str, ...]
    bits: tuple[int, ...]
    service_pack: int = 0

    @property
    def title(self) -> str:
        return self.name


class Support(StrEnum):
    """What the table says of a system and its kernel."""

    LISTED = "listed"
    POINT_RELEASE = "the kernel is listed, for other point releases of the same system"
    OTHER_KERNEL = "the system is listed, with other kernels"
    OTHER_VERSION = "the system is listed, in other versions"
    UNLISTED = "the system is not listed"


def support(rows: Iterable[LinuxRow], system_id: str, version: str, release: str) -> Support:
    """What the table says of a Linux system.

    Args:
        rows: of one edition.
        system_id: as os-release(5) has it.
        version: `9.4`; of SLES `15.5` is service pack 5.
        release: what `uname -r` prints with the kernel that boots by default.
    """
    mine = [row for row in rows if row.id == system_id]
    exact = [row for row in mine if row.has_version(version)]
    if any(row.has_kernel(release) for row in exact):
        return Support.LISTED
    if exact:
        return Support.OTHER_KERNEL
    if any(row.has_kernel(release) for row in mine if row.has_major(version)):
        return Support.POINT_RELEASE
    return Support.OTHER_VERSION if mine else Support.UNLISTED


def parse_linux(tables: Sequence[Mapping[str, Any]]) -> tuple[LinuxRow, ...]:
    return tuple(LinuxRow(**_tuples(table)) for table in tables)


def parse_windows(tables: Sequence[Mapping[str, Any]]) -> tuple[WindowsRow, ...]:
    return tuple(WindowsRow(**_tuples(table)) for table in tables)


def laid_over(rows: Sequence[LinuxRow], over: Sequence[LinuxRow]) -> tuple[LinuxRow, ...]:
    """The rows with those of another table: one of the same versions takes its place, others come last."""
    new = {replace(row, kernels=(), excluded=(), uek=()): row for row in over}
    kept = [new.pop(replace(row, kernels=(), excluded=(), uek=()), row) for row in rows]
    return (*kept, *new.values())


def numbers(version: str) -> tuple[int, ...]:
    """`12.04` as (12, 4); what is no number ends it."""
    match = re.match(r"\d{1,9}(?:\.\d{1,9})*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _within(number: tuple[int, ...], versions: str) -> bool:
    first, dash, last = versions.partition("-")
    if not number:
        return False
    if not dash:
        wanted = numbers(first)
        return number[: len(wanted)] == wanted[: len(number)] if wanted else False
    low, high = numbers(first), numbers(last)
    length = min(len(number), max(len(low), len(high)))
    return _padded(low, length) <= number[:length] <= _padded(high, length)


def _padded(number: tuple[int, ...], length: int) -> tuple[int, ...]:
    return (*number, *(0,) * length)[:length]


def _begins(release: str, beginning: str) -> bool:
    """Whether a release begins so, number by number: `5.10.230` does with `5.10`, not with `5.1`."""
    return re.match(rf"{re.escape(beginning)}(?!\d)", release) is not None


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
