"""What committing and reverting need of a guest's files, whoever holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from imgpatch.guest import Kind

LABEL = "security.selinux"
"""The extended attribute with a file's SELinux label."""


@dataclass(frozen=True, slots=True)
class Details:
    """All that a file carries besides its contents.

    Attributes:
        mode: permission bits.
        atime, mtime: nanoseconds since 1970.
        xattrs: sorted name, value pairs; ACLs and the SELinux label are among them.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    atime: int
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def label(self) -> bytes | None:
        """The SELinux label with its NUL; None where there is none."""
        return dict(self.xattrs).get(LABEL)


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the file system a path is on.

    Attributes:
        mountpoint: which file system it is.
        inodes: free ones, None where the file system makes them as needed.
    """

    mountpoint: str
    block_size: int
    blocks: int
    inodes: int | None


class Files(Protocol):
    """A guest's files, writable. Paths are real: no link is followed."""

    def details(self, path: str) -> Details | None: ...
    def sha256(self, path: str) -> str: ...
    def create(self, path: str, data: bytes) -> None: ...
    def copy_details(self, old: str, new: str) -> None:
        """Gives a new file what another carries: owner, mode, times, and no extended attributes but its."""

    def set_mode(self, path: str, mode: int) -> None: ...
    def set_label(self, path: str, label: bytes) -> None:
        """Sets the SELinux label, given with its NUL; nothing on a file system that has none."""

    def set_times(self, path: str, atime: int, mtime: int) -> None: ...
    def unlock(self, path: str) -> str:
        """Clears the lsattr(1) flags that forbid changing a file or a folder (`i`, `a`) and returns them."""

    def lock(self, path: str, flags: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def writes_into(self, path: str) -> bool:
        """Whether a file of this folder is changed by writing into it, so that all it carries stays.

        So on NTFS and FAT, where a file has a number, a short name and attributes that a new one lacks.
        """

    def copy(self, old: str, new: str) -> None:
        """Copies a file with all that it carries; contents only into one that is there already."""

    def remove(self, path: str) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def space(self, path: str) -> Space: ...

    def run(self, argv: Sequence[str]) -> str:
        """Runs a program of the guest inside it, without a network; gives what it printed."""
