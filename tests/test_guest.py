"""Links, case and globs of a guest; and that a planned guest is a guest."""

from __future__ import annotations

import pytest

from imgpatch.errors import RefusedError
from imgpatch.guest import Guest, Kind, MemoryTree, Stat
from imgpatch.plan import planned
from imgpatch.storage import Storage


def guest(
    files: dict[str, bytes], links: dict[str, str] | None = None, folding: tuple[str, ...] = ()
) -> Guest:
    return Guest(MemoryTree(files, links=links, case_folding=folding), Storage())


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/etc/os-release", "/usr/lib/os-release"),
        ("/lib/modules/x", "/usr/lib/modules/x"),
        ("/etc/../etc/./os-release", "/usr/lib/os-release"),
        ("/etc/absolute", "/usr/lib/os-release"),
        ("/etc/escape", "/outside"),
        ("/etc/missing/deep", "/etc/missing/deep"),
        ("/", "/"),
    ],
)
def test_links_are_followed_inside_the_guest(path: str, real: str) -> None:
    links = {
        "/lib": "usr/lib",
        "/etc/os-release": "../lib/os-release",
        "/etc/absolute": "/lib/os-release",
        "/etc/escape": "../../../../outside",
    }
    assert guest({"/usr/lib/os-release": b"x"}, links).resolve(path) == real


def test_links_that_go_round_are_refused() -> None:
    with pytest.raises(RefusedError, match="too many levels of links"):
        guest({}, {"/a": "b", "/b": "a"}).read("/a")


def test_a_dangling_link_reads_as_missing() -> None:
    here = guest({}, {"/etc/resolv.conf": "../run/resolv.conf"})
    assert here.read("/etc/resolv.conf") is None
    assert not here.exists("/etc/resolv.conf")
    assert here.stat("/etc/resolv.conf", follow=False) == Stat(Kind.LINK, 0o777, target="../run/resolv.conf")


def test_reading_a_directory_is_one_clear_error() -> None:
    with pytest.raises(RefusedError, match="/etc: a directory of the guest"):
        guest({"/etc/fstab": b""}).read("/etc")


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(RefusedError, match="not an absolute path"):
        guest({}).read("etc/fstab")


def test_case_is_folded_where_the_file_system_folds_it() -> None:
    here = guest({"/boot/efi/EFI/debian/GRUBX64.EFI": b"grub", "/boot/x": b""}, folding=("/boot/efi",))
    assert here.resolve("/boot/efi/efi/DEBIAN/grubx64.efi") == "/boot/efi/EFI/debian/GRUBX64.EFI"
    assert here.resolve("/boot/efi/EFI/boot/BOOTX64.EFI") == "/boot/efi/EFI/boot/BOOTX64.EFI"
    assert here.read("/boot/X") is None


def test_globs_pass_over_leading_dots_and_folders_that_are_not_there() -> None:
    here = guest({"/etc/netplan/a.yaml": b"", "/etc/netplan/.b.yaml": b"", "/etc/netplan/c.yml": b""})
    assert here.glob("/etc/netplan/*.yaml") == ["/etc/netplan/a.yaml"]
    assert here.glob("/etc/netplan/.*") == ["/etc/netplan/.b.yaml"]
    assert here.glob("/etc/*/[ac].y*ml") == ["/etc/netplan/a.yaml", "/etc/netplan/c.yml"]
    assert here.glob("/nowhere/*") == []
    assert here.glob("/etc/netplan") == ["/etc/netplan"]


def test_a_planned_guest_answers_with_what_will_be() -> None:
    before = guest({"/etc/fstab": b"old", "/etc/gone": b"x"}, {"/lib": "usr/lib"})
    after = planned(before, {"/etc/fstab": b"newer", "/etc/gone": None, "/etc/new/deep/file": b"n"})
    assert after.read("/etc/fstab") == b"newer"
    assert after.read("/etc/gone") is None
    assert after.read("/etc/new/deep/file") == b"n"
    assert after.glob("/etc/*") == ["/etc/fstab", "/etc/new"]
    assert after.glob("/etc/new/*/*") == ["/etc/new/deep/file"]
    stat = after.stat("/etc/fstab")
    assert stat is not None
    assert stat.size == 5
    assert before.read("/etc/fstab") == b"old"
