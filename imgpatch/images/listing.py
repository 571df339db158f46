"""Everything about every file of an open guest, in a handful of calls: programs of the appliance list it.

All lists are in one order, so that they can be gone through side by side as they come out of the appliance.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO, Generic, TypeVar, cast

from imgpatch.comparison import Node, is_below, order_key
from imgpatch.errors import FormatError, UsageError
from imgpatch.images import ntfs
from imgpatch.images.appliance import INLINE_LIMIT
from imgpatch.images.places import Extent, Read, parse_extents, place, segments, trusted
from imgpatch.images.scripts import Output, Scripts, records
from imgpatch.images.session import Session
from imgpatch.ranges import Ranges, Segments
from imgpatch.storage import Device

HOLES_FROM = 1 << 30
"""Bytes from which a file with holes is not read to its end: it may be terabytes of zeros (lastlog)."""

_KINDS = {
    b"f": "file",
    b"d": "directory",
    b"l": "link",
    b"b": "block device",
    b"c": "character device",
    b"p": "pipe",
    b"s": "socket",
}

# A record: `f 644 0 0 123 8 1 1700000000.0000000000/./etc/fstab//`, with a link's target at its end. No path
# has two slashes in a row, so to sort by what follows the first slash is to sort by `order_key`.
_FIND = (
    r"find {root} -printf '%y %m %U %G %s %b %n %T@/%p//%l\0' 2> $t/errors | sort -z -t/ -k2 -T $t > $t/list"
)
_ALL = "sed -z 's,^[^/]*/,,; s,//.*$,,' $t/list | xargs -0 -r "
_FILES = r"sed -z -n '/\n/d; s,^f[^/]*/\(.*\)//$,\1,p' $t/list | xargs -0 -r "
_DEVICES = r"sed -z -n 's,^[bc][^/]*/\(.*\)//$,\1,p' $t/list | xargs -0 -r "
_XATTRS = "getfattr -h -P -e hex --absolute-names "
_ARCHIVE = "tar -c --no-recursion --hard-dereference --null --verbatim-files-from"
_BLOCK = 512
_NTFS = {"security": ntfs.SECURITY, "flags": ntfs.FLAGS}

Item = TypeVar("Item")
Pairs = Iterator[tuple[str, Item]]
"""Paths with what is known of them, in the order in which all paths come."""


class Listing:
    """The files of an open guest; see `comparison.Side`.

    Attributes:
        segments: where its devices lie on its disks, as far as that is known.
        messages: what could not be listed.
        exists: whether the path that is listed is there.
    """

    def __init__(self, session: Session, changed: Sequence[Ranges], read: Read, under: str = "/") -> None:
        """Takes an open guest.

        Args:
            session: the guest.
            changed: where the disks differ from those of the other machine; one fewer where it has fewer.
            read: bytes of the guest's disks as their files have them, before any journal was replayed.
            under: list this path and what is below it; links in it are followed.
        """
        self._appliance = session.appliance
        self._scripts = Scripts(session.appliance)
        self._changed = changed
        real = session.guest.resolve(under)
        if not real.isprintable():
            raise UsageError(f"--under {real!r}: such a name cannot be asked for; give the folder it is in")
        self._root = _relative(real).decode()
        self.exists = session.guest.tree.lstat(real) is not None
        storage = session.guest.storage
        self.segments: Mapping[Device, Segments] = segments(session.appliance, storage)
        self._mounts = sorted(storage.mounts.items(), key=lambda mount: -len(mount[0]))
        self._trusted = {
            point: parts
            for point, device in self._mounts
            if (parts := self.segments.get(device)) is not None and trusted(device, parts, read)
        }
        self._holes: set[str] = set()
        self.messages: list[str] = []

    def nodes(self) -> Iterator[Node]:
        if not self.exists:
            return
        commands = {
            "failed": "wc -l < $t/errors",
            "list": "cat $t/list",
            "xattrs": f"{_ALL} {_XATTRS} -d -m -",
            "devices": rf"{_DEVICES} stat --printf '%t:%T/%n//\0'",
        }
        if self._trusted:
            commands["extents"] = f"{_FILES} filefrag -e"
        if any(device.fstype == "ntfs" for _, device in self._mounts):
            commands |= {name: f"{_ALL} {_XATTRS} -n {attribute}" for name, attribute in _NTFS.items()}
        found = self._scripts.run(commands, first=_FIND.format(root=shlex.quote(self._root)))
        failed = found["failed"].read().decode("ascii").strip()
        if failed != "0":
            self.messages.append(f"{failed} paths could not be listed: the file system is damaged there")
        attributes = [_along_lines(found, name, _attributes) for name in ("xattrs", *_NTFS)]
        extents = _along_lines(found, "extents", _extents)
        devices = _Along(_devices(records(found["devices"], b"\0")))
        for record in records(found["list"], b"\0"):
            node, blocks = _node(record)
            key = order_key(node.path)
            if node.kind == "file" and node.size >= HOLES_FROM and blocks * _BLOCK < node.size:
                self._holes.add(node.path)
            yield replace(
                node,
                xattrs=tuple(sorted(pair for along in attributes for pair in along.at(key) or ())),
                device=devices.at(key),
                place=self._place(node, extents.at(key)),
            )

    def _place(self, node: Node, extents: Sequence[Extent] | None) -> bytes | None:
        if node.kind != "file" or extents is None:
            return None
        point = next((p for p, _ in self._mounts if is_below(node.path, p)), "")
        parts = self._trusted.get(point)
        return None if parts is None else place(extents, parts, self._changed)

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        names = [_relative(path) for path in paths if path not in self._holes]
        if not names:
            return {}
        sums = self._scripts.run({"sums": "xargs -0 -r sha256sum -z < $t/names"}, names=names)["sums"]
        rows = (record.partition(b"  ") for record in records(sums, b"\0"))
        return {_path(name): digest.decode("ascii") for digest, _, name in rows}

    def contents(self, nodes: Sequence[Node]) -> Mapping[str, bytes]:
        """Large files one by one, the others as one archive."""
        large = [n for n in nodes if n.size > INLINE_LIMIT and n.path.isprintable()]
        found = {node.path: self._appliance.read(node.path, node.size) for node in large}
        names = [_relative(node.path) for node in nodes if node.path not in found]
        if not names:
            return found
        archived = self._scripts.run({"archive": f"{_ARCHIVE} -T $t/names"}, names=names)["archive"]
        with tarfile.open(
            fileobj=cast("IO[bytes]", archived), mode="r|", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[posixpath.join("/", posixpath.normpath(member.name))] = content.read()
        return found


class _Along(Generic[Item]):
    """What is known of some paths, asked for in the order in which all paths come."""

    def __init__(self, items: Pairs[Item]) -> None:
        self._items = ((order_key(path), item) for path, item in items)
        self._next = next(self._items, None)

    def at(self, key: bytes) -> Item | None:
        """What is known of a path; it must not come before one asked for earlier."""
        while self._next is not None and self._next[0] < key:
            self._next = next(self._items, None)
        return self._next[1] if self._next is not None and self._next[0] == key else None


def _along_lines(
    found: Mapping[str, Output], name: str, parse: Callable[[Iterator[bytes]], Pairs[Item]]
) -> _Along[Item]:
    return _Along(parse(records(found[name], b"\n")) if name in found else iter(()))


def _extents(lines: Iterator[bytes]) -> Pairs[Sequence[Extent] | None]:
    return ((_path(path), extents) for path, extents in parse_extents(lines))


def _node(record: bytes) -> tuple[Node, int]:
    """The node, and the blocks of 512 bytes it has."""
    head, _, rest = record.partition(b"/")
    path, _, target = rest.partition(b"//")
    kind, mode, uid, gid, size, blocks, names, mtime = head.split(b" ")
    seconds, _, part = mtime.partition(b".")
    word = _KINDS.get(kind, "unknown")
    node = Node(
        path=_path(path),
        kind=word,
        mode=int(mode, 8),
        uid=int(uid),
        gid=int(gid),
        size=int(size) if word == "file" else 0,
        names=int(names),
        mtime=int(seconds) * 10**9 + int(part[:9] or 0),
        target=target.decode("utf-8", "surrogateescape") if word == "link" else None,
    )
    return node, int(blocks)


def _attributes(lines: Iterator[bytes]) -> Pairs[tuple[tuple[str, bytes], ...]]:
    """Paths and extended attributes as getfattr(1) prints them, in hexadecimal."""
    path: str | None = None
    pairs: list[tuple[str, bytes]] = []
    for line in lines:
        if line.startswith(b"# file: "):
            path, pairs = _path(_unescaped(line.removeprefix(b"# file: "))), []
        elif line:
            name, _, value = line.partition(b"=")
            attribute = _unescaped(name).decode("utf-8", "surrogateescape")
            pairs.append((attribute, _value(attribute, bytes.fromhex(value.decode("ascii")[2:]))))
        elif path is not None:
            yield path, tuple(pairs)


def _value(attribute: str, value: bytes) -> bytes:
    if attribute in _NTFS.values():
        with contextlib.suppress(FormatError):  # a damaged one is compared as it is
            return ntfs.trimmed(attribute, value)
    return value


def _unescaped(name: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), name)


def _devices(found: Iterator[bytes]) -> Pairs[str]:
    for record in found:
        numbers, _, path = record.partition(b"/")
        yield _path(path.removesuffix(b"//")), numbers.decode("ascii")


def _path(name: bytes) -> str:
    """`./etc/fstab` -> `/etc/fstab`."""
    return name.removeprefix(b".").decode("utf-8", "surrogateescape") or "/"


def _relative(path: str) -> bytes:
    return f".{path.rstrip('/')}".encode("utf-8", "surrogateescape")
