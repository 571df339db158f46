"""The made-up kernels are real to the tools: depmod, modinfo, lsinitramfs and lsinitrd."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import initramfs, modules
from imgpatch.formats import initramfs as image_format
from imgpatch.formats import modindex

KINDS = {
    "dracut": "el8",
    "dracut-004": "el6",
    "dracut-split": "sles12",
    "dracut-squash": "fedora",
    "initramfs-tools": "debian",
    "initramfs-tools-old": "debian6",
    "mkinitcpio": "arch",
    "mkinitrd-el5": "el5",
    "mkinitrd-sles11": "sles11",
}


def write(files: dict[str, bytes], root: Path) -> None:
    for path, data in files.items():
        target = root / path.removeprefix("/usr").removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


@pytest.mark.skipif(shutil.which("depmod") is None, reason="needs kmod")
@pytest.mark.parametrize("name", modules.FLAVOURS)
def test_depmod_reads_the_modules_and_finds_the_same(name: str, tmp_path: Path) -> None:
    files = modules.tree("1.2.3", name)
    write(files, tmp_path)
    folder = tmp_path / "lib/modules/1.2.3"
    before = {file: (folder / file).read_text() for file in modindex.TEXTS if (folder / file).exists()}
    subprocess.run(["depmod", "-a", "-b", tmp_path, "1.2.3"], check=True, capture_output=True)
    after = {file: (folder / file).read_text() for file in before}
    ours, theirs = modindex.parse(before, "/lib/modules/1.2.3"), modindex.parse(after)
    assert ours.paths == theirs.paths
    assert {m: set(n) for m, n in ours.needs.items()} == {m: set(n) for m, n in theirs.needs.items()}
    assert sorted(ours.aliases) == sorted(theirs.aliases)
    assert sorted(ours.symbols) == sorted(theirs.symbols)


@pytest.mark.skipif(shutil.which("modinfo") is None, reason="needs kmod")
def test_modinfo_sees_the_signature(tmp_path: Path) -> None:
    files = modules.tree("1.2.3", "al2023")
    path = tmp_path / "nvme.ko"
    path.write_bytes(files["/usr/lib/modules/1.2.3/kernel/drivers/nvme/host/nvme.ko"])
    shown = subprocess.run(["modinfo", path], check=True, capture_output=True, text=True).stdout
    assert "Example kernel signing key" in shown
    assert "depends:        nvme_core" in shown
    assert "vermagic:       1.2.3 SMP mod_unload" in shown


@pytest.mark.parametrize(("kind", "flavour"), KINDS.items())
def test_each_kind_is_an_initramfs_to_the_tools(kind: str, flavour: str, tmp_path: Path) -> None:
    data = initramfs.build(kind, "1.2.3", modules.tree("1.2.3", flavour), early=kind == "dracut")
    found = image_format.parse(data)
    assert found.modules("1.2.3")
    path = tmp_path / "image"
    path.write_bytes(data)
    for tool in filter(shutil.which, ("lsinitramfs", "lsinitrd")):
        shown = subprocess.run([tool, path], capture_output=True, text=True, check=False).stdout
        assert "init" in shown, tool


def test_every_kind_is_tried() -> None:
    assert KINDS.keys() == initramfs.KINDS.keys()
