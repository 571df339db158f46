"""Where GRUB's menu is, what is in it, and what it boots."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest

from imgpatch.formats import grubenv
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.storage import Device, Disk, Storage
from tests import grub_corpus

ESP = Device(
    disk=0, partition=1, fstype="vfat", parttype="c12a7328-f81f-11d2-ba4b-00a0c93ec93b", uuid="AAAA-0001"
)
BOOT = Device(disk=0, partition=2, fstype="ext4", uuid="b0b0b0b0-0000")
ROOT = Device(disk=0, partition=3, fstype="ext4", uuid="c0c0c0c0-0000")
UEFI = {"/": ROOT, "/boot": BOOT, "/boot/efi": ESP}

MENU = """set default="{default}"
set timeout=5
menuentry 'A' --id a {{
  linux /boot/vmlinuz-1 root=UUID=c0 ro
  initrd /boot/ucode.img /boot/initrd.img-1
}}
submenu 'More' --id more {{
  menuentry 'B' --id b {{ linux /boot/vmlinuz-2 root=UUID=c0 single; initrd /boot/initrd.img-2; }}
  menuentry 'C > D' {{ linux /boot/vmlinuz-3 root=UUID=c0; }}
}}
menuentry 'Setup' {{ fwsetup; }}
"""


def guest(
    files: Mapping[str, str | bytes],
    mounts: Mapping[str, Device] | None = None,
    links: Mapping[str, str] | None = None,
) -> Guest:
    mounted = {"/": ROOT} if mounts is None else mounts
    devices = tuple(dict.fromkeys(mounted.values()))
    contents = {p: d.encode() if isinstance(d, str) else d for p, d in files.items()}
    folding = [point for point, device in mounted.items() if device.fstype == "vfat"]
    tree = MemoryTree(contents, links=links, case_folding=folding)
    return Guest(tree, Storage((Disk("gpt", 1),), devices, mounted))


def bootloader(of: Guest) -> Bootloader:
    found = inspect_bootloader(of)
    assert found is not None
    return found


def default_of(cfg: str, **files: str | bytes) -> str | None:
    extra = {f"/boot/grub/{name}": data for name, data in files.items()}
    entry = bootloader(guest({"/boot/grub/grub.cfg": cfg, **extra})).default
    return None if entry is None else entry.title


@pytest.mark.parametrize(
    ("default", "title"),
    [
        ("0", "A"),
        ("", "A"),
        ("a", "A"),
        ("1", "B"),
        ("1>0", "B"),
        ("1>1", "C > D"),
        ("more>b", "B"),
        ("More>B", "B"),
        ("more>C >> D", "C > D"),
        ("more>nothing", "B"),
        ("gone", "A"),
        ("17", "A"),
        ("0x1>1", "C > D"),
        ("2", None),
        ("Setup", None),
    ],
)
def test_the_default_is_what_grub_boots(default: str, title: str | None) -> None:
    assert default_of(MENU.format(default=default)) == title


def test_an_entry_says_what_it_boots() -> None:
    first, second, third = bootloader(guest({"/boot/grub/grub.cfg": MENU.format(default=0)})).entries
    assert (first.kernel, first.initrds) == ("/boot/vmlinuz-1", ("/boot/ucode.img", "/boot/initrd.img-1"))
    assert first.cmdline == "root=UUID=c0 ro"
    assert (first.position, first.name, first.id) == ("0", "a", "a")
    assert (second.position, second.name) == ("1>0", "more>b")
    assert (third.position, third.name, third.id) == ("1>1", "more>C >> D", None)


SAVED = """if [ -s $prefix/grubenv ]; then load_env; fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="${saved_entry}"
fi
"""


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({}, "A"),
        ({"saved_entry": "more>b"}, "B"),
        ({"saved_entry": "more>b", "next_entry": "a"}, "A"),
        ({"saved_entry": "gone"}, "A"),
    ],
)
def test_the_environment_block_decides(settings: Mapping[str, str], title: str) -> None:
    cfg = SAVED + MENU.split("\n", 1)[1].format()
    assert default_of(cfg, grubenv=grubenv.created(settings)) == title


def test_no_environment_block_means_the_first_entry() -> None:
    assert default_of(SAVED + MENU.split("\n", 1)[1].format()) == "A"


def test_entries_with_the_same_id_are_told_apart() -> None:
    cfg = "".join(f"menuentry {title} --id x {{ linux /a; }}\n" for title in "TUU")
    names = [entry.name for entry in bootloader(guest({"/boot/grub2/grub.cfg": cfg})).entries]
    assert names == ["x", "U", "2"]


def test_a_stub_on_the_esp_is_no_menu() -> None:
    stub = (
        "search.fs_uuid b0b0b0b0-0000 root hd0,gpt2\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n"
    )
    cfg = "search --fs-uuid --set=root b0b0b0b0-0000\nmenuentry A { linux /vmlinuz-1; initrd /i; }\n"
    found = bootloader(
        guest(
            {"/boot/efi/EFI/debian/grub.cfg": stub, "/boot/grub/grub.cfg": cfg, "/boot/vmlinuz-1": ""},
            UEFI,
        )
    )
    assert found.configs == ("/boot/grub/grub.cfg",)
    assert found.entries[0].kernel == "/boot/vmlinuz-1"
    assert found.entries[0].initrds == ("/boot/i",)


def test_the_firmware_says_which_of_two_menus_comes_first() -> None:
    files = {
        "/boot/efi/EFI/redhat/grub.cfg": "menuentry E { linux /e; }",
        "/boot/grub2/grub.cfg": "menuentry B { linux /b; }",
    }
    uefi = bootloader(guest(files, UEFI))
    bios = bootloader(guest(files, {"/": ROOT, "/boot": BOOT}))
    assert [entry.title for entry in (*uefi.entries, *bios.entries)] == ["E", "B"]
    assert len(uefi.configs) == 2


def test_the_menu_may_be_a_link_into_the_esp() -> None:
    of = guest(
        {"/boot/efi/EFI/centos/grub.cfg": "menuentry E { linuxefi /vmlinuz-1; }"},
        UEFI,
        links={"/boot/grub2/grub.cfg": "../efi/EFI/centos/grub.cfg"},
    )
    assert bootloader(of).configs == ("/boot/efi/EFI/centos/grub.cfg",)
    assert bootloader(of).entries[0].kernel == "/boot/vmlinuz-1"


def test_a_btrfs_path_begins_with_its_subvolume() -> None:
    root = Device(disk=0, partition=1, fstype="btrfs", uuid="d0")
    cfg = "search --fs-uuid --set=root d0\n"
    cfg += "menuentry A { linux /@/boot/vmlinuz-1; initrd /@/boot/initrd.img-1; }\n"
    files = {"/boot/grub/grub.cfg": cfg, "/boot/vmlinuz-1": "", "/boot/initrd.img-1": ""}
    entry = bootloader(guest(files, {"/": root, "/home": root})).entries[0]
    assert (entry.kernel, entry.initrds) == ("/boot/vmlinuz-1", ("/boot/initrd.img-1",))


def test_a_kernel_may_be_a_link() -> None:
    of = guest(
        {"/boot/grub/grub.cfg": "menuentry A { linux /vmlinuz; }", "/boot/vmlinuz-6": ""},
        links={"/vmlinuz": "boot/vmlinuz-6"},
    )
    assert bootloader(of).entries[0].kernel == "/boot/vmlinuz-6"


BLS_MENU = 'load_env\nset default="${saved_entry}"\nset timeout=5\nset kernelopts="root=UUID=c0 ro"\nblscfg\n'


def bls_guest(saved: str, *releases: str) -> Guest:
    files: dict[str, str | bytes] = {"/boot/grub2/grub.cfg": BLS_MENU}
    files["/boot/grub2/grubenv"] = grubenv.created({"saved_entry": saved})
    for release in releases:
        text = f"title Linux {release}\nlinux /vmlinuz-{release}\ninitrd /initramfs-{release}.img\n"
        text += "options $kernelopts x\n"
        files[f"/boot/loader/entries/9abc-{release}.conf"] = text
        files[f"/boot/vmlinuz-{release}"] = b""
    return guest(files, {"/": ROOT, "/boot": BOOT})


def test_loader_entries_come_newest_first() -> None:
    found = bootloader(
        bls_guest("", "4.18.0-80.el8", "0-rescue", "4.18.0-305.3.el8", "4.18.0-305.el8", "5.1-1")
    )
    assert [entry.id for entry in found.entries] == [
        "9abc-5.1-1",
        "9abc-4.18.0-305.3.el8",
        "9abc-4.18.0-305.el8",
        "9abc-4.18.0-80.el8",
        "9abc-0-rescue",
    ]
    assert found.bls
    assert found.entries[0].cmdline == "root=UUID=c0 ro x"
    assert found.entries[0].kernel == "/boot/vmlinuz-5.1-1"
    assert found.entries[0].source == "/boot/loader/entries/9abc-5.1-1.conf"


@pytest.mark.parametrize(
    ("saved", "entry"),
    [("9abc-1-1", "9abc-1-1"), ("1", "9abc-1-1"), ("Linux 1-1", "9abc-1-1"), ("", "9abc-2-1")],
)
def test_an_id_that_begins_with_a_digit_is_an_id(saved: str, entry: str) -> None:
    default = bootloader(bls_guest(saved, "1-1", "2-1")).default
    assert default is not None
    assert default.id == entry


def test_timeouts() -> None:
    def timeout(text: str) -> tuple[int | None, str]:
        found = bootloader(guest({"/boot/grub/grub.cfg": f"{text}\nmenuentry A {{ linux /a; }}\n"}))
        return found.timeout, found.timeout_style

    assert timeout("set timeout=5") == (5, "menu")
    assert timeout("set timeout=-1") == (None, "menu")
    assert timeout("") == (None, "menu")
    hidden = "if [ x$feature_timeout_style = xy ]; then set timeout_style=hidden; set timeout=0; fi"
    assert timeout(hidden) == (0, "hidden")


def test_no_grub_is_none() -> None:
    assert inspect_bootloader(guest({"/boot/extlinux/extlinux.conf": ""})) is None
    assert inspect_bootloader(guest({"/boot/grub/grub.cfg": "set timeout=5\n"})) is None


@pytest.mark.parametrize(
    "cfg",
    [
        "while true; do set x=1; done\nmenuentry A { linux /a; }\n",
        "function f { f; f; }\nf\nmenuentry A { linux /a; }\n",
        "source /boot/grub/grub.cfg\nmenuentry A { linux /a; }\n",
        "function f { if a; then if a; then if a; then f; fi; fi; fi; }\nf\nmenuentry A { linux /a; }\n",
        "if a; then\n" * 90 + "source /boot/grub/grub.cfg\n" + "fi\n" * 90 + "menuentry A { linux /a; }\n",
        "submenu A {\n" * 150 + "}\n" * 150 + "menuentry A { linux /a; }\n",
        "menuentry A { linux /a root=1; }\n" * 20_000,
    ],
    ids=["loop", "recursion", "sources itself", "deep recursion", "deep sources", "deep", "many"],
)
def test_a_hostile_script_ends(cfg: str) -> None:
    start = time.process_time()
    inspect_bootloader(guest({"/boot/grub/grub.cfg": cfg}))
    assert time.process_time() - start < 10


JSON = {
    path.removeprefix("u-root__pkg_boot_grub_testdata_new_").removesuffix(".json"): data
    for path, data in grub_corpus.files("misc").items()
    if path.startswith("u-root__pkg_boot_grub_testdata_new_") and path.endswith(".json")
}


@pytest.mark.skipif(not JSON, reason="the corpora are not here")
@pytest.mark.parametrize("name", sorted(JSON))
def test_another_reader_of_grub_scripts_finds_the_same_entries(name: str) -> None:
    stem = f"u-root__pkg_boot_grub_testdata_new_{name}"
    (cfg,) = (data for path, data in grub_corpus.files("grub2-cfg").items() if path.startswith(stem))
    whole = "another" in name  # an image of the root, the others are of /boot
    of = guest({"/boot/grub2/grub.cfg": cfg}, {"/": ROOT} if whole else {"/": ROOT, "/boot": BOOT})

    def path(url: str) -> str:
        tail = url.removeprefix(f"file:///testdata_new/{name}")
        return tail if whole else f"/boot{tail}"

    def theirs(entry: dict[str, object]) -> tuple[str, ...]:
        parts = entry.get("modules") or [entry["kernel"], entry.get("initrd")]
        assert isinstance(parts, list)
        line = parts[0].get("cmdline", entry["cmdline"]).partition("placeholder ")
        return (str(entry["name"]), line[2] or line[0], *(path(part["url"]) for part in parts[:2]))

    ours = [(e.title, e.cmdline, e.kernel, *e.initrds) for e in bootloader(of).entries]
    assert sorted(ours) == sorted(map(theirs, json.loads(JSON[name])))


def test_every_real_script_is_carried_out() -> None:
    for category, path in (("grub2-cfg", "/boot/grub/grub.cfg"), ("grub-legacy", "/boot/grub/menu.lst")):
        for name, data in grub_corpus.files(category).items():
            for mutation in grub_corpus.mutations(data, name)[:8]:
                inspect_bootloader(guest({path: mutation}))
