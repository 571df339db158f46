"""Other readers of GRUB find the same: u-root, and what the tests of petitboot and grubby expect."""

from __future__ import annotations

import json

import pytest

from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.storage import Device, Disk, Storage
from tests import grub_corpus

ROOT = Device(disk=0, partition=1, fstype="ext4", uuid="c0")
BOOT = Device(disk=0, partition=2, fstype="ext4", uuid="b0")
CFG, ENV = "/boot/grub2/grub.cfg", "/boot/grub2/grubenv"
SCRIPTS, MISC = grub_corpus.files("grub2-cfg"), grub_corpus.files("misc")
ENTRIES, BLOCKS = grub_corpus.files("bls"), grub_corpus.files("grubenv")
pytestmark = pytest.mark.skipif(not SCRIPTS, reason="the corpora are not here")

PETITBOOT = "petitboot__test_parser_test-grub2-"
FEDORA_32 = "u-root__pkg_boot_bls_testdata_fedora_32"
BLSCFG = b"load_env\nset default=${saved_entry}\nset timeout=5\nblscfg\n"


def bootloader(files: dict[str, bytes]) -> Bootloader:
    guest = Guest(MemoryTree(files), Storage((Disk("gpt", 1),), (ROOT, BOOT), {"/": ROOT, "/boot": BOOT}))
    found = inspect_bootloader(guest)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "title", "kernel"),
    [
        ("default.c__L4", "test-option", "vmlinux"),
        ("default-index.c__L4", "test-option-1", "vmlinux.1"),
        ("default-id-space.c__L4", "test-option-1", "vmlinux.1"),
        ("default-multiword.c__L4", "Multiple word option", "vmlinux"),
        ("load-env.c__L4", "Linux", "vmlinux-from-env"),
        ("single-line-if.c__L4", "option true", "vmlinux"),
        ("nondefault-prefix.c__L4", "test option", "grub2/vmlinux"),
    ],
)
def test_petitboot_s_scripts_boot_what_petitboot_expects(name: str, title: str, kernel: str) -> None:
    block = BLOCKS[f"{PETITBOOT}load-env.c__L18"].ljust(1024, b"#")
    default = bootloader({CFG: SCRIPTS[f"{PETITBOOT}{name}"], ENV: block}).default
    assert default is not None
    assert (default.title, default.kernel) == (title, f"/boot/{kernel}")


@pytest.mark.parametrize(("saved", "release"), [("0", "4.15.2"), ("1", "4.14.18"), ("", "4.15.2")])
def test_petitboot_s_loader_entries(saved: str, release: str) -> None:
    stem = f"{PETITBOOT}blscfg-default-index.c__L"
    folder = "/boot/loader/entries/6c063c8e48904f2684abde8eea303f41-"
    files = {f"{folder}4.15.2-302.fc28.x86_64.conf": ENTRIES[f"{stem}24"]}
    files[f"{folder}4.14.18-300.fc28.x86_64.conf"] = ENTRIES[f"{stem}31"]
    block = f"# GRUB Environment Block\nsaved_entry={saved}\n".encode().ljust(1024, b"#")
    default = bootloader({CFG: BLSCFG, ENV: block, **files}).default
    assert default is not None
    assert release in default.kernel


def test_u_root_has_the_same_loader_entries() -> None:
    stem = f"{FEDORA_32}_loader_entries_"
    files = {
        f"/boot/loader/entries/{name.removeprefix(stem)}": data
        for name, data in ENTRIES.items()
        if name.startswith(stem)
    }
    ours = [(e.title, e.cmdline, e.kernel, *e.initrds) for e in bootloader({CFG: BLSCFG, **files}).entries]
    theirs = [
        (
            entry["name"].removesuffix(" 5.6.6-300.fc32.x86_64"),
            entry["cmdline"],
            *(entry[file]["name"].replace("testdata/fedora_32", "/boot") for file in ("kernel", "initrd")),
        )
        for entry in json.loads(MISC[f"{FEDORA_32}.json"])
    ]
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("add_g2-1.2", "title"),
        ("add_g2-1.6", "Linux, with Fedora 2.6.38.8-32.fc15.x86_64"),
        ("add_g2-1.10", "Linux, with Fedora 2.6.38.8-32.fc15.x86_64"),
        ("setdefaultindex_g2.1.0", "Linux, with Fedora 2.6.38.8-32.fc15.x86_64"),
        ("setdefaultindex_g2.1.9", "Linux, with Fedora 2.6.38.8-32.fc15.x86_64"),
    ],
)
def test_grubby_s_scripts_boot_what_grubby_set(name: str, title: str) -> None:
    default = bootloader({CFG: SCRIPTS[f"grubby__test_results_{name}"]}).default
    assert default is not None
    assert default.title == title
