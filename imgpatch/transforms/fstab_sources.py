"""Which device an entry of fstab(5) means, and whether that is sure enough to write it down.

A wrong disk at a mount point is worse than none, so a name that counts disks (`/dev/sdb1`) is not
believed where anything else in the guest speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgpatch import devices
from imgpatch.devices import Naming
from imgpatch.formats import fstab
from imgpatch.guest import Guest
from imgpatch.manifest import Manifest
from imgpatch.storage import Device, Storage

CRYPTTAB = "/etc/crypttab"
MOUNTALL = "/sbin/mountall"
FSCK = "/sbin/fsck"
_LARGEST_FSCK = 1 << 20

# Types whose fs_spec means no device, whatever it says (`/dev /chroot/dev tmpfs`).
_NO_DEVICE_TYPES = frozenset(
    {"autofs", "devpts", "devtmpfs", "none", "overlay", "proc", "ramfs", "sysfs", "tmpfs"}
)

# What the kernel or a helper mounts with one another's type name; the first is blkid's word for it.
_SAME_TYPE = {
    "ext2": "ext4",
    "ext3": "ext4",
    "msdos": "vfat",
    "ntfs-3g": "ntfs",
    "lowntfs-3g": "ntfs",
    "ntfs3": "ntfs",
    "fuseblk": "ntfs",
    "swsuspend": "swap",  # a swap with a hibernation image in it
}

# Holders of something else: their UUID is the container's, not a file system's.
_CONTAINER = re.compile(r".*_member|crypto_LUKS|BitLocker|bcache|drbd|DM_.*")

_ALIASES = re.compile(r"/dev/(?:sd|hd|xvd)")  # one disk may have any of these names: Xen, old IDE


@dataclass(frozen=True, slots=True)
class Source:
    """What an entry's fs_spec comes to.

    Attributes:
        naming: how it names the device.
        device: None where it resolves to nothing that is sure.
        doubt: why there is no device, for people; empty where there is one.
        later: no device of the image, but the guest puts it together from some that are there (md, dm-crypt).
    """

    naming: Naming
    device: Device | None
    doubt: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Resolves the entries of one fstab against one machine.

    Attributes:
        crypt: name -> source of crypttab(5).
        misordered: the line of `/` that shows that disks are missing or in another order, if any.
        confirmed: ways of counting disks by which a line of `/` comes out at the root.
        claims: device -> (mount point, how it was named) of all entries that mount it at boot.
        optional: the options that keep this guest's boot from waiting for a device.
        stops: whether a device that is not there stops the boot while fs_passno has it checked.
    """

    storage: Storage
    crypt: Mapping[str, str]
    misordered: fstab.Line | None
    confirmed: frozenset[str]
    claims: Mapping[Device, frozenset[tuple[str, str]]]
    optional: tuple[str, ...] = ("nofail",)
    stops: bool = False

    @property
    def root(self) -> Device | None:
        """Where this fstab was found, so what `/` really is."""
        return self.storage.mounts.get("/")

    def of(self, line: fstab.Line) -> Source:
        """What the entry's fs_spec comes to."""
        naming = _naming(line)
        device = devices.resolve(line.fs_spec, self.storage)
        if naming in (Naming.OTHER, Naming.TAG):
            return Source(naming, device, "" if device else "no device has it")
        if naming is Naming.VOLUME:
            later = device is None and self._assembled(line.fs_spec)
            return Source(
                naming, device, "" if device or later else "no such volume on the disks given", later
            )
        doubt = self._doubt(line, device)
        return Source(naming, None if doubt else device, doubt)

    def _doubt(self, line: fstab.Line, device: Device | None) -> str:
        """Why a name that depends on hardware gives no UUID; empty where it does."""
        if devices.place(line.fs_spec) is not None:
            if "_netdev" in line.options:
                return "a disk from the network (_netdev) is not among the disks given"
            if self.misordered is not None:
                return "the disks given are not in the guest's order"
        if device is None:
            return "no such device on the disks given"
        if device.uuid is None:
            return f"{device.name} has no UUID"
        if device.fstype is not None and _CONTAINER.fullmatch(device.fstype):
            return f"{device.name} holds {device.fstype}, which is no file system"
        if not _fits(line.fs_vfstype, device.fstype):
            return f"{device.name} holds {device.fstype}, not {line.fs_vfstype}"
        if contradiction := self._contradiction(line, device):
            return contradiction
        clones = devices.same_tag(device, self.storage)
        if clones:
            return f"{device.name} and {clones[0].name} have the same UUID"
        return ""

    def _contradiction(self, line: fstab.Line, device: Device) -> str:
        """What other lines say against this one; empty where they do not."""
        if self._other_disk(line.fs_spec, device):
            return f"{device.name} is on the root's disk, which the line of / calls otherwise"
        elsewhere = self._claimed(line, device)
        if elsewhere is None:
            return ""
        return f"{device.name} is already mounted on {elsewhere} under another kind of name"

    def _claimed(self, line: fstab.Line, device: Device) -> str | None:
        """The mount point of another entry that says the same device in another way.

        Each kind of disk is counted by itself, so `/dev/sda1` and `/dev/nvme0n1p1` may be two devices
        that look like one here. Where the root is counted the same way and is right, so is the count.
        """
        family = _family(line.fs_spec)
        if family in self.confirmed or device.fstype == "btrfs" or _naming(line) is Naming.TAG_LINK:
            return None
        others = sorted(self.claims.get(device, frozenset()))
        return next((point for point, other in others if point != line.fs_file and other != family), None)

    def _other_disk(self, spec: str, device: Device) -> bool:
        """Whether a by-id, by-path or multipath of another disk than the root's came out at the root's."""
        found = devices.hardware(spec)
        if found is None or self.root is None or device.disk != self.root.disk:
            return False
        others = any(family.startswith(f"{found[0]}/") for family in self.confirmed)
        return others and _family(spec) not in self.confirmed

    def _assembled(self, spec: str) -> bool:
        """Whether the guest will make this device from what is there."""
        held = {device.fstype for device in self.storage.devices}
        if spec.startswith(("/dev/md", "/dev/disk/by-id/md-")):
            arrays = [device for device in self.storage.devices if device.md_uuid is not None]
            unnamed = [d for d in arrays if d not in self.claims and not _CONTAINER.fullmatch(d.fstype or "")]
            return bool(unnamed) if arrays else "linux_raid_member" in held
        if spec.startswith("/dev/disk/by-id/dm-uuid-LVM-"):
            volumes = [device for device in self.storage.devices if device.mapper is not None]
            return bool(volumes) and all(volume.dm_uuid is None for volume in volumes)
        source = self.crypt.get(spec.removeprefix("/dev/mapper/"))
        if source is None or devices.is_device_name(source):
            return False
        return devices.naming(source) is Naming.OTHER or devices.resolve(source, self.storage) is not None


def survey(guest: Guest, lines: Sequence[fstab.Line], path: str) -> Sources:
    """Reads what else the guest says about the devices of its fstab, whose path is given."""
    claims: dict[Device, frozenset[tuple[str, str]]] = {}
    written = _as_written(guest, lines, path)
    for line in written:
        device = devices.resolve(line.fs_spec, guest.storage)
        if device is not None and _naming(line) is not Naming.OTHER and "noauto" not in line.options:
            claim = (line.fs_file, _family(line.fs_spec))
            claims[device] = claims.get(device, frozenset()) | {claim}
    # crypttab(5) parts its fields as fstab(5) does: name, source, key, options
    crypttab = fstab.entries(guest.text(CRYPTTAB) or "")
    crypt = {entry.fs_spec: entry.fs_file for entry in crypttab}
    roots = [line for line in written if line.fs_file == "/"]
    root = guest.storage.mounts.get("/")
    found = [
        line for line in roots if root is not None and devices.resolve(line.fs_spec, guest.storage) == root
    ]
    confirmed = frozenset(_family(line.fs_spec) for line in found)
    counted = [line for line in roots if devices.place(line.fs_spec) is not None]
    misordered = counted[0] if root is not None and counted and not found else None
    return Sources(guest.storage, crypt, misordered, confirmed, claims, _optional(guest), _check_stops(guest))


def _optional(guest: Guest) -> tuple[str, ...]:
    """What keeps the boot from waiting for a device.

    Upstart's mountall (Ubuntu 10.04 to 14.10) asks at the console, for ever, where a device is missing. It
    knows nothing of nofail, and mount(8) of those releases passes over nobootwait, which systemd's do not.
    """
    systemd = guest.resolve("/sbin/init").endswith("/systemd")
    return ("nofail", "nobootwait") if guest.exists(MOUNTALL) and not systemd else ("nofail",)


def _check_stops(guest: Guest) -> bool:
    """Whether the boot's `fsck -A` ends in a shell at a device that is not there, whatever its options say.

    That of e2fsprogs in Red Hat 5 does not know nofail; util-linux has it since 2.16. A program that knows an
    option has its name in it.
    """
    if guest.resolve("/sbin/init").endswith("/systemd"):
        return False
    program = guest.head(FSCK, _LARGEST_FSCK)
    return bool(program) and b"nofail" not in program


def _as_written(guest: Guest, lines: Sequence[fstab.Line], path: str) -> Sequence[fstab.Line]:
    """The lines before imgpatch changed any, from the kept original.

    How a line names its device is a witness to the order of the disks, the root's above all, and it is
    rewritten: without the original a second run would believe what the first one did not.
    """
    row = Manifest.read(guest).row(guest.resolve(path))
    original = None if row is None or row.kept is None else guest.text(row.kept)
    return lines if original is None else tuple(fstab.entries(original))


def _naming(line: fstab.Line) -> Naming:
    """A bind mount or a pseudo file system means no device, whatever its fs_spec looks like."""
    if line.fs_vfstype in _NO_DEVICE_TYPES or {"bind", "rbind"} & set(line.options):
        return Naming.OTHER
    return devices.naming(line.fs_spec)


def _fits(wanted: str, found: str | None) -> bool:
    """Whether an entry of this type can be what is on the device."""
    if found is None:
        return True
    types = {_SAME_TYPE.get(name, name) for name in wanted.replace("fuse.", "").split(",")}
    return bool(types & {"auto", _SAME_TYPE.get(found, found)})


def _family(spec: str) -> str:
    """Which way of counting a name belongs to; names of two ways may count different disks.

    by-id, by-path and multipath count nothing: each is a disk of its own, which may have stayed behind.
    """
    hardware = devices.hardware(spec)
    if hardware is not None:
        return "/".join(hardware)
    if devices.place(spec) is None:
        return "tag"
    return "sd" if _ALIASES.match(spec) else spec[:7]
