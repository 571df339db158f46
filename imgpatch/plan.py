"""The plan as data: what will change, from what to what, and why. Everything here is pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from imgpatch.edition import Edition
from imgpatch.guest import Guest, PlannedTree
from imgpatch.inspection import Inspection
from imgpatch.target import EC2, Target

OWN_RULE = "imgpatch"
"""The rule named where the documents are silent and the decision is ours."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file changes.

    Attributes:
        rule: an id of the documents (`M-03`), or `OWN_RULE` with the text saying why.
        text: one sentence with what was found; it may name a line (`line 4: ...`).
    """

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One transform's new contents of one file.

    Attributes:
        path: absolute; links are followed inside the guest.
        after: the whole new contents; None removes the file (its original is kept like any other).
        mode: permission bits, for a file that does not exist yet.
    """

    path: str
    after: bytes | None
    reasons: tuple[Reason, ...]
    mode: int = 0o644


class NoteKind(StrEnum):
    NOT_MIRRORED = "not mirrored"
    """The service does it, imgpatch does not; the text says why."""
    WARNING = "warning"
    """Something that may keep the guest from working on EC2 and that no edit cures."""
    DECISION = "decision"
    """Something left as it is on purpose."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user must know that is not an edit."""

    kind: NoteKind
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One file of the guest before and after; None: it is not there.

    Attributes:
        path: the real path, links followed.
        mode: permission bits of a created file; None where the file exists and keeps its own.
    """

    path: str
    before: bytes | None
    after: bytes | None
    reasons: tuple[Reason, ...]
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A file that a program of the guest makes anew after all changes are written.

    Only where the user asked for it: its bytes are known after apply, and it runs the guest's code.

    Attributes:
        path: the real path of the file, whose original is kept like any other.
        argv: the program and its arguments, as run inside the guest.
    """

    path: str
    argv: tuple[str, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes sorted by path, then what is rebuilt, and the notes in the order of the transforms.

    Attributes:
        windows: the guest is a Windows: the service does other things to it.
    """

    changes: tuple[Change, ...]
    notes: tuple[Note, ...] = ()
    rebuilds: tuple[Rebuild, ...] = ()
    windows: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.changes and not self.rebuilds

    @property
    def digest(self) -> str:
        """12 hex digits over every byte before and after: the same guest and choices give the same."""
        rows = [
            (
                change.path.encode("utf-8", "surrogateescape").hex(),
                _sha256(change.before),
                _sha256(change.after),
                change.mode,
            )
            for change in self.changes
        ]
        programs = [(rebuild.path, rebuild.argv) for rebuild in self.rebuilds]
        return hashlib.sha256(json.dumps([rows, programs]).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Package:
    """A package file that the user gives.

    Attributes:
        kind: `deb` or `rpm`.
    """

    kind: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user may decide.

    Attributes:
        original_suffix: ends the name of every kept original.
        nic_names: `eth0` gives the one NIC of EC2 that name (net.ifnames=0); `keep` leaves names alone.
        initramfs: `repack` adds the drivers without running anything of the guest; `rebuild` runs the
            guest's own tool in the appliance.
        force_dirty_hives: a registry hive that is dirty, and whose logs hold nothing, is taken as it stands.
        advice: what the documents tell the user of Windows to do himself and is to be done: `rdp`, `utc`.
        drivers: of Windows, each file's path within the folder given and its bytes, sorted.
        ssm_package: the Systems Manager client, to be installed at the first boot; None leaves it out.
    """

    original_suffix: str = ".imgpatch.orig"
    nic_names: str = "eth0"
    initramfs: str = "repack"
    force_dirty_hives: bool = False
    advice: frozenset[str] = frozenset()
    drivers: tuple[tuple[str, bytes], ...] = ()
    ssm_package: Package | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Everything but the files that a transform may look at."""

    edition: Edition
    inspection: Inspection
    choices: Choices = Choices()
    target: Target = EC2


class Transform(Protocol):
    """A module of imgpatch.transforms: its docstring's first line is its summary."""

    __name__: str

    def applies(self, inspection: Inspection) -> bool:
        """Whether this kind of change concerns such a guest at all."""

    def edits(self, guest: Guest, context: Context) -> Iterable[Edit | Note | Rebuild]:
        """What the transform wants of the guest as it stands; nothing where it is already so."""


def planned(guest: Guest, after: Mapping[str, bytes | None]) -> Guest:
    """The guest as it will be."""
    return replace(guest, tree=PlannedTree(guest.tree, after))


def make_plan(guest: Guest, transforms: Sequence[Transform], context: Context) -> Plan:
    """Runs the transforms in order, each over the guest as the ones before it leave it."""
    after: dict[str, bytes | None] = {}
    reasons: dict[str, tuple[Reason, ...]] = {}
    modes: dict[str, int] = {}
    notes: list[Note] = []
    rebuilds: list[Rebuild] = []
    for transform in transforms:
        if not transform.applies(context.inspection):
            continue
        for item in transform.edits(planned(guest, after), context):
            if isinstance(item, Note):
                notes.append(item)
                continue
            if isinstance(item, Rebuild):
                rebuilds.append(item)
                continue
            path = guest.resolve(item.path)
            after[path] = item.after
            reasons[path] = reasons.get(path, ()) + item.reasons
            modes.setdefault(path, item.mode)
    changes = []
    for path in sorted(after):
        before = guest.read(path)
        if before != after[path]:
            mode = modes[path] if before is None else None
            changes.append(Change(path, before, after[path], reasons[path], mode))
    windows = context.inspection.windows is not None
    return Plan(tuple(changes), tuple(notes), tuple(rebuilds), windows)


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
