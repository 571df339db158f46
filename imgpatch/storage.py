"""The disks of one machine and what their block devices hold, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Device:
    """A block device that can hold a file system: a whole disk, a partition, a logical volume, an md array.

    Attributes:
        disk: 0-based index among the disks of the machine, in the order given; None for what lies
            over several (a logical volume, an md array).
        partition: 1-based number in the partition table; None for a whole disk or a logical volume.
        mapper: the device mapper name (`vg-lv`, hyphens in names doubled) of a logical volume.
        fstype: in blkid's words (`ext4`, `xfs`, `vfat`, `swap`, `LVM2_member`, `crypto_LUKS`);
            None where nothing is recognised.
        parttype: a GPT type GUID in lower case, or an MBR type as `0x83`.
        size: bytes.
        dm_uuid: the device mapper UUID of a logical volume, `LVM-` with the UUIDs of group and volume
            without hyphens, as `/dev/disk/by-id/dm-uuid-...` has it; None where it is not known.
        md_uuid: of an md array, 32 hexadecimal digits; None of anything else.
        md_names: of an md array, the paths by which the guest knows it, the surest first.
    """

    disk: int | None = None
    partition: int | None = None
    mapper: str | None = None
    fstype: str | None = None
    uuid: str | None = None
    label: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    parttype: str | None = None
    size: int = 0
    dm_uuid: str | None = None
    md_uuid: str | None = None
    md_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for people, which no guest uses: `disk 1 partition 2`, `/dev/mapper/vg-lv`."""
        if self.mapper is not None:
            return f"/dev/mapper/{self.mapper}"
        if self.md_names:
            return self.md_names[0]
        disk = "disk ?" if self.disk is None else f"disk {self.disk + 1}"
        return disk if self.partition is None else f"{disk} partition {self.partition}"


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of the machine.

    Attributes:
        table: `gpt`, `dos`, or None for a disk without a partition table.
        size: bytes.
    """

    table: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Storage:
    """All disks and devices of the machine.

    Attributes:
        mounts: mount point -> device, as mounted by the guest's own fstab.
        incomplete_groups: the LVM volume groups of which physical volumes are missing.
    """

    disks: tuple[Disk, ...] = ()
    devices: tuple[Device, ...] = ()
    mounts: Mapping[str, Device] = field(default_factory=dict)
    incomplete_groups: tuple[str, ...] = ()

    def at(self, disk: int, partition: int | None) -> Device | None:
        """The device with this 0-based disk index and partition number."""
        return next((d for d in self.devices if (d.disk, d.partition) == (disk, partition)), None)

    def by_uuid(self, uuid: str) -> Device | None:
        """The device with this file system UUID; case does not matter (vfat, NTFS)."""
        return next((d for d in self.devices if d.uuid is not None and d.uuid.lower() == uuid.lower()), None)

    def by_label(self, label: str) -> Device | None:
        return next((d for d in self.devices if d.label == label), None)

    def by_partuuid(self, partuuid: str) -> Device | None:
        return next(
            (d for d in self.devices if d.partuuid is not None and d.partuuid.lower() == partuuid.lower()),
            None,
        )

    def by_partlabel(self, partlabel: str) -> Device | None:
        return next((d for d in self.devices if d.partlabel == partlabel), None)

    def by_mapper(self, mapper: str) -> Device | None:
        return next((d for d in self.devices if d.mapper == mapper), None)
