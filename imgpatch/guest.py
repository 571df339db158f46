"""A guest's files, read-only: the one thing transforms, checks and inspection read.

A `Tree` answers three questions about real paths; a `Guest` puts links, globs and case on top, once
for all trees. A planned guest is a guest whose tree answers with the planned contents.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from imgpatch.errors import RefusedError
from imgpatch.storage import Storage

MAX_LINKS = 40  # as the kernel has it: path_resolution(7)
MAX_FILE = 1 << 30
"""Bytes of a file that is read whole: an initramfs or a registry hive may have hundreds of mebibytes."""

MAX_TEXT = 1 << 20
"""Bytes of configuration, which grammars read line by line: real systems have some hundred kibibytes."""

MAX_INDEX = 64 << 20
"""Bytes of a text that a program writes and lists all of something in: `modules.alias` alone has 1.5 MB."""

MAX_NAMES = 100_000
"""In a folder that is looked through."""

MAX_PATHS = 10_000
"""That a pattern matches."""


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stat:
    """What lstat(2) says of a path.

    Attributes:
        mode: permission bits only.
        size: bytes.
        target: where a link points, as written in it.
    """

    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str | None = None


class Tree(Protocol):
    """Files by real path: absolute, '/'-separated, no link in it but perhaps the last component."""

    def lstat(self, path: str) -> Stat | None:
        """None: no such path."""

    def listdir(self, path: str) -> Sequence[str]:
        """The names in a directory, sorted; empty where it is none."""

    def read(self, path: str) -> bytes:
        """The contents of a regular file that exists."""

    def head(self, path: str, size: int) -> bytes:
        """The first bytes of a regular file that exists, at most so many."""

    def folds_case(self, path: str) -> bool:
        """Whether names in this directory are looked up without regard to case (vfat, NTFS)."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine's files with links followed inside the guest, never out of it."""

    tree: Tree
    storage: Storage

    def resolve(self, path: str) -> str:
        """The real path: links followed, and the case as stored where the file system folds it.

        What does not exist stays as written, so a path to be created resolves to itself.

        Raises:
            RefusedError: the path is not absolute, or its links go round.
        """
        return self._resolve(path, follow_last=True)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        """None: no such path, or a dangling link when following."""
        return self.tree.lstat(self._resolve(path, follow_last=follow))

    def exists(self, path: str) -> bool:
        return self.stat(path) is not None

    def read(self, path: str, limit: int = MAX_FILE) -> bytes | None:
        """The contents of a regular file; None: no such file, or a dangling link.

        Raises:
            RefusedError: there is something else of this name, or it has more than `limit` bytes.
        """
        real = self.resolve(path)
        stat = self.tree.lstat(real)
        if stat is None:
            return None
        if stat.kind is not Kind.FILE:
            raise RefusedError(
                f"{path}: a {stat.kind} of the guest stands where a regular file was wanted",
                hint="look at the path in the guest; imgpatch does not touch what it cannot read",
            )
        if stat.size > limit:
            raise RefusedError(
                f"{path}: a file of {stat.size} bytes in the guest, "
                f"and {limit} are the most that is read of it",
                hint="look at the file in the guest: no system writes one so large there",
            )
        return self.tree.read(real)

    def head(self, path: str, size: int) -> bytes:
        """The first bytes of a regular file, however large it is; none where there is no such file."""
        real = self.resolve(path)
        stat = self.tree.lstat(real)
        return self.tree.head(real, size) if stat is not None and stat.kind is Kind.FILE else b""

    def text(self, path: str, limit: int = MAX_TEXT) -> str | None:
        """`read`, decoded so that bytes outside UTF-8 survive the way back (`surrogateescape`)."""
        data = self.read(path, limit)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def listdir(self, path: str) -> Sequence[str]:
        """The names in a directory, sorted; empty where there is none.

        Raises:
            RefusedError: there are more than `MAX_NAMES`.
        """
        names = self.tree.listdir(self.resolve(path))
        _refuse_many(path, len(names), MAX_NAMES, "names")
        return names

    def glob(self, pattern: str) -> Sequence[str]:
        """The existing paths that match, sorted, spelt as the pattern spells them.

        `*`, `?` and `[...]` as glob(7): within one component, and not a leading dot.
        """
        found = ["/"]
        for part in _components(pattern):
            if not any(char in part for char in "*?["):
                found = [posixpath.join(base, part) for base in found]
                continue
            found = [
                posixpath.join(base, name)
                for base in found
                for name in self.listdir(base)
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
            _refuse_many(pattern, len(found), MAX_PATHS, "paths")
        return sorted(path for path in found if self.stat(path, follow=False) is not None)

    def _resolve(self, path: str, *, follow_last: bool) -> str:
        if not path.startswith("/"):
            raise RefusedError(f"{path!r} is not an absolute path of the guest")
        todo = _components(path)
        done = "/"
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = posixpath.join(done, self._true_case(done, part))
            stat = self.tree.lstat(here)
            if stat is None or stat.kind is not Kind.LINK or (not todo and not follow_last):
                done = here
                continue
            links += 1
            if links > MAX_LINKS:
                raise RefusedError(f"{path}: too many levels of links in the guest")
            target = stat.target or ""
            if target.startswith("/"):
                done = "/"
            todo = _components(target) + todo
        return done

    def _true_case(self, directory: str, name: str) -> str:
        if (
            not self.tree.folds_case(directory)
            or self.tree.lstat(posixpath.join(directory, name)) is not None
        ):
            return name
        folded = name.casefold()
        return next((n for n in self.tree.listdir(directory) if n.casefold() == folded), name)


def _refuse_many(path: str, found: int, limit: int, what: str) -> None:
    if found > limit:
        raise RefusedError(
            f"{path}: {found} {what} in the guest, and {limit} are the most that is looked through",
            hint="look at the folder in the guest; no system needs so many files there",
        )


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class MemoryTree:
    """Files held in memory: directories are implied by the files and links below them."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        links: Mapping[str, str] | None = None,
        stats: Mapping[str, Stat] | None = None,
        case_folding: Iterable[str] = (),
    ) -> None:
        """Takes path -> contents, path -> link target, path -> what stat says, and folding mount points."""
        self._files = dict(files)
        self._links = dict(links or {})
        self._stats = dict(stats or {})
        self._folding = tuple(case_folding)
        self._names: dict[str, set[str]] = {"/": set()}
        for path in (*self._files, *self._links, *self._stats):
            while path != "/":
                parent, name = posixpath.split(path)
                self._names.setdefault(parent, set()).add(name)
                path = parent

    def lstat(self, path: str) -> Stat | None:
        if path in self._stats:
            return self._stats[path]
        if path in self._links:
            return Stat(Kind.LINK, mode=0o777, target=self._links[path])
        if path in self._files:
            return Stat(Kind.FILE, size=len(self._files[path]))
        return Stat(Kind.DIRECTORY, mode=0o755) if path in self._names else None

    def listdir(self, path: str) -> Sequence[str]:
        return sorted(self._names.get(path, ()))

    def read(self, path: str) -> bytes:
        return self._files[path]

    def head(self, path: str, size: int) -> bytes:
        return self._files[path][:size]

    def folds_case(self, path: str) -> bool:
        return any(posixpath.commonpath((path, point)) == point for point in self._folding)


class PlannedTree:
    """A tree as it will be: `after` answers first, path -> contents or None for what goes."""

    def __init__(self, tree: Tree, after: Mapping[str, bytes | None]) -> None:
        self._tree = tree
        self._after = dict(after)
        self._new: dict[str, set[str]] = {}
        for path in (p for p, data in self._after.items() if data is not None):
            while path != "/":
                parent, name = posixpath.split(path)
                self._new.setdefault(parent, set()).add(name)
                path = parent

    def lstat(self, path: str) -> Stat | None:
        stat = self._tree.lstat(path)
        if path in self._after:
            data = self._after[path]
            if data is None:
                return None
            old = stat or Stat(Kind.FILE)
            return Stat(Kind.FILE, mode=old.mode, uid=old.uid, gid=old.gid, size=len(data))
        if stat is None and path in self._new:
            return Stat(Kind.DIRECTORY, mode=0o755)
        return stat

    def listdir(self, path: str) -> Sequence[str]:
        names = {*self._tree.listdir(path), *self._new.get(path, ())}
        return sorted(n for n in names if self._after.get(posixpath.join(path, n), b"") is not None)

    def read(self, path: str) -> bytes:
        data = self._after.get(path)
        return self._tree.read(path) if data is None else data

    def head(self, path: str, size: int) -> bytes:
        data = self._after.get(path)
        return self._tree.head(path, size) if data is None else data[:size]

    def folds_case(self, path: str) -> bool:
        return self._tree.folds_case(path)
