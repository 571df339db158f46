"""A guest's files held in memory, for reading and for writing: what commit and revert do to whole guests."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgpatch.files import LABEL, Details, Space
from imgpatch.guest import Guest, Kind, Stat

THEN = 10**18 + 123456789
"""Nanoseconds since 1970: when everything in the guest was last touched."""


@dataclass(frozen=True, slots=True)
class Node:
    """A file with its contents, a folder, or a link with its target."""

    details: Details
    data: bytes = b""
    target: str | None = None


class MemoryDisk:
    """Both a `Tree` and `Files`; writing into a folder touches its times, as a file system does."""

    def __init__(self, guest: Guest) -> None:
        """Copies all of a guest."""
        self.nodes: dict[str, Node] = {}
        self.names: dict[str, set[str]] = {}
        self._folds = guest.tree.folds_case
        self._clock = THEN
        self._copy(guest, "/")

    def _copy(self, guest: Guest, path: str) -> None:
        stat = guest.tree.lstat(path)
        assert stat is not None
        details = Details(stat.kind, stat.mode, stat.uid, stat.gid, stat.size, THEN, THEN)
        data = guest.tree.read(path) if stat.kind is Kind.FILE else b""
        self._put(path, Node(details, data, stat.target))
        for name in guest.tree.listdir(path):
            self._copy(guest, posixpath.join(path, name))

    def _put(self, path: str, node: Node) -> None:
        self.nodes[path] = node
        if path != "/":
            parent, name = posixpath.split(path)
            self.names.setdefault(parent, set()).add(name)

    def _take(self, path: str) -> Node:
        parent, name = posixpath.split(path)
        self.names[parent].discard(name)
        return self.nodes.pop(path)

    def _touch(self, path: str) -> None:
        self._clock += 1
        parent = posixpath.dirname(path)
        self.set_times(parent, self._clock, self._clock)

    # --- Tree

    def lstat(self, path: str) -> Stat | None:
        node = self.nodes.get(path)
        if node is None:
            return None
        d = node.details
        return Stat(d.kind, d.mode, d.uid, d.gid, d.size, node.target)

    def listdir(self, path: str) -> Sequence[str]:
        return sorted(self.names.get(path, ()))

    def read(self, path: str) -> bytes:
        return self.nodes[path].data

    def head(self, path: str, size: int) -> bytes:
        return self.nodes[path].data[:size]

    def folds_case(self, path: str) -> bool:
        return self._folds(path)

    # --- Files

    def details(self, path: str) -> Details | None:
        node = self.nodes.get(path)
        return None if node is None else node.details

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.read(path)).hexdigest()

    def create(self, path: str, data: bytes) -> None:
        assert posixpath.dirname(path) in self.nodes, path
        if path not in self.nodes:
            self._touch(path)
        self._put(path, Node(Details(Kind.FILE, 0o600, 0, 0, len(data), self._clock, self._clock), data))

    def copy_details(self, old: str, new: str) -> None:
        node = self.nodes[new]
        self.nodes[new] = replace(node, details=replace(self.nodes[old].details, size=len(node.data)))

    def set_mode(self, path: str, mode: int) -> None:
        self._change(path, mode=mode)

    def set_label(self, path: str, label: bytes) -> None:
        self._change(path, xattrs=((LABEL, label),))

    def set_times(self, path: str, atime: int, mtime: int) -> None:
        self._change(path, atime=atime, mtime=mtime)

    def _change(self, path: str, **values: object) -> None:
        node = self.nodes[path]
        self.nodes[path] = replace(node, details=replace(node.details, **values))  # type: ignore[arg-type]

    def unlock(self, path: str) -> str:
        return ""

    def lock(self, path: str, flags: str) -> None:
        raise AssertionError("no file here is immutable")

    def rename(self, old: str, new: str) -> None:
        assert posixpath.dirname(old) == posixpath.dirname(new), "an original stays in its folder"
        node = self._take(old)
        self._put(new, node)
        self._touch(new)

    def writes_into(self, path: str) -> bool:
        return self._folds(posixpath.dirname(path))

    def copy(self, old: str, new: str) -> None:
        if new not in self.nodes:
            self._touch(new)
        self._put(new, self.nodes[old])

    def remove(self, path: str) -> None:
        assert self._take(path).details.kind is not Kind.DIRECTORY, path
        self._touch(path)

    def mkdir(self, path: str) -> None:
        assert path not in self.nodes, path
        self._touch(path)
        self._put(path, Node(Details(Kind.DIRECTORY, 0o755, 0, 0, 0, self._clock, self._clock)))

    def rmdir(self, path: str) -> None:
        assert not self.names.get(path), path
        self._take(path)
        self._touch(path)

    def space(self, path: str) -> Space:
        return Space("/", 4096, 100_000, 10_000)

    def run(self, argv: Sequence[str]) -> str:
        raise AssertionError(f"{argv}: nothing of the guest is run")
