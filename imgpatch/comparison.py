"""Every difference between the files of two machines: two listings in, differences out. All of it is pure.

Listings come in one order (`order_key`), and are gone through side by side, so that a million files that
are the same cost no memory. Contents are the same that lie at the same place, or have the same digest.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

MOST = 100_000
"""Differences that are kept; what is beyond is counted."""

AT_ONCE = 4096
"""Pairs whose digests are asked for together."""

READ_AT_ONCE = 8 << 20
READ_IN_ALL = 256 << 20
"""Bytes of contents that are read on each side to be shown."""


@dataclass(frozen=True, slots=True)
class Node:
    """One file, folder, link or anything else that has a path.

    Attributes:
        kind: `file`, `directory`, `link`, `block device`, `character device`, `pipe`, `socket`.
        size: bytes of a file; of anything else it says nothing.
        names: how many a file has (hard links).
        mtime: nanoseconds since 1970.
        target: of a link, as written in it.
        device: of a device, `major:minor` in hexadecimal.
        xattrs: sorted name, value pairs; ACLs and the SELinux label are among them.
        place: stands for bytes of the disks that are the same on both sides: files of one place have the
            same contents. None where nothing is proven.
        sha256: of a file's contents, where they were read.
    """

    path: str
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    names: int = 1
    mtime: int = 0
    target: str | None = None
    device: str | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    place: bytes | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing about a file that is another on the other side; None: it has none there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that is not the same on both sides; None: it is not there.

    Attributes:
        aspects: what differs besides contents, of a path that is on both sides.
        contents: contents differ, or are on one side only.
        original_of: an added file has the contents that this path had before.
        lines: what is shown of the contents: a diff, or a description.
    """

    path: str
    before: Node | None
    after: Node | None
    aspects: tuple[Aspect, ...] = ()
    contents: bool = False
    original_of: str | None = None
    lines: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`add`, `change` or `remove`."""
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "change"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, the most interesting first.

    Attributes:
        counts: of each kind, with what is not among the differences because there are too many.
    """

    differences: tuple[Difference, ...]
    counts: Mapping[str, int]

    @property
    def left_out(self) -> int:
        return sum(self.counts.values()) - len(self.differences)


class Side(Protocol):
    """The files of one machine."""

    def nodes(self) -> Iterator[Node]:
        """All of them, in the order of `order_key`."""

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """sha256 of files; what could not be read is left out."""

    def contents(self, nodes: Sequence[Node]) -> Mapping[str, bytes]:
        """Contents of files; what could not be read is left out."""


Describe = Callable[[str, bytes | None, bytes | None], Sequence[str]]
"""Path, contents before and after -> what is shown of the difference."""
Limit = Callable[[str, bool], int]
"""Path, and whether it is on both sides -> how many bytes it may have to be read and shown."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a comparison.

    Attributes:
        describe: what is shown of contents.
        limit: how large contents may be that are shown.
        under: this path, links followed, and what is below it.
        times: mtime counts as a difference.
    """

    describe: Describe
    limit: Limit
    under: str = "/"
    times: bool = False


def compare(before: Side, after: Side, wanted: Wanted) -> Comparison:
    """Every difference of two trees: the original, and what became of it."""
    found: list[Difference] = []
    counts: Counter[str] = Counter()
    nodes = before.nodes(), after.nodes()
    for difference in _settled(candidates(*nodes, times=wanted.times), before, after):
        counts[difference.kind] += 1
        if len(found) < MOST:
            found.append(difference)
    found = sorted(with_originals(found), key=lambda difference: _interest(difference.path))
    return Comparison(tuple(_described(found, before, after, wanted)), counts)


def order_key(path: str) -> bytes:
    """Sorts paths: bytewise, with two slashes after each, which is how links are told from their targets."""
    return path.encode("utf-8", "surrogateescape") + b"//"


def candidates(before: Iterable[Node], after: Iterable[Node], *, times: bool) -> Iterator[Difference]:
    """What differs or, as long as contents have not been compared, may differ."""
    for old, new in _pairs(iter(before), iter(after)):
        node = old or new
        if node is None:
            continue
        if old is None or new is None:
            yield Difference(node.path, old, new, contents=node.kind == "file")
            continue
        differ = old.kind == new.kind == "file" and not _same_place(old, new)
        found = tuple(aspects(old, new, times=times))
        if differ or found:
            yield Difference(node.path, old, new, found, contents=differ)


def _same_place(old: Node, new: Node) -> bool:
    return old.size == new.size and (old.size == 0 or (old.place is not None and old.place == new.place))


def _pairs(before: Iterator[Node], after: Iterator[Node]) -> Iterator[tuple[Node | None, Node | None]]:
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        left = None if old is None else order_key(old.path)
        right = None if new is None else order_key(new.path)
        if right is None or (left is not None and left < right):
            yield old, None
            old = next(before, None)
        elif left is None or right < left:
            yield None, new
            new = next(after, None)
        else:
            yield old, new
            old, new = next(before, None), next(after, None)


def aspects(old: Node, new: Node, *, times: bool = False) -> Iterator[Aspect]:
    """What two nodes of one path differ in besides contents."""
    rows: list[tuple[str, str | None, str | None]] = [("type", old.kind, new.kind)]
    if "link" not in (old.kind, new.kind):  # the mode of a link means nothing
        rows.append(("mode", f"{old.mode:04o}", f"{new.mode:04o}"))
    rows.append(("owner", f"{old.uid}:{old.gid}", f"{new.uid}:{new.gid}"))
    if old.kind == new.kind == "file":
        rows.append(("names", str(old.names), str(new.names)))
    rows += [("target", old.target, new.target), ("device", old.device, new.device)]
    if times:
        rows.append(("mtime", _seconds(old.mtime), _seconds(new.mtime)))
    was, now = dict(old.xattrs), dict(new.xattrs)
    rows += [(name, _shown(was.get(name)), _shown(now.get(name))) for name in sorted({*was, *now})]
    yield from (Aspect(name, a, b) for name, a, b in rows if a != b)


def _seconds(nanoseconds: int) -> str:
    whole, part = divmod(nanoseconds, 10**9)
    return f"{whole}.{part:09}"


def _shown(value: bytes | None) -> str | None:
    """An attribute as text, where it is text; a NUL ends SELinux labels."""
    if value is None:
        return None
    text = value.removesuffix(b"\0")
    return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else value.hex()


def _settled(found: Iterable[Difference], before: Side, after: Side) -> Iterator[Difference]:
    """With the digests of all files; without those whose contents turn out to be the same."""
    some: list[Difference] = []
    for difference in found:
        some.append(difference)
        if len(some) == AT_ONCE:
            yield from _settle(some, before, after)
            some = []
    yield from _settle(some, before, after)


def _settle(some: Sequence[Difference], before: Side, after: Side) -> Iterator[Difference]:
    was = before.digests([d.path for d in some if d.contents and d.before is not None])
    now = after.digests([d.path for d in some if d.contents and d.after is not None])
    for difference in some:
        old, new = _with_digest(difference.before, was), _with_digest(difference.after, now)
        same = old is not None and new is not None and old.sha256 is not None and old.sha256 == new.sha256
        contents = difference.contents and not same
        if contents or difference.aspects or old is None or new is None:
            yield replace(difference, before=old, after=new, contents=contents)


def _with_digest(node: Node | None, digests: Mapping[str, str]) -> Node | None:
    digest = None if node is None else digests.get(node.path)
    return node if node is None or digest is None else replace(node, sha256=digest)


def with_originals(differences: Sequence[Difference]) -> list[Difference]:
    """Added files that hold what another path held before name that, by preference of the same folder."""
    gone: dict[str, list[str]] = {}
    for difference in differences:
        node = difference.before
        if difference.contents and node is not None and node.sha256 is not None and node.size:
            gone.setdefault(node.sha256, []).append(difference.path)
    return [
        replace(d, original_of=_nearest(d.path, gone.get(d.after.sha256 or "", ())))
        if d.before is None and d.after is not None
        else d
        for d in differences
    ]


def _nearest(path: str, paths: Sequence[str]) -> str | None:
    folder, name = posixpath.split(path)
    return min(
        paths,
        key=lambda other: (posixpath.dirname(other) != folder, posixpath.basename(other) not in name),
        default=None,
    )


_WINDOWS = ("/C:", "/S:")
_CONFIGURATION = (
    "/etc",
    "/boot",
    "/efi",
    "/S:",
    "/C:/boot.ini",
    "/C:/Boot",
    "/C:/Windows/System32/config",
    "/C:/Windows/Panther",
)
_VOLATILE = (
    "/etc/ld.so.cache",
    "/etc/udev/hwdb.bin",
    "/run",
    "/tmp",  # noqa: S108  the guest's
    "/var/cache",
    "/var/log",
    "/var/spool",
    "/var/tmp",  # noqa: S108  the guest's
    "/C:/Windows/Logs",
    "/C:/Windows/Prefetch",
    "/C:/Windows/SoftwareDistribution",
    "/C:/Windows/Temp",
    "/C:/pagefile.sys",
    "/C:/swapfile.sys",
    "/C:/hiberfil.sys",
)


def _interest(path: str) -> tuple[int, bytes]:
    """Configuration first, then programs and data, and last what changes by itself."""
    rank = 2 if _is_in(path, _VOLATILE) else 0 if _is_in(path, _CONFIGURATION) else 1
    return rank, path.encode("utf-8", "surrogateescape")


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _is_in(path: str, folders: Iterable[str]) -> bool:
    if path.startswith(_WINDOWS):
        return any(is_below(path.lower(), folder.lower()) for folder in folders)
    return any(is_below(path, folder) for folder in folders)


def _described(
    differences: Iterable[Difference], before: Side, after: Side, wanted: Wanted
) -> Iterator[Difference]:
    """Reads contents in the order in which they are shown, several files at once, up to a total."""
    some: list[Difference] = []
    chosen: list[Difference] = []
    size = total = 0
    for difference in differences:
        some.append(difference)
        needed = _needed(difference, wanted.limit)
        if needed is not None and total + needed <= READ_IN_ALL:
            chosen.append(difference)
            size += needed
            total += needed
        if size >= READ_AT_ONCE or len(some) >= AT_ONCE:
            yield from _shown_together(some, _contents(chosen, before, after), wanted.describe)
            some, chosen, size = [], [], 0
    yield from _shown_together(some, _contents(chosen, before, after), wanted.describe)


def _needed(difference: Difference, limit: Limit) -> int | None:
    """Bytes to read on the larger side; None: it is not shown."""
    nodes = _files(difference)
    if not difference.contents or difference.original_of is not None or not nodes:
        return None
    size = max(node.size for node in nodes)
    return size if size <= limit(difference.path, difference.kind == "change") else None


def _files(difference: Difference) -> list[Node]:
    return [n for n in (difference.before, difference.after) if n is not None and n.kind == "file"]


_Contents = Mapping[str, tuple[bytes | None, bytes | None]]


def _contents(chosen: Sequence[Difference], before: Side, after: Side) -> _Contents:
    """Path -> contents before and after, of what could be read whole."""
    was = before.contents([d.before for d in chosen if d.before is not None])
    now = after.contents([d.after for d in chosen if d.after is not None])
    return {
        d.path: (was.get(d.path), now.get(d.path))
        for d in chosen
        if all(n is None or n.path in found for n, found in ((d.before, was), (d.after, now)))
    }


def _shown_together(
    some: Iterable[Difference], contents: _Contents, describe: Describe
) -> Iterator[Difference]:
    for difference in some:
        if difference.path in contents:
            lines = tuple(describe(difference.path, *contents[difference.path]))
            yield replace(difference, lines=lines)
        else:
            yield difference
