"""What a check finds: a reason for which an import would fail or go wrong, where, and what cures it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from imgpatch.edition import Edition
from imgpatch.files import Space
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.storage import Storage


class Severity(StrEnum):
    """How sure and how bad it is, the worst first."""

    FAILS = "the import fails"
    """The service stops, with the words of the finding where they are known."""
    UNKNOWN = "cannot be known"
    """The disk does not tell, or the documents do not: never to be taken for fine."""
    MAY_NOT_BOOT = "may not boot"
    """The service takes it; its test boot, or a later one, may not come up or not be reached."""
    ADVICE = "advice"
    """The documents ask for it; nothing is known to fail by it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        rule: an id of the documents (`R-41`, `E-23`), or `imgpatch`.
        error: id of the row in the catalogue; None where no words of the service are known.
        path: of the guest, or a device or a disk as people call it; None where it is the whole machine.
        line: 1-based.
        message: what was found and what was wanted.
        remedy: what cures it.
        transform: the module of imgpatch.transforms that cures it; None where none does.
        values: for the named places in the words of the service.
    """

    rule: str
    severity: Severity
    message: str
    remedy: str
    error: str | None = None
    path: str | None = None
    line: int | None = None
    transform: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def evidence(self) -> str | None:
        """`/etc/fstab:4`, `disk 1 partition 2`; None where there is no place to name."""
        return self.path if self.path is None or self.line is None else f"{self.path}:{self.line}"


class Operation(StrEnum):
    """The call of the service that is predicted, as the documents name it."""

    IMAGE = "ImportImage"
    SNAPSHOT = "ImportSnapshot"
    """It takes each disk as it is and never looks at what is on it."""
    INSTANCE = "ImportInstance"
    """The older call, of the EC2 CLI: one disk."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An OVA, besides the disks in it.

    Attributes:
        name: as the user gave it.
        file_size: bytes of the file.
        drives: the CD-ROM and floppy drives with something in them, as people call them.
    """

    name: str
    file_size: int = 0
    drives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """What is known of one disk file.

    Attributes:
        name: as the user gave it; with the name of the disk where it is one of an OVA.
        format: as qemu names it; of a file that cannot be opened what people call it.
        size: bytes of the disk; 0 of a file that cannot be opened.
        file_size: bytes of it in the file.
        variety: of the format: `streamOptimized`, `dynamic`; empty where it has none.
        maker: the program that wrote it, where that is known.
        damage: what cannot be read of it; empty where all can, or nobody looked.
        archive: the OVA that it is in.
    """

    name: str
    format: str
    size: int
    file_size: int = 0
    variety: str = ""
    maker: str = ""
    damage: str = ""
    archive: Archive | None = None

    @property
    def file(self) -> str:
        """The file that holds it, as the user gave it."""
        return self.name if self.archive is None else self.archive.name


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything a check may look at.

    Attributes:
        containers: none where the guest does not come from disk files.
        space: mount point -> free room, of what was asked for.
        operation: what is predicted.
    """

    guest: Guest
    inspection: Inspection
    edition: Edition
    containers: tuple[Container, ...] = ()
    space: Mapping[str, Space] = field(default_factory=dict)
    operation: Operation = Operation.IMAGE

    @property
    def storage(self) -> Storage:
        return self.guest.storage


class Check(Protocol):
    """A module of imgpatch.checks: its docstring's first line is its summary."""

    __name__: str

    def applies(self, inspection: Inspection) -> bool:
        """Whether such a guest can have this at all."""

    def findings(self, machine: Machine) -> Iterable[Finding]:
        """What is wrong; nothing where all is well."""
