"""Each family's own kind of initramfs, with kernels as that family ships them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import initramfs as images
from fixtures import modules
from fixtures.archives import archive
from imgpatch.formats import initramfs as image_format
from imgpatch.formats import initscript, modindex
from imgpatch.formats.compression import Compression, unpack
from imgpatch.guest import Guest, MemoryTree
from tests.transforms.test_initramfs import after, again, guest_of, plan_of, warnings
from tests.transforms.test_resume_device import STORAGE, UUID

OLD = "2.6.18-398.el5"
EL5 = {"/sbin/mkinitrd": b"", "/sbin/nash": b""}
DRIVERS = ["xen-blkfront", "xen-netfront", "nvme", "ena"]


def unpacked(data: bytes, folder: Path) -> Path:
    """What the kernel would make of it, early segments aside."""
    last = image_format.read(data).segments[-1]
    folder.mkdir()
    argv = ["cpio", "-i", "-d", "--quiet", "--no-absolute-filenames"]
    subprocess.run(argv, input=unpack(data[last.start :], 1 << 28), cwd=folder, check=True)
    return folder


def loads(root: Path, release: str, name: str) -> list[str]:
    """What modprobe would load for a name or an alias, in its order."""
    argv = ["modprobe", "-d", str(root), "-S", release, "--show-depends", name]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [modindex.module_name(line.split()[1]) for line in shown.split("\n") if line.startswith("insmod")]


@pytest.mark.parametrize(("flavour", "release"), [("el5", OLD), ("el5uek", "2.6.39-400.el5uek")])
def test_mkinitrd_of_red_hat_5_gets_modules_in_lib_and_lines_in_init(flavour: str, release: str) -> None:
    tree = modules.tree(release, flavour)
    path = f"/boot/initrd-{release}.img"
    before = images.build("mkinitrd-el5", release, tree)
    guest = guest_of(tree | {path: before} | EL5)
    plan = plan_of(guest)
    found = image_format.read(after(plan, path))
    init = (found.data("init") or b"").decode()
    disk = "xen_vbd" if flavour == "el5" else "xen_blkfront"
    order = initscript.loaded(init, "insmod")
    assert {disk, "ext3", "sd_mod"} <= set(order)
    assert set(order) == set(found.modules(release))
    index = modindex.parse({"modules.dep": tree[f"/lib/modules/{release}/modules.dep"].decode()})
    for at, name in enumerate(order):
        assert set(index.needs[name]) <= set(order[:at]), name
    assert found.files["init"].mode == image_format.read(before).files["init"].mode
    assert found.files["init"].mode & 0o111
    assert again(guest, plan).is_empty or all("initrd" not in c.path for c in again(guest, plan).changes)


def test_the_order_of_insmod_is_what_real_modprobe_would_do(tmp_path: Path) -> None:
    if not shutil.which("depmod"):
        pytest.skip("needs kmod")
    tree = modules.tree(OLD, "el5")
    guest = guest_of(tree | {f"/boot/initrd-{OLD}.img": images.build("mkinitrd-el5", OLD, tree)} | EL5)
    data = after(plan_of(guest), f"/boot/initrd-{OLD}.img")
    for path, contents in tree.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_bytes(contents)
    subprocess.run(["depmod", "-a", "-b", tmp_path, OLD], check=True, capture_output=True)
    init = (image_format.read(data).data("init") or b"").decode()
    order = list(initscript.loaded(init, "insmod"))
    for name in ("xen-vbd", "xen-vnif"):
        theirs = loads(tmp_path, OLD, name)
        assert [module for module in order if module in theirs] == theirs


def test_a_module_nash_has_but_does_not_load_gets_its_line() -> None:
    tree = modules.tree(OLD, "el5")
    extra = {"lib/xen-vbd.ko": b"", "lib/xen-platform-pci.ko": b""}
    before = images.build("mkinitrd-el5", OLD, tree, extra=extra)
    data = after(
        plan_of(guest_of(tree | {f"/boot/initrd-{OLD}.img": before} | EL5)), f"/boot/initrd-{OLD}.img"
    )
    found = image_format.read(data)
    assert found.files["lib/xen-vbd.ko"].size == 0
    assert "insmod /lib/xen-vbd.ko" in (found.data("init") or b"").decode()


SLES = "3.0.101-63-default"


def test_mkinitrd_of_sles_11_gets_modules_indexes_and_its_list(tmp_path: Path) -> None:
    tree = modules.tree(SLES, "sles11")
    path = f"/boot/initrd-{SLES}"
    guest = guest_of(tree | {path: images.build("mkinitrd-sles11", SLES, tree), "/sbin/mkinitrd": b""})
    plan = plan_of(guest)
    data = after(plan, path)
    found = image_format.read(data)
    wanted = {"xen_vbd", "xen_vnif", "xen_platform_pci", "xen_balloon", "nvme"}
    assert wanted <= set(found.modules(SLES))
    start = (found.data("config/start.sh") or b"").decode()
    assert start.count("\n") == 4
    assert start.endswith("xen_platform_pci xen_vbd nvme'\n")
    assert all("initrd" not in change.path for change in again(guest, plan).changes)
    if shutil.which("modprobe"):
        root = unpacked(data, tmp_path / "x")
        assert loads(root, SLES, "xen:vbd") == ["xen_platform_pci", "xen_vbd"]
        shown = subprocess.run(
            ["sh", "-c", f". {root}/config/start.sh; echo $RESOLVED_INITRD_MODULES"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown.split()[-3:] == ["xen_platform_pci", "xen_vbd", "nvme"]


@pytest.mark.parametrize(
    ("kind", "flavour", "path", "compression", "early"),
    [
        ("dracut-004", "el6", "initramfs-{}.img", Compression.GZIP, False),
        ("dracut", "el7", "initramfs-{}.img", Compression.GZIP, True),
        ("dracut", "el8", "initramfs-{}.img", Compression.GZIP, True),
        ("dracut", "fedora", "initramfs-{}.img", Compression.ZSTD, True),
        ("dracut", "al2", "initramfs-{}.img", Compression.GZIP, False),
        ("dracut", "al2023", "initramfs-{}.img", Compression.ZSTD, True),
        ("dracut-split", "sles12", "initrd-{}", Compression.XZ, True),
        ("dracut-split", "sles15", "initrd-{}", Compression.XZ, True),
        ("initramfs-tools-old", "debian6", "initrd.img-{}", Compression.GZIP, False),
        ("initramfs-tools-old", "debian7", "initrd.img-{}", Compression.GZIP, False),
        ("initramfs-tools", "debian", "initrd.img-{}", Compression.ZSTD, True),
        ("initramfs-tools", "debian13", "initrd.img-{}", Compression.ZSTD, True),
        ("initramfs-tools", "ubuntu", "initrd.img-{}", Compression.LZ4, True),
        ("initramfs-tools", "ubuntu24", "initrd.img-{}", Compression.ZSTD, True),
        ("mkinitcpio", "arch", "initramfs-{}.img", Compression.ZSTD, True),
    ],
)
def test_every_family(
    kind: str, flavour: str, path: str, compression: Compression, early: bool, tmp_path: Path
) -> None:
    release = "4.1.2-1"
    tree = {
        p.replace("/usr/lib/modules", "/lib/modules"): d for p, d in modules.tree(release, flavour).items()
    }
    image = f"/boot/{path.format(release)}"
    before = images.build(kind, release, tree, compression=compression, early=early)
    guest = guest_of(tree | {image: before})
    plan = plan_of(guest)
    data = after(plan, image)
    assert data.startswith(images.MICROCODE if early else before[:2])
    have = {modindex.module_name(path) for path in tree if modindex.is_module(path)}
    found = image_format.read(data)
    wanted = {name.replace("-", "_") for name in DRIVERS} & have
    assert wanted
    assert wanted <= set(found.modules(release))
    for module, place in found.modules(release).items():
        if module in wanted and place not in image_format.read(before).files:
            source = next(p for p in tree if modindex.module_name(p) == module and modindex.is_module(p))
            assert found.files[place].size == len(unpack(tree[source], 1 << 20))
    if shutil.which("modprobe") and shutil.which("cpio"):
        root = unpacked(data, tmp_path / "x")
        for name in wanted:
            assert loads(root, release, name)[-1] == name
    assert again(guest, plan).is_empty


def test_a_signed_module_keeps_every_byte(tmp_path: Path) -> None:
    """Secure Boot and `module.sig_enforce` refuse a module without its signature."""
    release = "5.14.0-70.el9"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "el8").items()}
    path = f"/boot/initramfs-{release}.img"
    guest = guest_of(tree | {path: images.build("dracut", release, tree)})
    root = unpacked(after(plan_of(guest), path), tmp_path / "x")
    folder = f"lib/modules/{release}/kernel/drivers/nvme/host"
    data = (root / "usr" / folder / "nvme.ko").read_bytes()
    assert data == unpack(tree[f"/{folder}/nvme.ko.xz"], 1 << 20)
    assert data.endswith(modules.SIGNATURE_MAGIC)


def test_a_weak_module_is_taken_through_its_link() -> None:
    """kmod-ena of another kernel: `weak-updates` holds links, and depmod prefers them to `kernel`."""
    release = "4.18.0-100.el8"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "el8").items()}
    folder = f"/lib/modules/{release}"
    dep = tree[f"{folder}/modules.dep"].replace(
        b"kernel/drivers/net/ethernet/amazon/ena/ena.ko.xz:", b"weak-updates/ena/ena.ko:"
    )
    tree |= {f"{folder}/modules.dep": dep, "/lib/modules/4.18.0-80.el8/extra/ena/ena.ko": b"\x7fELF newer"}
    path = f"/boot/initramfs-{release}.img"
    files = tree | {path: images.build("dracut", release, tree, names=["ext4"])}
    links = {f"{folder}/weak-updates/ena/ena.ko": "/lib/modules/4.18.0-80.el8/extra/ena/ena.ko"}
    data = after(plan_of(guest_of(files, links)), path)
    entry = image_format.read(data).files[f"usr{folder}/weak-updates/ena/ena.ko"]
    assert (entry.is_file, entry.size) == (True, len(b"\x7fELF newer"))


def test_the_swap_to_resume_from_is_named_by_uuid_in_the_initramfs_too() -> None:
    release = "4.19"
    tree = modules.tree(release, "debian9")
    extra = {"conf/conf.d/resume": b"RESUME=/dev/sda5\n"}
    path = f"/boot/initrd.img-{release}"
    files = tree | {
        path: images.build("initramfs-tools-old", release, tree, names=["ext4", *DRIVERS], extra=extra)
    }
    guest = Guest(MemoryTree(files), STORAGE)
    plan = plan_of(guest)
    found = image_format.read(after(plan, path))
    assert found.data("conf/conf.d/resume") == f"RESUME=UUID={UUID}\n".encode()
    assert again(guest, plan).is_empty


@pytest.mark.parametrize("place", ["updates/dkms", "extra/ena", "updates"])
def test_a_driver_from_outside_the_kernels_tree_goes_where_depmod_put_it(place: str) -> None:
    release = "5.15.0-100"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "debian").items()}
    folder = f"/lib/modules/{release}"
    old = b"kernel/drivers/net/ethernet/amazon/ena/ena.ko"
    tree[f"{folder}/modules.dep"] = tree[f"{folder}/modules.dep"].replace(old, f"{place}/ena.ko".encode())
    tree[f"{folder}/{place}/ena.ko"] = b"\x7fELF 2.13.0g"
    path = f"/boot/initrd.img-{release}"
    files = tree | {path: images.build("initramfs-tools", release, tree, names=["ext4"])}
    found = image_format.read(after(plan_of(guest_of(files)), path))
    assert found.files[f"usr{folder}/{place}/ena.ko"].size == len(b"\x7fELF 2.13.0g")
    assert f"usr{folder}/{old.decode()}" not in found.files


@pytest.mark.parametrize("setting", ["MODULES=dep", "MODULES=list"])
def test_initramfs_tools_takes_what_its_list_names_whatever_else_it_takes(setting: str) -> None:
    release = "6.1"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "debian").items()}
    files = tree | {f"/boot/initrd.img-{release}": images.build("initramfs-tools", release, tree)}
    files |= {"/etc/initramfs-tools/initramfs.conf": f"{setting}\n".encode(), "/usr/sbin/mkinitramfs": b""}
    plan = plan_of(guest_of(files))
    assert after(plan, "/etc/initramfs-tools/modules") == b"xen-blkfront\nxen-netfront\nnvme\nena\n"


def test_an_initramfs_that_loads_nothing_by_itself_says_what_to_do() -> None:
    """Booster and tiny-initramfs: one program is all there is."""
    release = "6.12"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "arch").items()}
    data = archive(
        {"init": images.PROGRAM, "etc/booster.init.yaml": b"", "usr/lib/x": b""}, links={"lib": "usr/lib"}
    )
    plan = plan_of(guest_of(tree | {f"/boot/initramfs-{release}.img": data, "/usr/bin/booster": b""}))
    assert plan.is_empty
    texts = warnings(plan)
    assert any("make it anew in the guest with xen-blkfront, nvme" in text for text in texts)
    assert any("booster, which is not configured here" in text for text in texts)


SQUASH = "6.1.0-squash"


def squash_files(**how: bytes) -> dict[str, bytes]:
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(SQUASH, "fedora").items()}
    extra = {name.replace("__", "/"): data for name, data in how.items()}
    image = images.build("dracut-squash", SQUASH, tree, extra=extra)
    return tree | {f"/boot/initramfs-{SQUASH}.img": image, "/usr/bin/dracut": b""}


def test_a_squash_image_is_kept_and_what_mounts_it_loads_the_drivers(tmp_path: Path) -> None:
    files = squash_files()
    guest = guest_of(files)
    plan = plan_of(guest)
    path = f"/boot/initramfs-{SQUASH}.img"
    data = after(plan, path)
    old, new = image_format.read(files[path]), image_format.read(data)
    assert new.files["squash-root.img"].crc == old.files["squash-root.img"].crc
    script = (new.data("init") or b"").decode()
    assert initscript.loaded(script, "modprobe") == ("xen_blkfront", "nvme", "loop", "squashfs", "overlay")
    assert not warnings(plan)
    assert again(guest, plan).is_empty
    if shutil.which("modprobe"):
        root = unpacked(data, tmp_path / "x")
        subprocess.run(["sh", "-n", root / "init"], check=True)
        assert loads(root, SQUASH, "nvme") == ["t10_pi", "nvme_core", "nvme"]


def test_the_indexes_of_dracut_049_which_hide_those_of_the_image_keep_all_they_name() -> None:
    """There the mounted image is the lower part of an overlay, the initramfs itself the upper."""
    files = squash_files()
    folder = f"usr/lib/modules/{SQUASH}"
    dep = files[f"/lib/modules/{SQUASH}/modules.dep"]
    files = squash_files(**{f"{folder}/modules.dep".replace("/", "__"): dep})
    data = after(plan_of(guest_of(files)), f"/boot/initramfs-{SQUASH}.img")
    text = image_format.read(data).data(f"{folder}/modules.dep") or b""
    whole = modindex.parse({"modules.dep": dep.decode()})
    now = modindex.parse({"modules.dep": text.decode()})
    assert set(now.paths) == set(whole.paths)
    assert now.paths["xfs"] == whole.paths["xfs"]


def test_a_squash_image_that_nothing_known_mounts_is_left_with_the_command() -> None:
    plan = plan_of(guest_of(squash_files(init=b"#!/bin/sh\nexec /mount-it\n")))
    assert all("initramfs" not in change.path for change in plan.changes)
    assert any("dracut --force --omit squash" in text for text in warnings(plan))


def test_a_driver_refused_inside_the_initramfs_is_refused_no_more() -> None:
    release = "6.1"
    tree = {p.replace("/usr/lib", "/lib", 1): d for p, d in modules.tree(release, "debian").items()}
    extra = {"etc/modprobe.d/slow.conf": b"blacklist nvme\nblacklist pcspkr\n"}
    path = f"/boot/initrd.img-{release}"
    image = images.build("initramfs-tools", release, tree, names=["ext4", *DRIVERS], extra=extra)
    guest = guest_of(tree | {path: image})
    plan = plan_of(guest)
    found = image_format.read(after(plan, path))
    assert found.data("etc/modprobe.d/slow.conf") == b"#blacklist nvme\nblacklist pcspkr\n"
    [change] = [change for change in plan.changes if change.path == path]
    assert "etc/modprobe.d/slow.conf line 1: blacklist nvme" in change.reasons[0].text
    assert again(guest, plan).is_empty
