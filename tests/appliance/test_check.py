"""Whole disks checked by the command: what it says, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures import ovas as made_ovas
from fixtures import text_disks
from imgpatch.cli import main
from imgpatch.images import probe
from imgpatch.images.appliance import Drive, launch
from tests.appliance.machines import MIB, ROOT, SECOND, small_disk
from tests.checks.changes import put
from tests.checks.machines import RELEASE, ubuntu
from tests.images import disks

pytestmark = pytest.mark.appliance

Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main(["check", "--json", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, json.loads(out)

    return run


def test_a_machine_that_is_imported_passes(tmp_path: Path, check: Check) -> None:
    (disk,) = text_disks.make(ubuntu().machine().guest, tmp_path, image_format="raw")
    code, found = check(disk)
    assert found["findings"] == []
    assert (code, found["verdict"]["fails"]) == (0, False)


def test_a_fault_is_told_in_the_words_of_the_service_and_stays_after(tmp_path: Path, check: Check) -> None:
    parts = put("/boot/grub/menu.lst", "title x\nroot (hd0,0)\nkernel /vmlinuz-x root=/dev/sda1\n")(ubuntu())
    (disk,) = text_disks.make(parts.machine().guest, tmp_path, image_format="raw")
    words = "ClientError: Multiple different grub/menu.lst files found."
    for option in ((), ("--after",)):
        code, found = check(disk, *option)
        assert (code, found["verdict"]["status_message"]) == (1, words)
        assert [finding["path"] for finding in found["findings"]] == ["/boot/grub/menu.lst"]


def test_two_roots(tmp_path: Path, check: Check) -> None:
    disk = small_disk(tmp_path, ROOT, SECOND)
    with launch([Drive(disk, "raw", writable=True)], probe.appliance_settings(probe.probe())) as appliance:
        appliance.mount("/dev/sda2", "/")
        appliance.mkdir_p("/etc")
        appliance.mkdir_p("/usr")
        appliance.umount_all()
    code, found = check(disk)
    assert (code, found["verdict"]["error"], found["verdict"]["opened"]) == (1, "E-26", False)
    assert "disk 1 partition 2" in found["findings"][0]["message"]


def test_a_link_for_fstab(tmp_path: Path, check: Check) -> None:
    parts = ubuntu().linked("/etc/fstab", "/nix/store/fstab")
    (disk,) = text_disks.make(parts.machine().guest, tmp_path, image_format="raw")
    code, found = check(disk, "--edition", "2024")
    words = "ClientError: Unable to find an etc directory with fstab."
    assert (code, found["verdict"]["status_message"]) == (1, words)


def test_half_a_volume_group(tmp_path: Path, check: Check) -> None:
    disks = [tmp_path / "a.img", tmp_path / "b.img"]
    for disk in disks:
        disk.write_bytes(bytes(48 * MIB))
    drives = [Drive(disk, "raw", writable=True) for disk in disks]
    with launch(drives, probe.appliance_settings(probe.probe())) as appliance:
        for name in ("/dev/sda", "/dev/sdb"):
            appliance.part_disk(name, "mbr")
            appliance.pvcreate(f"{name}1")
        appliance.vgcreate("vg", ["/dev/sda1", "/dev/sdb1"])
        appliance.lvcreate_free("root", "vg", 100)
        appliance.mkfs("ext4", "/dev/vg/root")
    code, found = check(disks[0])
    assert (code, found["verdict"]["error"]) == (1, "E-25")
    assert "vg" in found["findings"][0]["message"]


def test_a_damaged_file_system(tmp_path: Path, check: Check) -> None:
    """It is known by its superblock, and cannot be mounted: a machine without a root for the service too."""
    disk = small_disk(tmp_path)
    with disk.open("rb+") as file:
        file.seek(454)  # where the first partition of an MBR begins
        start = int.from_bytes(file.read(4), "little") * 512
        file.seek(start + 2048)  # its group descriptors
        file.write(b"\xff" * 2048)
    code, found = check(disk)
    assert (code, found["verdict"]["error"], found["verdict"]["opened"]) == (1, "E-15", False)
    assert "could not be mounted" in found["findings"][0]["message"]


@pytest.mark.parametrize(("subformat", "errors"), [("streamOptimized", []), ("monolithicSparse", ["E-04"])])
def test_the_file_and_what_is_on_it_are_both_checked(
    tmp_path: Path, check: Check, subformat: str, errors: list[str]
) -> None:
    (raw,) = text_disks.make(ubuntu().machine().guest, tmp_path, image_format="raw")
    vmdk = tmp_path / "disk.vmdk"
    disks.qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={subformat}", raw, vmdk)
    code, found = check(vmdk)
    assert (code, [finding["error"] for finding in found["findings"]]) == (len(errors), errors)
    assert found["verdict"]["opened"]
    ova = tmp_path / "vm.ova"
    drive = made_ovas.item(300, 15, ElementName="CD/DVD drive 1", HostResource="ovf:/file/file9")
    place = made_ovas.Place(file="disk.vmdk", size=vmdk.stat().st_size)
    text = made_ovas.vmware([place], extra_items=drive)
    ova.write_bytes(made_ovas.good({"disk.vmdk": vmdk.read_bytes()}, text=text))
    code, found = check(ova, "--after")
    assert (code, [finding["rule"] for finding in found["findings"]]) == (0, ["R-82"])
    assert "CD/DVD drive 1" in found["findings"][0]["message"]


def test_a_file_of_odd_length(tmp_path: Path, check: Check) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(MIB + 469))
    code, found = check(disk)
    assert code == 1
    assert found["verdict"]["status_message"] == "ClientError: No valid partitions. Not a valid volume."


def test_the_kernel_of_the_default_entry_is_the_one_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ubuntu().replaced("/boot/grub/grub.cfg", "set default=0", "set default=1")
    (disk,) = text_disks.make(parts.machine().guest, tmp_path, image_format="raw")
    assert main(["check", str(disk)]) == 1
    out = capsys.readouterr()[0]
    assert "ClientError: Unsupported kernel version 6.14.0-37-generic\n" in out
    assert f"{RELEASE} is installed and listed" in out
