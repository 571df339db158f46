"""Where a root may lie: md arrays, whole disks, logical volumes, Btrfs, /usr and /var apart.

Each is mounted as its fstab says, changed, and put back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import snapshot, text_disks
from imgpatch import edition
from imgpatch.commit import commit, revert, verify
from imgpatch.errors import UnsupportedGuestError
from imgpatch.images import probe
from imgpatch.images.appliance import Drive, launch
from imgpatch.images.session import open_session
from imgpatch.inspection import inspect
from imgpatch.manifest import MANIFEST_PATH
from imgpatch.plan import Context, make_plan
from imgpatch.progress import Silent
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS
from tests.appliance.machines import MIB, small_guest

pytestmark = [pytest.mark.appliance, pytest.mark.all_boots]

SECTORS = 2048
"""Of a MiB."""

Call = tuple[object, ...]


def parts(disk: str, *ends: int) -> list[Call]:
    """Partitions one after the other, each up to so many MiB."""
    starts = (1, *ends)
    calls: list[Call] = [("part_init", disk, "mbr")]
    for start, end in zip(starts, ends, strict=False):
        calls.append(("part_add", disk, "primary", start * SECTORS, end * SECTORS - 1))
    return calls


def shell(command: str) -> Call:
    return ("debug", "sh", [command])


@dataclass(frozen=True)
class Layout:
    """How to make a machine, and what is to be found in it.

    Attributes:
        sizes: of its disks in MiB.
        calls: of libguestfs, which make the file systems.
        mounts: where they go while the files are written, the root first.
        fstab: its lines beside the one of cifs.
        found: mount point -> the device's name for people.
    """

    sizes: Sequence[int]
    calls: Sequence[Call]
    mounts: Sequence[tuple[str, str]]
    fstab: str
    found: dict[str, str]
    files: dict[str, bytes] | None = None


def mirror(version: str, conf: str) -> Layout:
    make = (
        f"mdadm --create /dev/md5 --run --level=1 --raid-devices=2 --metadata={version} /dev/sda1 /dev/sdb1"
    )
    return Layout(
        sizes=(48, 48),
        calls=[*parts("/dev/sda", 47), *parts("/dev/sdb", 47), shell(make), ("mkfs", "ext4", "/dev/md5")],
        mounts=[("/dev/md5", "/")],
        fstab="/dev/md5 / ext4 defaults 0 1\n",
        found={"/": "/dev/md5"},
        files={"/etc/mdadm/mdadm.conf": conf.encode()},
    )


LAYOUTS = {
    "md-0.90": mirror("0.90", ""),
    "md-1.0": mirror("1.0", "DEVICE partitions\nARRAY /dev/md5 metadata=1.0 name=any:5\n"),
    "md-1.2": mirror("1.2", "ARRAY /dev/md/5 metadata=1.2\n"),
    "whole-disk": Layout(
        sizes=(40,),
        calls=[("mkfs", "ext4", "/dev/sda")],
        mounts=[("/dev/sda", "/")],
        fstab="/dev/sda / ext4 defaults 0 1\n",
        found={"/": "disk 1"},
    ),
    "apart": Layout(  # /usr with an etc of its own, as SUSE has it, and larger than the root
        sizes=(180,),
        calls=[
            *parts("/dev/sda", 33, 97, 137, 179),
            *(("mkfs", "ext4", f"/dev/sda{number}") for number in (1, 2, 3)),
            ("mkfs", "ext2", "/dev/sda4"),
        ],
        mounts=[("/dev/sda1", "/"), ("/dev/sda2", "/usr"), ("/dev/sda3", "/var"), ("/dev/sda4", "/boot")],
        fstab="/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 /usr ext4 ro 0 1\n"
        "/dev/vda3 /var ext4 defaults 0 2\n/dev/vda4 /boot ext2 defaults 0 2\n",
        found={f"/{name}": f"disk 1 partition {n}" for n, name in enumerate(("", "usr", "var", "boot"), 1)},
        files={"/usr/etc/motd": b"SUSE\n", "/boot/vmlinuz": b"MZ"},
    ),
    "lvm": Layout(  # a physical volume on a whole disk, two groups, a thin volume
        sizes=(80, 120),
        calls=[
            *parts("/dev/sda", 79),
            ("pvcreate", "/dev/sda1"),
            ("vgcreate", "sys-tem", ["/dev/sda1"]),
            ("lvcreate", "root", "sys-tem", 48),
            ("pvcreate", "/dev/sdb"),
            ("vgcreate", "data", ["/dev/sdb"]),
            shell("lvm lvcreate --yes --type thin -V 64m -L 80m -n var --thinpool pool data"),
            ("mkfs", "ext4", "/dev/sys-tem/root"),
            ("mkfs", "ext4", "/dev/data/var"),
        ],
        mounts=[("/dev/sys-tem/root", "/"), ("/dev/data/var", "/var")],
        fstab="/dev/mapper/sys--tem-root / ext4 defaults 0 1\n/dev/data/var /var ext4 defaults 0 2\n",
        found={"/": "/dev/mapper/sys--tem-root", "/var": "/dev/mapper/data-var"},
        files={"/etc/lvm/devices/system.devices": b"VERSION=1.1.2\nIDTYPE=sys_wwid IDNAME=naa.5 PVID=x\n"},
    ),
    "btrfs": Layout(  # the top level is the root; one folder is a subvolume mounted by name
        sizes=(320,),
        calls=[
            *parts("/dev/sda", 319),
            ("mkfs", "btrfs", "/dev/sda1"),
            ("mount", "/dev/sda1", "/"),
            ("btrfs_subvolume_create", "/@var"),
            ("umount_all",),
        ],
        mounts=[("/dev/sda1", "/"), ("/dev/sda1 subvol=@var", "/var")],
        fstab="LABEL=none /srv btrfs noauto 0 0\n/dev/sda1 / btrfs defaults 0 0\n"
        "/dev/sda1 /var btrfs subvol=@var 0 0\n",
        found={"/": "disk 1 partition 1", "/var": "disk 1 partition 1"},
    ),
}


def make(layout: Layout, folder: Path) -> list[Drive]:
    """The disks of a machine, as raw files."""
    drives = []
    for number, size in enumerate(layout.sizes):
        path = folder / f"disk{number}.raw"
        with path.open("wb") as file:
            file.truncate(size * MIB)
        drives.append(Drive(path, "raw", writable=True))
    fstab = f"{layout.fstab}//nas/share /mnt cifs guest 0 0\n".encode()
    archive = folder / "files.tar"
    archive.write_bytes(text_disks._tar(small_guest(files={**(layout.files or {}), "/etc/fstab": fstab})))
    with launch(drives, probe.appliance_settings(probe.probe())) as appliance:
        for name, *arguments in layout.calls:
            getattr(appliance, str(name))(*arguments)
        for device, point in layout.mounts:
            if point != "/":
                appliance.mkdir_p(point)
            name, _, options = device.partition(" ")
            appliance.mount_options(options, name, point)
        appliance.tar_in(str(archive), "/")
        appliance.umount_all()
    return drives


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_found_changed_and_put_back(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    drives = make(layout, tmp_path)
    sizes = [size * MIB for size in layout.sizes]
    settings = probe.appliance_settings(probe.probe())
    with open_session(drives, sizes, settings, Silent()) as session:
        assert {p: d.name for p, d in session.guest.storage.mounts.items()} == layout.found
        assert session.messages == ()
        before = snapshot.tree(session.appliance)
        plan = make_plan(session.guest, TRANSFORMS, Context(edition.load(), inspect(session.guest, EC2)))
        assert "/etc/fstab" in {change.path for change in plan.changes}
        commit(plan, session.guest, session.files, ".imgpatch.orig", edition="2026")
    with open_session(drives, sizes, settings, Silent()) as session:
        verify(plan, session.guest, session.files)
        assert session.guest.exists(MANIFEST_PATH)
        fstab = session.guest.text("/etc/fstab") or ""
        volumes = ("/dev/md", "/dev/mapper", "/dev/data")
        assert all(line.startswith(("UUID=", "LABEL=", "#", *volumes)) for line in fstab.split("\n") if line)
        assert "nofail" not in fstab.replace("noauto,nofail", "")
        assert session.guest.exists("/etc/lvm/devices/system.devices") is False
        revert(session.guest, session.files)
        assert snapshot.tree(session.appliance) == before


def test_half_a_mirror_and_a_default_subvolume_are_refused(tmp_path: Path) -> None:
    (tmp_path / "md").mkdir()
    drives = make(LAYOUTS["md-1.2"], tmp_path / "md")
    settings = probe.appliance_settings(probe.probe())
    with (
        pytest.raises(UnsupportedGuestError, match="partition 1: of an md array that cannot be put together"),
        open_session(drives[:1], [48 * MIB], settings, Silent()),
    ):
        pass
    btrfs = LAYOUTS["btrfs"]
    calls = [
        *btrfs.calls[:-1],
        ("btrfs_subvolume_create", "/@"),
        ("btrfs_subvolume_set_default", 257, "/"),
        ("umount_all",),
    ]
    top = Layout(btrfs.sizes, calls, [("/dev/sda1", "/")], "/dev/sda1 / btrfs defaults 0 0\n", {})
    with (
        pytest.raises(UnsupportedGuestError, match="the root is a Btrfs subvolume"),
        open_session(make(top, tmp_path), [320 * MIB], settings, Silent()),
    ):
        pass
