"""Originals kept in initramfs-tools' folders and in /boot are read by none of the real tools."""

from __future__ import annotations

import posixpath
import re
import subprocess
from pathlib import Path

import pytest

from imgpatch.originals import kept_name

MKINITRAMFS = Path("/usr/sbin/mkinitramfs")
FUNCTIONS = Path("/usr/share/initramfs-tools/scripts/functions")
HOOK_FUNCTIONS = Path("/usr/share/initramfs-tools/hook-functions")
SUFFIX = ".imgpatch.orig"

pytestmark = pytest.mark.skipif(not MKINITRAMFS.exists(), reason="needs initramfs-tools-core")


def kept(path: str) -> str:
    return posixpath.basename(kept_name(path, SUFFIX))


def sh(script: str, folder: Path) -> str:
    run = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return run.stdout


def cut(path: Path, first: str, last: str) -> str:
    """The tool's own lines, from one that begins with `first` to the next that begins with `last`."""
    lines = path.read_text().split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number, line in enumerate(lines[start:], start) if line.startswith(last))
    return "\n".join(lines[start : end + 1])


def test_conf_d_does_not_source_the_original(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "resume").write_text("echo sourced-new\n")
    (folder / kept("/etc/initramfs-tools/conf.d/resume")).write_text("echo sourced-original\n")
    (folder / "resume.orig").write_text("echo sourced-by-any-other-name\n")
    function = cut(MKINITRAMFS, "maybe_add_conf()", "}")
    loop = cut(MKINITRAMFS, 'for i in "${CONFDIR}"/conf.d/*', "done")
    shown = sh(f"CONFDIR={tmp_path}; EXTRA_CONF=''\n{function}\n{loop}", tmp_path)
    assert shown.split() == ["sourced-new", "sourced-by-any-other-name"]


@pytest.mark.parametrize("folder", ["hooks", "scripts/init-premount"])
def test_hooks_and_scripts_do_not_run_the_original(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    original = kept(f"/etc/initramfs-tools/{folder}/mine")
    for name in ("mine", original):
        script = f'#!/bin/sh\n[ "$1" = prereqs ] && exit 0\necho "ran {name}"\n'
        (tmp_path / folder / name).write_text(script)
        (tmp_path / folder / name).chmod(0o755)
    shown = sh(f"verbose=n; . {FUNCTIONS}; . {HOOK_FUNCTIONS}; run_scripts {tmp_path / folder}", tmp_path)
    assert shown.split("\n") == ["ran mine", ""]


def test_scripts_of_the_guest_are_copied_without_the_original(tmp_path: Path) -> None:
    (tmp_path / "scripts/local-top").mkdir(parents=True)
    for name in ("mine", kept("/etc/initramfs-tools/scripts/local-top/mine")):
        (tmp_path / "scripts/local-top" / name).touch()
    find = re.search(r'\$\((cd "\$\{CONFDIR\}/scripts" .*?-print)\)', MKINITRAMFS.read_text(), re.DOTALL)
    assert find is not None
    assert sh(f"CONFDIR={tmp_path}\n{find.group(1)}", tmp_path).split() == ["./local-top/mine"]


def test_modules_is_read_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "modules").write_text("nvme\n")
    (tmp_path / kept("/etc/initramfs-tools/modules")).write_text("original\n")
    loop = cut(MKINITRAMFS, 'for x in "${CONFDIR}/modules"', "done")
    function = cut(HOOK_FUNCTIONS, "add_modules_from_file()", "}")
    shown = sh(f'CONFDIR={tmp_path}\nforce_load() {{ echo "load $1"; }}\n{function}\n{loop}', tmp_path)
    assert "load nvme" in shown
    assert "original" not in shown


def test_update_initramfs_and_grub_find_no_kernel_in_an_original(tmp_path: Path) -> None:
    """linux-version list, grub's 10_linux and update-initramfs look for names that begin without a dot."""
    boot = tmp_path / "boot"
    boot.mkdir()
    for name in ("vmlinuz-6.1", "initrd.img-6.1", "config-6.1"):
        (boot / name).touch()
        (boot / kept(f"/boot/{name}")).touch()
    shown = sh(
        "ls boot/vmlinuz-* boot/vmlinux-* boot/kernel-* boot/initrd* boot/config-* 2>/dev/null || true",
        tmp_path,
    )
    assert shown.split() == ["boot/config-6.1", "boot/initrd.img-6.1", "boot/vmlinuz-6.1"]
    assert all(kept(f"/boot/{name}").startswith(".") for name in ("vmlinuz-6.1", "initrd.img-6.1"))
