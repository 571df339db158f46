"""GRUB legacy: which menu is read, which entry is booted by itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.storage import Device, Disk, Storage
from tests import grub_corpus

ESP = Device(disk=0, partition=1, fstype="vfat", parttype="c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BOOT = Device(disk=0, partition=2, fstype="ext3", uuid="b0b0-boot")
ROOT = Device(disk=0, partition=3, fstype="ext3", uuid="c0c0-root")
MENU_LST, GRUB_CONF = "/boot/grub/menu.lst", "/boot/grub/grub.conf"
KERNELS = {f"/boot/vmlinuz-{name}": "x" for name in "ABCD"}


def guest(
    files: Mapping[str, str | bytes],
    links: Mapping[str, str] | None = None,
    mounts: Mapping[str, Device] | None = None,
) -> Guest:
    mounted = {"/": ROOT, "/boot": BOOT} if mounts is None else mounts
    contents = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    tree = MemoryTree(
        contents, links=links, case_folding=[p for p, d in mounted.items() if d.fstype == "vfat"]
    )
    return Guest(tree, Storage((Disk("dos", 1),), tuple(dict.fromkeys(mounted.values())), mounted))


def bootloader(of: Guest) -> Bootloader:
    found = inspect_bootloader(of)
    assert found is not None
    return found


def title(name: str, *more: str) -> str:
    lines = ["root (hd0,0)", f"kernel /vmlinuz-{name} ro root=LABEL=/", f"initrd /initrd-{name}.img", *more]
    return "\n".join([f"title {name}", *(f"\t{line}" for line in lines)]) + "\n"


ABC = title("A") + title("B") + title("C")


def default_of(head: str, menu: str = ABC, saved: str | None = None, gone: str = "") -> str | None:
    files = {path: data for path, data in KERNELS.items() if path[-1] not in gone}
    files[MENU_LST] = head + menu
    if saved is not None:
        files["/boot/grub/default"] = saved
    entry = bootloader(guest(files)).default
    return None if entry is None else entry.title


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("", "A"),
        ("default 1\n", "B"),
        ("default=2\n", "C"),
        ("default = 0x1\n", "B"),
        ("default\t1 # the second\n", "B"),
        ("default 1\ndefault 2\n", "C"),
        ("default 3\n", "A"),
        ("default 3\nfallback 1\n", "B"),
        ("default 3\nfallback 9 2\n", "C"),
        ("default saved\n", "A"),
        ("default /default\n", "A"),
        ("#default 2\n", "A"),
    ],
)
def test_the_default_is_a_place_among_the_titles(head: str, wanted: str) -> None:
    assert default_of(head) == wanted


def test_a_saved_default_stands_in_a_file_beside_the_menu() -> None:
    assert default_of("default saved\n", saved="2\n#\n#\n# WARNING: do not remove any line\n") == "C"
    assert default_of("default 1\n", saved="2\n#\n") == "B"


@pytest.mark.parametrize(
    ("menu", "wanted"),
    [
        ("title Windows\nrootnoverify (hd0,0)\nchainloader +1\n" + ABC, "A"),
        ("title ----- older kernels: -----\n" + ABC, "B"),  # no command: GRUB does not count it
        ("title a\n# root\n  crud foo\n" + ABC, "B"),
        ("title Other operating systems:\nroot\n" + ABC, "A"),  # Debian's, which counts for its `root`
        ("title A \\\n with more\n" + ABC, "B"),
    ],
)
def test_titles_count_if_a_command_stands_under_them(menu: str, wanted: str) -> None:
    assert default_of("default 1\n", menu) == wanted


def test_the_fallback_is_booted_where_the_default_is_gone() -> None:
    assert default_of("default 0\nfallback 1 2\n", gone="A") == "B"
    assert default_of("default 0\nfallback 1 2\n", gone="AB") == "C"
    assert default_of("default 0\n", gone="A") == "A"


@pytest.mark.parametrize(
    ("head", "more", "locked"),
    [
        ("", (), False),
        ("password --md5 $1$x\n", (), False),  # only the menu's editing
        ("password --md5 $1$x\n", ("lock",), True),
        ("", ("lock",), False),
        ("", ("password x",), True),
    ],
)
def test_locked_entries(head: str, more: tuple[str, ...], locked: bool) -> None:
    (entry,) = bootloader(guest({MENU_LST: head + title("A", *more)})).entries
    assert entry.locked is locked


def test_what_an_entry_boots() -> None:
    menu = (
        "title SLES\n    root (hd0,1)\n    kernel (hd0,0)/vmlinuz root=/dev/sda2 \\\n splash=silent\n"
        "    initrd (hd0,0)/initrd\n"
        "title Xen\n\tkernel --type=multiboot /xen.gz-2.6.18 x=1G\n\tmodule /vmlinuz-A ro root=LABEL=/\n"
        "\tmodule /initrd-A.img\n"
        "title twice\nkernel /nothing\nkernel /vmlinuz-B single\n"
        "title memtest\nkernel /memtest\n"
    )
    files = {MENU_LST: menu, **KERNELS, "/boot/xen.gz-2.6.18": "x", "/boot/initrd-C": "x"}
    found = bootloader(guest(files, {"/boot/vmlinuz": "vmlinuz-C", "/boot/initrd": "initrd-C"}))
    entries = [(e.kernel, e.initrds, e.hypervisor, e.cmdline) for e in found.entries[:3]]
    assert entries == [
        ("/boot/vmlinuz-C", ("/boot/initrd-C",), None, "root=/dev/sda2 splash=silent"),
        ("/boot/vmlinuz-A", ("/boot/initrd-A.img",), "/boot/xen.gz-2.6.18", "ro root=LABEL=/"),
        ("/boot/vmlinuz-B", (), None, "single"),
    ]


def stage2(config: bytes) -> bytes:
    return bytes(0x212) + b"0.97\0" + config.ljust(64, b"\0") + b"the program"


@pytest.mark.parametrize(
    ("links", "program", "first"),
    [
        ({"/boot/grub/menu.lst": "./grub.conf", "/etc/grub.conf": "../boot/grub/grub.conf"}, None, GRUB_CONF),
        ({}, None, MENU_LST),
        ({}, stage2(b"/boot/grub/grub.conf"), GRUB_CONF),
        ({}, stage2(b"/grub/grub.conf"), GRUB_CONF),  # as `install` writes it for a separate /boot
        ({}, stage2(b"(hd0,0)/grub/menu.lst"), MENU_LST),
        ({"/etc/grub.conf": "../boot/grub/grub.conf"}, None, GRUB_CONF),
        ({"/etc/grub.conf": "../boot/grub/grub.conf"}, stage2(b"/boot/grub/menu.lst"), MENU_LST),
        ({}, b"short", MENU_LST),
    ],
)
def test_which_of_two_menus_is_read(links: dict[str, str], program: bytes | None, first: str) -> None:
    files: dict[str, str | bytes] = {GRUB_CONF: title("A"), MENU_LST: title("B")}
    if MENU_LST in links:
        del files[MENU_LST]
    if program is not None:
        files["/boot/grub/stage2"] = program
    found = bootloader(guest(files, links))
    assert found.configs[0] == first
    assert len(found.configs) == (1 if MENU_LST in links else 2)


def test_red_hat_6_by_uefi_has_its_menu_on_the_esp() -> None:
    path = "/boot/efi/EFI/redhat/grub.conf"
    of = guest(
        {path: title("A"), "/boot/vmlinuz-A": "x"}, mounts={"/": ROOT, "/boot": BOOT, "/boot/efi": ESP}
    )
    assert bootloader(of).configs == (path,)
    assert bootloader(of).entries[0].kernel == "/boot/vmlinuz-A"


def test_suse_s_etc_grub_conf_is_no_menu() -> None:
    setup = "setup --stage2=/boot/grub/stage2 --force-lba (hd0,1) (hd0,1)\nquit\n"
    assert bootloader(guest({MENU_LST: ABC, "/etc/grub.conf": setup})).configs == (MENU_LST,)
    assert inspect_bootloader(guest({"/etc/grub.conf": setup})) is None


GRUBBY_NEW = {  # grubby's own results: the index of the default, and of the entry that was added
    "grubby__test_results_add_g1.2": "Red Hat Linux (2.4.7-2)",
    "grubby__test_results_add_g1.10": "zonk",
    "grubby__test_results_default_g1.2": "Some_Title",
    "grubby__test_results_multiboot_g1.2": "Red Hat Linux (2.4.7-2)",
}


@pytest.mark.parametrize("name", sorted(GRUBBY_NEW))
def test_grubby_has_the_same_default(name: str) -> None:
    data = grub_corpus.files("grub-legacy").get(name)
    if data is None:
        pytest.skip("the corpora are not here")
    default = bootloader(guest({GRUB_CONF: data})).default
    assert default is not None
    assert default.title == GRUBBY_NEW[name]
