"""Images that the real dracut and the real mkinitramfs make here, judged by their own tools afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.formats import initramfs as image_format
from imgpatch.formats import modindex
from imgpatch.formats.compression import unpack
from tests.transforms.test_initramfs import (
    HOST,
    RELEASES,
    after,
    again,
    guest_of,
    host_tree,
    plan_of,
    warnings,
)

WANTED = ("xen_blkfront", "xen_netfront", "nvme", "ena")
DRACUT = Path("/usr/lib/dracut")
MODULES = "bash systemd-initrd udev-rules base"

pytestmark = pytest.mark.skipif(
    not RELEASES or not all(map(shutil.which, ("cpio", "modprobe", "lsinitrd", "lsinitramfs"))),
    reason="needs a kernel's modules, kmod, cpio, dracut and initramfs-tools",
)


def host_guest_files(release: str) -> dict[str, bytes]:
    index = modindex.parse({"modules.dep": (HOST / release / "modules.dep").read_text()})
    names = [name for name in WANTED if name in index.paths]
    soft = modindex.parse({name: (HOST / release / name).read_text() for name in modindex.TEXTS}).closure(
        names
    )
    files = host_tree(release, (index.paths[name] for name in soft))
    return files | {f"/boot/vmlinuz-{release}": b""}


def names_here(release: str) -> list[str]:
    paths = modindex.parse({"modules.dep": (HOST / release / "modules.dep").read_text()}).paths
    return [name for name in WANTED if name in paths]


def unpacked(data: bytes, folder: Path) -> Path:
    last = image_format.read(data).segments[-1]
    folder.mkdir()
    argv = ["cpio", "-i", "-d", "--quiet", "--no-absolute-filenames"]
    subprocess.run(argv, input=unpack(data[last.start :], 1 << 30), cwd=folder, check=True)
    return folder


def modprobe(root: Path, release: str, name: str) -> str:
    argv = ["modprobe", "-d", str(root), "-S", release, "--show-depends", name]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def judged(before: bytes, data: bytes, release: str, folder: Path) -> Path:
    """The result unpacked, after each tool that lists it has shown every new module and lost nothing."""
    new, old = folder / "new.img", folder / "old.img"
    new.write_bytes(data)
    old.write_bytes(before)
    for tool in ("lsinitrd", "lsinitramfs"):
        shown, was = (
            subprocess.run([tool, path], capture_output=True, text=True, check=False).stdout
            for path in (new, old)
        )
        for name in names_here(release):
            assert f"/{name.replace('_', '-')}.ko" in shown, (tool, name)
        if tool == "lsinitramfs":
            assert set(was.split("\n")) <= set(shown.split("\n"))
    root = unpacked(data, folder / "root")
    for name in names_here(release):
        assert f"/{name.replace('_', '-')}.ko" in modprobe(root, release, name)
    here, there = image_format.read(before).files, image_format.read(data).files
    changed = {path for path in here if here[path].crc != there[path].crc}
    assert all("/modules." in path or path in ("conf/modules", "init") for path in changed), changed
    return root


def dracut(release: str, folder: Path, *options: str, base: Path = DRACUT) -> bytes:
    image = folder / "made.img"
    tmp = folder / "tmp"
    tmp.mkdir()
    argv = [
        "dracut",
        "--force",
        "--quiet",
        "--no-hostonly",
        "--tmpdir",
        str(tmp),
        *options,
        str(image),
        release,
    ]
    environment = {**os.environ, "dracutbasedir": str(base)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if not image.exists():
        pytest.skip(f"dracut makes no image here: {done.stderr[-500:]}")
    return image.read_bytes()


def test_dracuts_own_image(tmp_path: Path) -> None:
    release = RELEASES[-1]
    before = dracut(release, tmp_path, "-m", MODULES, "--add-drivers", "ext4", "--compress", "zstd -1 -T1")
    path = f"/boot/initramfs-{release}.img"
    guest = guest_of(host_guest_files(release) | {path: before, "/usr/bin/dracut": b""})
    plan = plan_of(guest)
    judged(before, after(plan, path), release, tmp_path)
    assert again(guest, plan).is_empty


@pytest.mark.skipif(
    not (DRACUT / "modules.d/99squash").exists() or not shutil.which("mksquashfs"),
    reason="needs dracut-squash and squashfs-tools",
)
def test_dracuts_own_squash_image(tmp_path: Path) -> None:
    release = RELEASES[-1]
    before = dracut(release, tmp_path, "-m", f"{MODULES} squash", "--compress", "zstd -1 -T1")
    path = f"/boot/initramfs-{release}.img"
    guest = guest_of(host_guest_files(release) | {path: before, "/usr/bin/dracut": b""})
    plan = plan_of(guest)
    assert not warnings(plan)
    root = judged(before, after(plan, path), release, tmp_path)
    subprocess.run(["sh", "-n", root / "init"], check=True)
    script = (root / "init").read_text()
    assert script.index("modprobe xen-blkfront") < script.index("modprobe loop") < script.index("switch_root")
    for name in ("loop", "squashfs", "overlay"):
        assert f"/{name}.ko" in modprobe(root, release, name)
    assert again(guest, plan).is_empty


@pytest.mark.skipif(not Path("/usr/sbin/mkinitramfs").exists(), reason="needs initramfs-tools-core")
def test_mkinitramfs_own_image(tmp_path: Path) -> None:
    release = RELEASES[-1]
    config = tmp_path / "conf"
    shutil.copytree("/etc/initramfs-tools", config)
    (config / "initramfs.conf").write_text(
        "MODULES=list\nBUSYBOX=n\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\nRUNSIZE=10%\nFSTYPE=ext4\n"
    )
    image = tmp_path / "made.img"
    argv = ["/usr/sbin/mkinitramfs", "-d", str(config), "-o", str(image), release]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mkinitramfs makes no image here: {done.stderr[-500:]}")
    before = image.read_bytes()
    path = f"/boot/initrd.img-{release}"
    guest = guest_of(host_guest_files(release) | {path: before, "/usr/sbin/mkinitramfs": b""})
    plan = plan_of(guest)
    judged(before, after(plan, path), release, tmp_path)
    assert again(guest, plan).is_empty
