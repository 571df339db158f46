"""A guest in an appliance: its file systems mounted by its own fstab, its files read and written.

with open_session(images, settings, writable=False) as session:
    session.guest      a Guest
    session.files      what commit.py writes through
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import stat as stat_bits
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgpatch.files import LABEL, Details, Space
from imgpatch.guest import Guest, Kind, Stat
from imgpatch.images import ntfs
from imgpatch.images.appliance import Appliance, ApplianceError, Drive, Settings, launch, scratch_file
from imgpatch.images.layout import find_devices, incomplete_groups
from imgpatch.images.mounting import Mounted, mount_guest
from imgpatch.images.windows_volumes import SHUT_DOWN, Opening
from imgpatch.progress import Progress
from imgpatch.storage import Storage

ETC_LIMIT_KIB = 64 * 1024
ETC_FILES = 50_000
"""/etc is fetched as one archive, unless it is larger than any real one."""

ACL = "system.posix_acl_access"
FOLDING = frozenset({"vfat", "msdos", "ntfs", "exfat"})
NO_ATTRIBUTES = frozenset({"vfat", "msdos", "exfat"})
NO_INODES = frozenset({"vfat", "msdos", "exfat", "btrfs", "ntfs"})


@dataclass(frozen=True, slots=True)
class Session:
    """An open guest.

    Attributes:
        messages: what the user should know of the opening: a journal replayed, a volume not mounted.
    """

    guest: Guest
    files: ApplianceFiles
    appliance: Appliance
    messages: tuple[str, ...]


@contextlib.contextmanager
def open_session(
    drives: Sequence[Drive],
    sizes: Sequence[int],
    settings: Settings,
    progress: Progress,
    opening: Opening = SHUT_DOWN,
) -> Iterator[Session]:
    """Launches once, finds the root and mounts what the guest's fstab names.

    Args:
        drives: the disks of the machine, in order.
        sizes: their virtual sizes in bytes.
        settings: how this machine starts appliances.
        progress: told how far the launch is.
        opening: what may be lost of a Windows that was not shut down.

    Raises:
        UnsupportedGuestError: no root, several, or an encrypted one.
        ApplianceError: libguestfs could not do it.
    """
    with launch(drives, settings, progress) as appliance:
        progress.step("finding the file systems")
        disks, found = find_devices(appliance, sizes)
        mounted = mount_guest(appliance, disks, found, opening)
        devices = mounted.devices
        mounts = {point: devices[name] for point, name in mounted.points.items()}
        groups = incomplete_groups(appliance, devices)
        storage = Storage(disks, tuple(devices.values()), mounts, groups)
        types = {point: device.fstype or "" for point, device in storage.mounts.items()}
        tree = ApplianceTree(appliance, types)
        yield Session(Guest(tree, storage), ApplianceFiles(appliance, types), appliance, mounted.messages)
        _leave(appliance, mounted)


def _leave(appliance: Appliance, mounted: Mounted) -> None:
    if mounted.points:
        appliance.umount_all()


class ApplianceTree:
    """Files of the mounted guest; each is asked for once."""

    def __init__(self, appliance: Appliance, types: Mapping[str, str]) -> None:
        self._appliance = appliance
        self._types = types
        self._stats: dict[str, Stat | None] = {}
        self._names: dict[str, Sequence[str]] = {}
        self._contents: dict[str, bytes] = {}
        if "/" in types and _is_usual(appliance, "etc"):
            self._fetch("/etc")

    def lstat(self, path: str) -> Stat | None:
        if path not in self._stats:
            parent, name = posixpath.split(path)
            known = self._names.get(parent)
            missing = name != "" and known is not None and name not in known
            self._stats[path] = None if missing else _lstat(self._appliance, path)
        return self._stats[path]

    def listdir(self, path: str) -> Sequence[str]:
        if path not in self._names:
            stat = self.lstat(path)
            is_directory = stat is not None and stat.kind is Kind.DIRECTORY
            self._names[path] = _listdir(self._appliance, path) if is_directory else ()
        return self._names[path]

    def read(self, path: str) -> bytes:
        if path not in self._contents:
            stat = self.lstat(path)
            self._contents[path] = self._appliance.read(path, stat.size if stat else 0)
        return self._contents[path]

    def head(self, path: str, size: int) -> bytes:
        data: bytes = self._appliance.pread(path, size, 0)
        return data

    def folds_case(self, path: str) -> bool:
        return _fstype(path, self._types) in FOLDING

    def _fetch(self, folder: str) -> None:
        """Takes a whole folder in one call; a file read alone costs 0.1 s under emulation."""
        with scratch_file() as (file, name):
            self._appliance.tar_out(folder, name)
            data = file.read()
            self._appliance.received += len(data)
        names: dict[str, list[str]] = {}
        with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                path = posixpath.normpath(posixpath.join(folder, member.name))
                self._stats[path] = _tar_stat(member)
                if member.isdir():
                    names.setdefault(path, [])
                if path != folder:
                    names.setdefault(posixpath.dirname(path), []).append(posixpath.basename(path))
                content = archive.extractfile(member) if member.isreg() or member.islnk() else None
                if content is not None:
                    self._contents[path] = content.read()
                    self._stats[path] = _sized(self._stats[path], len(self._contents[path]))
        self._names |= {path: tuple(sorted(children)) for path, children in names.items()}


class ApplianceFiles:
    """Writes for commit.py; see `files.Files`."""

    def __init__(self, appliance: Appliance, types: Mapping[str, str]) -> None:
        self._appliance = appliance
        self._types = types
        self._folders = {"/"}

    def details(self, path: str) -> Details | None:
        raw = self._lstatns(path)
        if raw is None:
            return None
        fstype = _fstype(path, self._types)
        xattrs: list[dict[str, Any]] = []
        if fstype not in NO_ATTRIBUTES:
            xattrs = self._appliance.lgetxattrs(path)
        security = ntfs.attributes(self._appliance, path) if fstype == "ntfs" else ()
        return Details(
            kind=_kind(raw["st_mode"]),
            mode=stat_bits.S_IMODE(raw["st_mode"]),
            uid=raw["st_uid"],
            gid=raw["st_gid"],
            size=raw["st_size"],
            atime=raw["st_atime_sec"] * 10**9 + raw["st_atime_nsec"],
            mtime=raw["st_mtime_sec"] * 10**9 + raw["st_mtime_nsec"],
            xattrs=tuple(sorted([*security, *((x["attrname"], bytes(x["attrval"])) for x in xattrs)])),
        )

    def sha256(self, path: str) -> str:
        digest: str = self._appliance.checksum("sha256", path)
        return digest

    def create(self, path: str, data: bytes) -> None:
        """On NTFS a new file inherits; one that is there keeps its attributes (writing sets `archive`)."""
        if _fstype(path, self._types) != "ntfs":
            self._appliance.write(path, data)
            return
        known = self._lstatns(path) is not None
        before = ntfs.attributes(self._appliance, path) if known else ()
        self._appliance.write(path, data)
        if known:
            ntfs.set_attributes(self._appliance, path, before)
        else:
            ntfs.secure_as_new(self._appliance, path, posixpath.dirname(path), folder=False)

    def writes_into(self, path: str) -> bool:
        return _fstype(path, self._types) in FOLDING

    def copy(self, old: str, new: str) -> None:
        self._appliance.cp_a(old, new)
        if _fstype(new, self._types) == "ntfs":
            times = self._lstatns(old)
            ntfs.set_attributes(self._appliance, new, ntfs.attributes(self._appliance, old))
            if times is not None:
                names = [f"st_{name}_{unit}" for name in ("atime", "mtime") for unit in ("sec", "nsec")]
                self._appliance.utimens(new, *(times[name] for name in names))

    def copy_details(self, old: str, new: str) -> None:
        """In the appliance, since the bindings take no NUL in an attribute, and ACLs are full of them."""
        details = self.details(old)
        if details is None:
            raise ApplianceError(f"{old}: gone while it was being changed")
        if _fstype(new, self._types) not in NO_ATTRIBUTES:
            self._appliance.copy_attributes(old, new, all=True)
            found = {attribute["attrname"] for attribute in self._appliance.lgetxattrs(new)}
            if ACL in found and ACL not in dict(details.xattrs):  # by a default ACL of the folder
                self._appliance.lremovexattr(ACL, new)
        self.set_times(new, details.atime, details.mtime)

    def set_mode(self, path: str, mode: int) -> None:
        if _fstype(path, self._types) not in NO_ATTRIBUTES:
            self._appliance.chmod(mode, path)

    def set_label(self, path: str, label: bytes) -> None:
        """The bindings take no NUL, but the length may count the one that ends every C string."""
        if _fstype(path, self._types) not in NO_ATTRIBUTES:
            self._appliance.lsetxattr(LABEL, label.removesuffix(b"\0").decode("ascii"), len(label), path)

    def set_times(self, path: str, atime: int, mtime: int) -> None:
        self._appliance.utimens(path, *divmod(atime, 10**9), *divmod(mtime, 10**9))

    def unlock(self, path: str) -> str:
        """Setting a file's own times is refused only where a flag forbids it, and costs no program."""
        raw = None if _fstype(path, self._types) in NO_ATTRIBUTES else self._lstatns(path)
        if raw is None:
            return ""
        times = [raw[f"st_{name}_{unit}"] for name in ("atime", "mtime") for unit in ("sec", "nsec")]
        try:
            self._appliance.utimens(path, *times)
        except ApplianceError:
            flags = "".join(f for f in self._appliance.get_e2attrs(path) if f in "ia")
            if not flags:
                raise
            self._appliance.set_e2attrs(path, flags, clear=True)
            return flags
        return ""

    def lock(self, path: str, flags: str) -> None:
        self._appliance.set_e2attrs(path, flags)

    def rename(self, old: str, new: str) -> None:
        self._appliance.rename(old, new)

    def remove(self, path: str) -> None:
        self._appliance.rm(path)

    def mkdir(self, path: str) -> None:
        self._appliance.mkdir_mode(path, 0o755)
        if _fstype(path, self._types) == "ntfs":
            ntfs.secure_as_new(self._appliance, path, posixpath.dirname(path), folder=True)

    def rmdir(self, path: str) -> None:
        self._folders.discard(path)
        self._appliance.rmdir(path)

    def run(self, argv: Sequence[str]) -> str:
        output: str = self._appliance.command(list(argv))
        return output

    def _lstatns(self, path: str) -> dict[str, Any] | None:
        """As the function of this name; a folder above is asked for once: nothing but `rmdir` takes it."""
        parent = posixpath.dirname(path)
        if parent not in self._folders:
            above = self._lstatns(parent)
            if above is None or not stat_bits.S_ISDIR(above["st_mode"]):
                return None
            self._folders.add(parent)
        return _lstatns_in(self._appliance, parent, posixpath.basename(path))

    def space(self, path: str) -> Space:
        point = _mountpoint(path, self._types)
        raw = self._appliance.statvfs(point)
        inodes = None if self._types[point] in NO_INODES else raw["favail"]
        return Space(point, block_size=raw["frsize"] or raw["bsize"], blocks=raw["bavail"], inodes=inodes)


def _mountpoint(path: str, types: Mapping[str, str]) -> str:
    return max((p for p in types if posixpath.commonpath((path, p)) == p), key=len)


def _fstype(path: str, types: Mapping[str, str]) -> str:
    """Empty for what is above all mount points, as in a Windows guest."""
    points = [point for point in types if posixpath.commonpath((path, point)) == point]
    return types[max(points, key=len)] if points else ""


def _lstat(appliance: Appliance, path: str) -> Stat | None:
    raw = _lstatns(appliance, path)
    if raw is None:
        return None
    kind = _kind(raw["st_mode"])
    return Stat(
        kind=kind,
        mode=stat_bits.S_IMODE(raw["st_mode"]),
        uid=raw["st_uid"],
        gid=raw["st_gid"],
        size=raw["st_size"],
        target=appliance.readlink(path) if kind is Kind.LINK else None,
    )


def _lstatns(appliance: Appliance, path: str) -> dict[str, Any] | None:
    """None where nothing is; a name that is not UTF-8 cannot be passed to libguestfs, so it is not seen."""
    parent, name = posixpath.split(path)
    above = _lstatns(appliance, parent) if name else {"st_mode": stat_bits.S_IFDIR}
    if above is None or not stat_bits.S_ISDIR(above["st_mode"]):
        return None
    return _lstatns_in(appliance, parent, name)


def _lstatns_in(appliance: Appliance, parent: str, name: str) -> dict[str, Any] | None:
    if any("\ud800" <= char <= "\udfff" for char in parent + name):
        return None
    # lstatns raises for what is missing as for any other failure, and the bindings give no errno;
    # the list form answers with the inode -1.
    raw: dict[str, Any] = appliance.lstatnslist(parent, [name or "."])[0]
    return None if raw["st_ino"] == -1 else raw


def _is_usual(appliance: Appliance, folder: str) -> bool:
    """Whether a folder is not too large to take, holes in its files counted, and not a link."""
    script = f"cd /sysroot && test -d {folder} -a ! -h {folder} && du -s --inodes {folder} && "
    try:
        inodes, size = appliance.debug("sh", [f"{script}du -sk --apparent-size {folder}"]).strip().split("\n")
    except ApplianceError:
        return False
    return int(inodes.split()[0]) <= ETC_FILES and int(size.split()[0]) <= ETC_LIMIT_KIB


def _listdir(appliance: Appliance, path: str) -> Sequence[str]:
    with scratch_file() as (file, name):
        appliance.ls0(path, name)
        names = file.read().split(b"\0")
    return tuple(sorted(name.decode("utf-8", "surrogateescape") for name in names if name))


def _kind(mode: int) -> Kind:
    if stat_bits.S_ISREG(mode):
        return Kind.FILE
    if stat_bits.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.LINK if stat_bits.S_ISLNK(mode) else Kind.OTHER


def _tar_stat(member: tarfile.TarInfo) -> Stat:
    kinds = [
        (member.isreg() or member.islnk(), Kind.FILE),
        (member.isdir(), Kind.DIRECTORY),
        (member.issym(), Kind.LINK),
    ]
    kind = next((k for applies, k in kinds if applies), Kind.OTHER)
    target = member.linkname if member.issym() else None
    return Stat(kind, stat_bits.S_IMODE(member.mode), member.uid, member.gid, member.size, target)


def _sized(stat: Stat | None, size: int) -> Stat | None:
    if stat is None:
        return None
    return Stat(stat.kind, stat.mode, stat.uid, stat.gid, size, stat.target)
