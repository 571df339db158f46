"""GRUB's names for devices and files, `(hd0,gpt2)/vmlinuz`, as paths of the guest."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from imgpatch.guest import MAX_TEXT, Guest, Kind, Stat
from imgpatch.storage import Device

GUEST = "guest"
"""The device name that stands for the guest's own tree, `(guest)/boot/grub`; GRUB has none like it."""

_PARTITION = re.compile(r"hd(\d+)(?:,(?:[a-z]+)?(\d+))?")
_MAX_SUBVOLUME_DEPTH = 4  # /@/.snapshots/1/snapshot, as SUSE has it


@dataclass(frozen=True, slots=True)
class GrubFiles:
    """Finds in a guest what a GRUB script means."""

    guest: Guest

    def name_of(self, device: Device) -> str:
        """What GRUB would call a device."""
        if device.mapper is not None:
            return f"lvm/{device.mapper}"
        disk = device.disk or 0
        disks = self.guest.storage.disks
        scheme = "gpt" if disk < len(disks) and disks[disk].table == "gpt" else "msdos"
        part = "" if device.partition is None else f",{scheme}{device.partition}"
        return f"hd{disk}{part}"

    def device(self, name: str) -> Device | None:
        """The device a GRUB name stands for; None where it is not told apart."""
        match = _PARTITION.fullmatch(name)
        if match is not None:
            return self.guest.storage.at(int(match[1]), None if match[2] is None else int(match[2]))
        if name.startswith("lvm/"):
            return self.guest.storage.by_mapper(name.removeprefix("lvm/"))
        return None

    def mount_points(self, device: Device) -> tuple[str, ...]:
        """Where a device is mounted, the deepest first."""
        points = [point for point, mounted in self.guest.storage.mounts.items() if mounted == device]
        return tuple(sorted(points, key=lambda point: (-len(point), point)))

    def locate(self, path: str, root: str) -> str:
        """The path in the guest of a file GRUB knows as `path`, with `root` as its root variable.

        What does not exist gets the path it most likely had.
        """
        device_name, path = _split(path, root)
        if device_name == GUEST:
            return path if self.guest.exists(path) else self._elsewhere(path)
        device = self.device(device_name)
        points = () if device is None else self.mount_points(device)
        for point in points:
            for tail in _tails(path):
                candidate = posixpath.join(point, tail)
                if self.guest.exists(candidate):
                    return candidate
        if points and "/" not in points:
            return posixpath.join(points[-1], path.lstrip("/"))
        return self._elsewhere(path)

    def _elsewhere(self, path: str) -> str:
        """The file in any mounted file system, the usual ones for boot files first."""
        mounts = self.guest.storage.mounts
        points = [point for point in ("/boot", "/", "/boot/efi", "/efi") if point in mounts]
        for point in (*points, "/boot", "/"):
            for tail in _tails(path):
                candidate = posixpath.join(point, tail)
                if self.guest.exists(candidate):
                    return candidate
        apart = "/boot" in mounts and not path.startswith("/boot/")
        return posixpath.join("/boot", path.lstrip("/")) if apart else path

    def read(self, path: str) -> bytes | None:
        """A file by its path in the guest; None where there is none, or no regular one."""
        stat = self.guest.stat(path)
        return self.guest.read(path, MAX_TEXT) if stat is not None and stat.kind is Kind.FILE else None

    def stat(self, path: str) -> Stat | None:
        """What GRUB finds under a path of the guest; it follows no link from one file system to another.

        Red Hat 7 and 8 by UEFI have /boot/grub2/grubenv as such a link: a GRUB that was started by the
        BIOS reads no environment block there.
        """
        stat = self.guest.stat(path)
        itself = self.guest.stat(path, follow=False)
        if itself is None or itself.kind is not Kind.LINK:
            return stat
        folder, real = self.guest.resolve(posixpath.dirname(path)), self.guest.resolve(path)
        return stat if self._mounted_at(folder) == self._mounted_at(real) else None

    def seen(self, path: str) -> bytes | None:
        """The contents of a regular file as GRUB reads it."""
        stat = self.stat(path)
        return self.guest.read(path, MAX_TEXT) if stat is not None and stat.kind is Kind.FILE else None

    def _mounted_at(self, path: str) -> Device | None:
        mounts = self.guest.storage.mounts
        while path not in mounts and path != "/":
            path = posixpath.dirname(path)
        return mounts.get(path)

    def holds(self, device: Device, path: str) -> bool:
        """Whether a mounted device has such a file."""
        return any(
            self.guest.exists(posixpath.join(point, path.lstrip("/"))) for point in self.mount_points(device)
        )


def _split(path: str, root: str) -> tuple[str, str]:
    if path.startswith("("):
        device, closed, rest = path[1:].partition(")")
        if closed:
            return device or root, rest if rest.startswith("/") else f"/{rest}"
    return root, path if path.startswith("/") else f"/{path}"


def _tails(path: str) -> list[str]:
    """The path as it is, and without one, two, ... leading folders (Btrfs subvolumes)."""
    parts = [part for part in path.split("/") if part]
    return ["/".join(parts[i:]) for i in range(min(len(parts), _MAX_SUBVOLUME_DEPTH + 1))]
