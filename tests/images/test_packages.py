from __future__ import annotations

from pathlib import Path

import pytest

from imgpatch.images import packages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\n", "apt install python3-guestfs"),
        ("NAME='x'\nID=ubuntu\nID_LIKE=debian\n", "apt install python3-guestfs"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "apt install python3-guestfs"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install python3-libguestfs"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper install python3-libguestfs"),
        ('ID="sles"\n', "zypper install python3-libguestfs"),
    ],
)
def test_the_package_of_this_distribution_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert packages.install("guestfs", packages.distribution(tmp_path / "os-release")) == expected


def test_elsewhere_every_name_is_given(tmp_path: Path) -> None:
    assert packages.distribution(tmp_path / "missing") == ()
    said = packages.install("qemu-img", ("arch",))
    assert "qemu-utils (Debian)" in said
    assert "qemu-img (Fedora)" in said


def test_ubuntu_has_a_kernel_package_of_its_own() -> None:
    assert packages.install("kernel", ("ubuntu", "debian")) == "apt install linux-image-virtual"
