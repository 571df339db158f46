"""An initramfs: cpio archives one after another, each plain or compressed, with padding between them.

Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c: microcode comes first and
uncompressed; every part is unpacked over the ones before it, so that the last file of a name counts.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from imgpatch.errors import FormatError
from imgpatch.formats import cpio
from imgpatch.formats.compression import Compression, Unpacked, detect, pack
from imgpatch.formats.cpio import LIMITS, Entry, Limits, Source
from imgpatch.formats.modindex import is_module, module_name

MAX_LINKS = 40
MAX_SCRIPT = 256 << 10
"""Bytes of a script or of configuration; an `init` that is a program is larger and is not kept."""

_NULS = re.compile(rb"\0*")
_CONFIGURATION = re.compile(
    r"(?:\./|/)?(?:"
    r"init|squash/[^/]+\.sh"  # what starts everything
    r"|conf/(?:modules|initramfs\.conf|conf\.d/[^/]+)"  # initramfs-tools
    r"|config/[^/]+\.sh"  # mkinitrd of SUSE
    r"|etc/modprobe\.conf|(?:etc|lib|usr/lib|run)/modprobe\.d/[^/]+"
    r")"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the file: a plain archive, or what one compressed part unpacks to.

    Attributes:
        start: where it begins in the file, padding before it not counted.
        end: where it ends in the file.
        entries: of all archives in it, with their trailers.
        size: bytes, unpacked.
    """

    start: int
    end: int
    compression: Compression
    entries: tuple[Entry, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Initramfs:
    """What is in an initramfs.

    Attributes:
        files: path without a leading '/' -> the entry that counts once all segments are unpacked.
    """

    segments: tuple[Segment, ...]
    files: Mapping[str, Entry] = field(repr=False)

    def resolve(self, path: str) -> str:
        """The path with the links in it followed, as far as there are entries; `lib/x` -> `usr/lib/x`."""
        todo, done, links = path.split("/"), "", 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = posixpath.join(done, part)
            entry = self.files.get(here)
            if entry is None or not entry.is_link:
                done = here
                continue
            links += 1
            if links > MAX_LINKS:
                raise FormatError(f"{path}: too many levels of links in the initramfs")
            target = (entry.data or b"").decode("utf-8", "surrogateescape")
            done = "" if target.startswith("/") else done
            todo = target.split("/") + todo
        return done

    def data(self, path: str) -> bytes | None:
        """The contents of a file that is kept when reading (`_wanted`); None where it is not there."""
        entry = self.files.get(self.resolve(path))
        return None if entry is None or not entry.is_file else entry.data

    def modules(self, release: str) -> dict[str, str]:
        """The modules of a kernel in it: name -> path.

        Before Red Hat Enterprise Linux 6, mkinitrd put them straight into `lib`.
        """
        folder = f"{self.resolve(f'lib/modules/{release}')}/"
        found = {module_name(p): p for p in self.files if p.startswith(folder) and is_module(p)}
        return found or {
            module_name(p): p for p in self.files if posixpath.dirname(p) == "lib" and is_module(p)
        }


def read(data: bytes) -> Initramfs:
    """Reads what is in an initramfs; the same bytes are read only once.

    Raises:
        FormatError: some part is damaged, cut off, in no known format or outside the limits.
    """
    return _read_once(_Content(data))


class _Content:
    """Bytes that compare by their digest, so that the cache of what was read need not hold them."""

    __slots__ = ("data", "digest")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.digest = hashlib.sha256(data).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=32)
def _read_once(content: _Content) -> Initramfs:
    data, content.data = content.data, b""
    return parse(data)


def parse(data: bytes, limits: Limits = LIMITS) -> Initramfs:
    """`read` without the cache."""
    segments: list[Segment] = []
    position = _skip_nuls(data, 0)
    left = limits
    while position < len(data):
        segment = _read_segment(data, position, left)
        segments.append(segment)
        left = Limits(
            unpacked=left.unpacked - segment.size,
            entries=left.entries - len(segment.entries),
            kept=left.kept - sum(len(entry.data or b"") for entry in segment.entries),
        )
        position = _skip_nuls(data, segment.end)
    if not segments:
        raise FormatError("the initramfs is empty")
    files = {
        entry.path: entry
        for segment in segments
        for entry in segment.entries
        if entry.name != cpio.TRAILER and entry.path
    }
    return Initramfs(tuple(segments), files)


def _skip_nuls(data: bytes, position: int) -> int:
    padding = _NULS.match(data, position)
    return position if padding is None else padding.end()


def _wanted(name: str, size: int) -> bool:
    """What the rules read: module indexes that are text, and the small files that say what is loaded."""
    base = posixpath.basename(name)
    if base.startswith("modules.") and not base.endswith(".bin"):
        return True
    return size <= MAX_SCRIPT and _CONFIGURATION.fullmatch(name) is not None


def _read_segment(data: bytes, start: int, limits: Limits) -> Segment:
    kind = Compression.NONE if data[start : start + 1] == b"0" else detect(data[start : start + 8])
    if kind is None:
        raise FormatError(
            f"at byte {start} there is neither an archive nor a compression the kernel knows: "
            f"found {data[start : start + 6]!r}"
        )
    if kind is Compression.NONE:
        source = Source([memoryview(data)[start:]], limits.unpacked)
        entries = tuple(cpio.read_archive(source, _wanted, limits))
        return Segment(start, start + source.position, kind, entries, source.position)
    unpacked = Unpacked(data, start, kind)
    source = Source(unpacked, limits.unpacked)
    entries = tuple(_archives(source, limits))
    return Segment(start, unpacked.end, kind, entries, source.position)


def _archives(source: Source, limits: Limits) -> Iterator[Entry]:
    """All archives in a compressed part; nothing but padding may stand between and after them."""
    left = limits.entries
    while True:
        for entry in cpio.read_archive(source, _wanted, replace(limits, entries=left)):
            left -= 1
            yield entry
        source.skip_nuls()
        if source.peek() is None:
            return


def rewrite(data: bytes, files: Mapping[str, bytes]) -> bytes:
    """Puts files into the last segment: in place of an entry of the same path, else before its trailer.

    The segment is packed anew with the compression it has; everything else keeps its bytes. Directories
    that are missing come with the files; nothing is written for one that exists in whatever form, since
    an entry for it would take the place of a link (`lib`).

    Args:
        data: the whole initramfs.
        files: path, which no link leads to, -> contents; they are root's, mode 0644.

    Raises:
        FormatError: the initramfs cannot be read or its last segment cannot be changed.
    """
    archive = read(data)
    last = archive.segments[-1]
    edits = _edits(archive, last, files, lambda: _pieces(data, last))
    out = io.BytesIO()  # getvalue() makes no copy, where joining would hold it all twice
    out.write(memoryview(data)[: last.start])
    for piece in pack(_edited(_pieces(data, last), edits), last.compression):
        out.write(piece)
    out.write(memoryview(data)[last.end :])
    return out.getvalue()


def _pieces(data: bytes, segment: Segment) -> Iterable[bytes]:
    """What a segment unpacks to."""
    if segment.compression is Compression.NONE:
        return (data[segment.start : segment.end],)
    return Unpacked(data, segment.start, segment.compression)


@dataclass(frozen=True, slots=True)
class _Splice:
    """New bytes for `start` to `end` of a segment's unpacked bytes."""

    start: int
    end: int
    data: bytes


def _edits(
    archive: Initramfs,
    last: Segment,
    files: Mapping[str, bytes],
    unpacked: Callable[[], Iterable[bytes]],
) -> list[_Splice]:
    places = {entry.path: entry for entry in last.entries if entry.name != cpio.TRAILER}
    trailer = next(entry for entry in reversed(last.entries) if entry.name == cpio.TRAILER)
    mtime = max((entry.mtime for entry in last.entries), default=0)
    ino = max((entry.ino for entry in last.entries), default=0)
    prefix = _prefix(last)
    splices, added = [], []
    for path, data in files.items():
        old = places.get(path)
        if old is None:
            ino = (ino + 1) & 0xFFFFFFFF
            added.append(_file(prefix + path, data, 0o644, mtime, ino, trailer.checked))
            continue
        if not old.is_file:
            raise FormatError(f"{path} in the initramfs is no file and cannot be replaced")
        own = old.ino
        if old.nlink > 1:
            ino = own = (ino + 1) & 0xFFFFFFFF
        mode = stat.S_IMODE(old.mode)
        entry = _file(old.name, data, mode, old.mtime, own, old.checked)
        splices.append(_Splice(old.start, old.end, entry))
    splices += _inherited(last, files, unpacked)
    directories = [
        cpio.make_entry(
            prefix + path,
            b"",
            mode=stat.S_IFDIR | 0o755,
            mtime=mtime,
            ino=(ino + number) & 0xFFFFFFFF,
            nlink=2,
            checked=trailer.checked,
        )
        for number, path in enumerate(_missing_directories(archive, files), 1)
    ]
    splices.append(_Splice(trailer.start, trailer.start, b"".join(directories + added)))
    return sorted(splices, key=lambda splice: splice.start)


def _inherited(
    last: Segment, files: Mapping[str, bytes], unpacked: Callable[[], Iterable[bytes]]
) -> Iterator[_Splice]:
    """Where a name that goes its own way had the contents of all its links, the last of them gets them.

    dracut links files that are equal; of linked names cpio gives the contents to one alone.
    """
    for old in last.entries:
        if old.nlink < 2 or not old.is_file or not old.size or old.path not in files:
            continue
        same = [e for e in last.entries if (e.ino, e.device) == (old.ino, old.device) and e.is_file]
        others = [entry for entry in same if entry.path not in files]
        if others and not any(entry.size for entry in others):
            heir = others[-1]
            held = cpio.contents(_raw(unpacked(), old))
            yield _Splice(heir.start, heir.end, cpio.with_contents(_raw(unpacked(), heir), held))


def _raw(pieces: Iterable[bytes], entry: Entry) -> bytes:
    """The bytes of an entry, from the unpacked bytes of its segment."""
    found, position = [], 0
    for piece in pieces:
        found.append(piece[max(entry.start - position, 0) : max(entry.end - position, 0)])
        position += len(piece)
    return b"".join(found)


def _file(name: str, data: bytes, mode: int, mtime: int, ino: int, checked: bool) -> bytes:
    return cpio.make_entry(name, data, mode=stat.S_IFREG | mode, mtime=mtime, ino=ino, checked=checked)


def _prefix(segment: Segment) -> str:
    """How the names in this segment begin: most tools write `usr/lib`, some `./usr/lib`."""
    names = [entry.name for entry in segment.entries if entry.name not in (cpio.TRAILER, ".", "./", "/")]
    return next((p for p in ("./", "/") if names and names[-1].startswith(p)), "")


def _missing_directories(archive: Initramfs, paths: Iterable[str]) -> list[str]:
    """Parents first: the kernel's unpacker makes none."""
    missing = set()
    for path in paths:
        parent = posixpath.dirname(path)
        while parent and parent not in archive.files:
            missing.add(parent)
            parent = posixpath.dirname(parent)
    return sorted(missing)


def _edited(pieces: Iterable[bytes], splices: list[_Splice]) -> Iterator[bytes]:
    """The pieces with the splices, sorted and apart from each other, in them."""
    position = 0
    todo = list(splices)
    skip_to = 0
    for piece in pieces:
        end = position + len(piece)
        at = max(position, skip_to)
        while todo and todo[0].start < end:
            splice = todo.pop(0)
            yield piece[at - position : splice.start - position]
            yield splice.data
            at = skip_to = splice.end
        yield piece[max(at - position, 0) :]
        position = end
