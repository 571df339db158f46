"""Kept originals beside boot files are read by no one: grub-mkconfig's own scripts, over a small tree.

The scripts of the installed GRUB run as they are, but for the folders they look into and grub-probe, which
would ask for real block devices.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgpatch.originals import kept_name

SUFFIX = ".imgpatch.orig"
MKCONFIG = Path("/usr/sbin/grub-mkconfig")
SCRIPTS = Path("/etc/grub.d")

needs_grub = pytest.mark.skipif(
    not (MKCONFIG.exists() and (SCRIPTS / "10_linux").exists()), reason="needs grub-common"
)

PROBE = """#!/bin/sh
case "$*" in
*target=device*) echo /dev/vda1 ;;
*target=fs_uuid*) echo 1111-2222 ;;
*target=fs*) echo ext2 ;;
esac
"""


def kept(root: Path, path: str) -> Path:
    """The place of a file's original in a tree below `root`."""
    return root / kept_name(path, SUFFIX).lstrip("/")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A guest with one kernel, and an original beside every file that imgpatch may change."""
    root = tmp_path / "root"
    files = {
        "/etc/default/grub": "GRUB_TIMEOUT=5\n",
        "/etc/default/grub.d/50-cloud.cfg": 'GRUB_CMDLINE_LINUX="from-the-drop-in"\n',
        "/etc/grub.d/40_custom": "#!/bin/sh\necho '# from 40_custom'\n",
        "/boot/vmlinuz-6.1.0-25-amd64": "kernel",
        "/boot/initrd.img-6.1.0-25-amd64": "initrd",
        "/boot/grub/grub.cfg": "# menu\n",
        "/boot/loader/entries/a-6.1.conf": "title a\n",
    }
    for path, text in files.items():
        for place in (root / path.lstrip("/"), kept(root, path)):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    drop_in = kept(root, "/etc/default/grub.d/50-cloud.cfg")
    drop_in.write_text('GRUB_CMDLINE_LINUX="from-the-original"\n')
    for custom in (root / "etc/grub.d/40_custom", kept(root, "/etc/grub.d/40_custom")):
        custom.chmod(0o755)
    return root


def mkconfig(root: Path) -> str:
    """What the installed grub-mkconfig makes of the tree."""
    tools = root.parent / "tools"
    tools.mkdir()
    probe = tools / "grub-probe"
    probe.write_text(PROBE)
    relpath = tools / "grub-mkrelpath"
    relpath.write_text(f'#!/bin/sh\necho "${{1#{root}}}"\n')
    linux = (SCRIPTS / "10_linux").read_text()
    for folder in (" /boot/", " /vmlinuz", " /vmlinux"):
        linux = linux.replace(folder, f" {root}{folder.strip()}")
    (root / "etc/grub.d/10_linux").write_text(linux)
    script = MKCONFIG.read_text().replace('sysconfdir="/etc"', f'sysconfdir="{root}/etc"')
    script = script.replace('grub_probe="${sbindir}/grub-probe"', f'grub_probe="{probe}"')
    program = tools / "grub-mkconfig"
    program.write_text(script)
    for path in (probe, relpath, program, root / "etc/grub.d/10_linux"):
        path.chmod(0o755)
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C", "EUID": "0"}
    variables |= {"grub_probe": str(probe), "grub_mkrelpath": str(relpath)}
    result = subprocess.run([program], env=variables, capture_output=True, text=True, check=True)
    return result.stdout


@needs_grub
def test_grub_mkconfig_sees_each_file_once(tree: Path) -> None:
    menu = mkconfig(tree)
    assert "imgpatch" not in menu
    assert "from-the-drop-in" in menu
    assert "from-the-original" not in menu
    assert menu.count("# from 40_custom") == 1
    assert menu.count("menuentry '") == 3  # simple, advanced, recovery: one kernel
    assert "/boot/initrd.img-6.1.0-25-amd64" in menu


@needs_grub
def test_the_same_names_without_the_dot_would_be_seen(tree: Path) -> None:
    for path in ("/boot/vmlinuz-6.1.0-25-amd64", "/etc/grub.d/40_custom"):
        plain = tree / f"{path}{SUFFIX}".lstrip("/")
        kept(tree, path).rename(plain)
    menu = mkconfig(tree)
    assert menu.count("# from 40_custom") == 2
    assert f"vmlinuz-6.1.0-25-amd64{SUFFIX}" in menu


def test_every_kept_name_in_such_a_folder_has_the_dot() -> None:
    for path in (
        "/boot/grub/grub.cfg",
        "/boot/vmlinuz-6",
        "/boot/loader/entries/a.conf",
        "/boot/efi/EFI/x/grub.cfg",
    ):
        assert kept_name(path, SUFFIX).rpartition("/")[2].startswith(".")
    assert kept_name("/etc/default/grub", SUFFIX) == "/etc/default/grub.imgpatch.orig"
