"""OVA files: a tar with an OVF descriptor, its disks and mostly a manifest; read where it lies."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping

from imgpatch.errors import DamagedError, FormatError, RefusedError
from imgpatch.formats import ova_manifest, ovf, tar
from imgpatch.formats.ova_manifest import Manifest
from imgpatch.formats.ovf import Appliance
from imgpatch.formats.tar import Kind, Member
from imgpatch.formats.xmltext import MAX_BYTES
from imgpatch.images.disk import Disk

MAX_MEMBERS = 1000

Progress = Callable[[float], None]

_PIECE = 1 << 20
_GET_AGAIN = "get the OVA again, whole"
_PACK_AGAIN = "unpack it, and pack it again with the .ovf first: tar -cf NEW.ova NAME.ovf NAME.mf DISK..."


class Ova:
    """An open OVA.

    Attributes:
        machine: what its descriptor says.
        disks: the disk files, in the machine's order, as `machine.disks` has them.
        members: all there is, in the archive's order.
        descriptor: the .ovf among them.
        manifest: None where there is none.
        signed: whether a certificate (.cert) is in it, which no changed OVA agrees with.
        notes: what is odd, and was passed over.
    """

    def __init__(self, file: Disk) -> None:
        self._file = file
        self.members = tuple(tar.members(file.read, file.size, MAX_MEMBERS))
        self._names = frozenset(member.name for member in self.members)
        self.descriptor = self._descriptor()
        self.machine: Appliance = ovf.parse(self.read(self.descriptor))
        self.disks = tuple(self._disk_file(disk.file) for disk in self.machine.disks)
        self.manifest_file = self._manifest_file()
        self.manifest: Manifest | None = None
        if self.manifest_file is not None:
            self.manifest = ova_manifest.parse(self.read(self.manifest_file))
        self.signed = any(member.name.lower().endswith(".cert") for member in self.members)
        self.notes = self.machine.notes + tuple(self._oddities())

    def read(self, member: Member) -> bytes:
        """All of a small member."""
        return self._file.read(member.offset, member.size)

    def content(self, member: Member) -> Disk:
        """The bytes of a member, as a file of their own."""
        return Part(self._file, member.offset, member.size)

    def verify(self, progress: Progress | None = None) -> tuple[str, ...]:
        """Adds up every file the manifest names; gives what could not be checked.

        Raises:
            RefusedError: a file is not what the manifest says.
        """
        if self.manifest is None:
            return ("the OVA has no manifest, so nothing tells whether its files are whole",)
        members = {member.name: member for member in self.members if member.kind is Kind.FILE}
        algorithms: dict[str, set[str]] = {}
        for entry in self.manifest.sums:
            if entry.name in members:
                algorithms.setdefault(entry.name, set()).add(entry.algorithm)
        meter = Meter(sum(members[name].size for name in algorithms), progress)
        for name, wanted in algorithms.items():
            found = _digests(self.content(members[name]), wanted, meter)
            for entry in self.manifest.sums:
                if entry.name == name and found[entry.algorithm] != entry.digest:
                    raise DamagedError(
                        f"{name} in the OVA adds up to {entry.algorithm} {found[entry.algorithm]}, "
                        f"and its manifest says {entry.digest}",
                        hint=_GET_AGAIN,
                        rule="R-09",
                    )
        return tuple(self._not_summed(self.manifest, members))

    def _not_summed(self, manifest: Manifest, members: Collection[str]) -> Iterable[str]:
        listed = {entry.name for entry in manifest.sums}
        for member in (self.descriptor, *self.disks):
            if member.name not in listed:
                yield f"the manifest of the OVA has no sum for {member.name}"
        for name in sorted(listed - set(members))[:10]:
            yield f"the manifest of the OVA has a sum for {name}, which is no file in it"
        for line in manifest.unread[:10]:
            yield f"a line of the OVA's manifest is no sum: {line[:80]}"

    def _descriptor(self) -> Member:
        found = [member for member in self.members if member.name.lower().endswith(".ovf")]
        # macOS's tar puts the attributes of a file before it, in one with `._` before its name.
        found = [member for member in found if not posixpath.basename(member.name).startswith("._")]
        top = [member for member in found if "/" not in member.name]
        if len(top) != 1:
            names = ", ".join(member.name for member in found[:10]) or "none"
            raise FormatError(
                f"exactly one .ovf was wanted at the top of the archive, and found: {names}",
                hint=_PACK_AGAIN,
                rule="R-01",
            )
        return self._plain(top[0].name, MAX_BYTES)

    def _manifest_file(self) -> Member | None:
        """`NAME.mf` beside `NAME.ovf`, or the only one there is."""
        names = sorted(name for name in self._names if "/" not in name and name.lower().endswith(".mf"))
        stem = self.descriptor.name[: -len(".ovf")]
        own = [name for name in names if name[: -len(".mf")] == stem]
        chosen = own if own else names if len(names) == 1 else []
        return next((self._plain(name, ova_manifest.MAX_BYTES) for name in chosen), None)

    def _disk_file(self, file: ovf.File) -> Member:
        name = next((name for name in file.names if name in self._names), None)
        if name is not None:
            return self._plain(name)
        chunks = [
            member.name for member in self.members if any(_is_chunk(member.name, name) for name in file.names)
        ]
        if chunks:
            raise FormatError(
                f"the disk file {file.href} is split into {len(chunks)} chunks ({chunks[0]} and so on), "
                "and one file was wanted",
                hint="export the machine again as one OVA, with each disk in one file of its own",
                rule="R-08",
            )
        raise FormatError(f"the disk file {file.href} is not in the archive", hint=_GET_AGAIN)

    def _plain(self, name: str, limit: int | None = None) -> Member:
        """The one regular file of a name."""
        found = [member for member in self.members if member.name == name]
        if len(found) > 1:
            raise FormatError(
                f"{name} is in the archive {len(found)} times, and once was wanted", hint=_PACK_AGAIN
            )
        member = found[0]
        if member.kind is not Kind.FILE:
            raise FormatError(
                f"{name} in the archive is a {member.kind}, and a regular file was wanted", hint=_PACK_AGAIN
            )
        if limit is not None and member.size > limit:
            raise FormatError(f"{name} has {member.size} bytes, and {limit} are the most that is read")
        return member

    def _oddities(self) -> Iterable[str]:
        if self.members[0] is not self.descriptor:
            yield (
                f"{self.members[0].name} is the first file of the OVA, and the .ovf was wanted there "
                "(DSP0243 5.3)"
            )
        if self.members[-1].end + tar.BLOCK > self._file.size:
            yield "the OVA has no end mark: if it was cut short there, what followed is not missed"
        for disk, member in zip(self.machine.disks, self.disks, strict=True):
            if disk.file.size not in (None, member.size):
                yield f"{member.name} has {member.size} bytes, and the OVF says {disk.file.size}"
        for member in self.members:
            if member.kind is not Kind.FILE or is_unsafe(member.name):
                yield f"{member.name} in the OVA ({member.kind}) is none of its disks, and passed over"
        if self.signed:
            yield "the OVA is signed (.cert): whatever is changed in it, the signature no longer agrees"


class Part:
    """A part of a file, as a file of its own."""

    def __init__(self, file: Disk, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        return self._file.read(self._offset + offset, max(min(length, self.size - offset), 0))


class Meter:
    """Turns bytes done into fractions of a whole."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done / self._total, 1.0) if self._total else 1.0)


def open_ova(file: Disk) -> Ova:
    """Finds out what is in an OVA; of its disks nothing is read.

    Raises:
        FormatError: it is none, is cut short, or holds what cannot be treated.
    """
    return Ova(file)


def pieces(content: Disk) -> Iterable[bytes]:
    """All bytes of a file, a mebibyte at a time.

    Raises:
        RefusedError: it became shorter meanwhile.
    """
    at = 0
    while at < content.size:
        piece = content.read(at, min(_PIECE, content.size - at))
        if not piece:
            raise RefusedError(
                f"the file ended at {at} bytes, and {content.size} were there before",
                hint="let nothing else write to it, and try again",
            )
        at += len(piece)
        yield piece


def is_unsafe(name: str) -> bool:
    """Whether a name could lead out of the folder the archive is unpacked in."""
    return not name or name.startswith("/") or "\\" in name or ".." in name.split("/") or "\0" in name


def _is_chunk(name: str, whole: str) -> bool:
    """`disk1.vmdk.000000002` (DSP0243 7.1)."""
    number = name.removeprefix(f"{whole}.")
    return number != name and len(number) == 9 and number.isdecimal()


def _digests(content: Disk, algorithms: Collection[str], meter: Meter) -> Mapping[str, str]:
    digests = {name: hashlib.new(name.lower(), usedforsecurity=False) for name in algorithms}
    for piece in pieces(content):
        for digest in digests.values():
            digest.update(piece)
        meter.add(len(piece))
    return {name: digest.hexdigest() for name, digest in digests.items()}
