"""The guest's own tool is told of the drivers in its own way, so that the next initramfs has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fixtures import modules
from imgpatch.plan import Edit, Note
from imgpatch.transforms.initramfs_tools import Tool, configuration, find_tool
from tests.transforms.test_initramfs import guest_of, plan_of, warnings

NAMES = ["xen-blkfront", "xen-netfront", "nvme", "ena"]


def told(
    tool: Tool, files: dict[str, bytes], names: list[str], everywhere: list[str] | None = None
) -> dict[str, str]:
    """What becomes of each file that changes; a second time nothing does."""
    rows = list(configuration(guest_of(files), tool, names, names if everywhere is None else everywhere))
    edits = {row.path: row.after or b"" for row in rows if isinstance(row, Edit)}
    again = configuration(guest_of(files | edits), tool, names, names if everywhere is None else everywhere)
    assert [row for row in again if isinstance(row, Edit)] == []
    return {path: data.decode() for path, data in edits.items()}


def noted(tool: Tool, files: dict[str, bytes], names: list[str], everywhere: list[str]) -> list[str]:
    return [
        row.text for row in configuration(guest_of(files), tool, names, everywhere) if isinstance(row, Note)
    ]


@pytest.mark.parametrize(
    ("files", "tool"),
    [
        ({"/usr/sbin/mkinitramfs": b"", "/usr/bin/dracut": b""}, Tool.INITRAMFS_TOOLS),
        ({"/sbin/dracut": b"", "/sbin/mkinitrd": b""}, Tool.DRACUT),
        (
            {"/usr/bin/dracut": b"", "/sbin/mkinitrd": b"", "/etc/sysconfig/kernel": b'INITRD_MODULES=""\n'},
            Tool.DRACUT,
        ),
        ({"/usr/bin/mkinitcpio": b""}, Tool.MKINITCPIO),
        ({"/sbin/mkinitrd": b"", "/etc/sysconfig/kernel": b'INITRD_MODULES="mptspi"\n'}, Tool.MKINITRD_SUSE),
        ({"/sbin/mkinitrd": b"", "/lib/mkinitrd/scripts/boot-start.sh": b""}, Tool.MKINITRD_SUSE),
        ({"/sbin/mkinitrd": b"", "/sbin/nash": b""}, Tool.MKINITRD_RED_HAT),
        ({"/sbin/mkinitrd": b"", "/etc/modprobe.conf": b""}, Tool.MKINITRD_RED_HAT),
        ({"/usr/bin/booster": b""}, Tool.BOOSTER),
        ({"/usr/sbin/mktirfs": b""}, Tool.TINY_INITRAMFS),
        ({"/etc/dracut.conf": b""}, Tool.DRACUT),
    ],
)
def test_which_tool(files: dict[str, bytes], tool: Tool) -> None:
    assert find_tool(guest_of(files)) is tool


def test_red_hat_5_gets_aliases_that_mkinitrd_and_the_network_look_for() -> None:
    conf = b"alias eth0 pcnet32\nalias scsi_hostadapter mptbase\nalias scsi_hostadapter1 mptspi"
    names = ["xen-platform-pci", "xen-vbd", "xen-vnif"]
    assert told(Tool.MKINITRD_RED_HAT, {"/etc/modprobe.conf": conf}, names) == {
        "/etc/modprobe.conf": conf.decode() + "\nalias scsi_hostadapter2 xen-vbd\nalias eth0 xen-vnif\n"
    }
    assert told(Tool.MKINITRD_RED_HAT, {}, names)["/etc/modprobe.conf"].startswith(
        "alias scsi_hostadapter xen-vbd\n"
    )


def test_red_hat_5_is_not_told_what_would_stop_mkinitrd_for_another_kernel() -> None:
    names = ["xen-blkfront", "xen-vbd"]
    assert told(Tool.MKINITRD_RED_HAT, {}, names, []) == {}
    [text] = noted(Tool.MKINITRD_RED_HAT, {}, names, [])
    assert "xen-blkfront, xen-vbd" in text
    assert "mkinitrd would stop" in text


def test_sles_11_gets_them_into_its_list(tmp_path: Path) -> None:
    text = '## Type: string\nINITRD_MODULES="mptspi ata_piix"\nDOMU_INITRD_MODULES="xennet xenblk"\n'
    done = told(Tool.MKINITRD_SUSE, {"/etc/sysconfig/kernel": text.encode()}, ["xen-vbd", "nvme"])
    assert done["/etc/sysconfig/kernel"] == text.replace("ata_piix", "ata_piix xen-vbd nvme")
    (tmp_path / "kernel").write_text(done["/etc/sysconfig/kernel"])
    shown = subprocess.run(
        ["sh", "-c", f". {tmp_path}/kernel; echo $INITRD_MODULES"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["mptspi", "ata_piix", "xen-vbd", "nvme"]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("MODULES=()", "MODULES=(nvme ena)"),
        ("MODULES=(ext4 nvme)", "MODULES=(ext4 nvme ena)"),
        ('MODULES=""', 'MODULES="nvme ena"'),
        ("MODULES=(ext4 )", "MODULES=(ext4 nvme ena)"),
    ],
)
def test_mkinitcpio(line: str, after: str) -> None:
    text = f"# vim:set ft=sh\n#MODULES=(old)\n{line}\nBINARIES=()\n"
    done = told(Tool.MKINITCPIO, {"/etc/mkinitcpio.conf": text.encode()}, ["nvme", "ena"])
    assert done == {"/etc/mkinitcpio.conf": text.replace(f"\n{line}\n", f"\n{after}\n")}


@pytest.mark.parametrize(
    "text", ["", "MODULES=(ext4\n  xfs)\n", "MODULES=$OTHER\n", "MODULES=\n", "MODULES=(a) # x\n"]
)
def test_mkinitcpio_in_a_form_not_known_is_left_and_said(text: str) -> None:
    files = {"/etc/mkinitcpio.conf": text.encode()}
    assert told(Tool.MKINITCPIO, files, ["nvme"]) == {}
    [note] = noted(Tool.MKINITCPIO, files, ["nvme"], ["nvme"])
    assert "/etc/mkinitcpio.conf is left" in note
    assert "nvme" in note


@pytest.mark.parametrize("tool", [Tool.BOOSTER, Tool.TINY_INITRAMFS, Tool.OTHER])
def test_other_tools_are_named(tool: Tool) -> None:
    [text] = noted(tool, {}, ["nvme"], ["nvme"])
    assert f"{tool}, which is not configured here" in text


def test_dracut_in_the_order_in_which_it_reads() -> None:
    folder, packaged = "/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d"
    files = {
        f"{packaged}/01-dist.conf": b'add_drivers+=" nvme "\n',
        f"{folder}/01-dist.conf": b"hostonly=yes\n",  # takes the place of the packaged one
        f"{folder}/10-a.conf": b'add_drivers+=" ena "\nadd_drivers="xen-blkfront"\n',
    }
    done = told(Tool.DRACUT, files, NAMES)
    assert done == {f"{folder}/imgpatch.conf": 'add_drivers+=" xen-netfront nvme ena "\n'}


def test_dracut_that_omits_or_takes_back_is_named_with_its_line() -> None:
    files = {
        "/etc/dracut.conf": b'# x\nomit_drivers+=" nvme floppy "\n',
        "/etc/dracut.conf.d/zz.conf": b'add_drivers="virtio_blk"\n',
    }
    texts = noted(Tool.DRACUT, files, NAMES, NAMES)
    assert texts[0].startswith("/etc/dracut.conf line 2: omit_drivers keeps nvme out")
    assert (
        texts[1]
        == "/etc/dracut.conf.d/zz.conf line 1: add_drivers= takes back /etc/dracut.conf.d/imgpatch.conf"
    )


def test_a_kernel_whose_xen_is_for_paravirtual_guests_only_is_named() -> None:
    tree = modules.tree("2.6.32-5-amd64", "debian6", without=["nvme"])
    tree["/boot/config-2.6.32-5-amd64"] = b"CONFIG_XEN=y\n"
    assert any("no CONFIG_XEN_PVHVM" in text for text in warnings(plan_of(guest_of(tree))))
