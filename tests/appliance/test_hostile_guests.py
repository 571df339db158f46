"""Guests whose files are larger than they can be, or never end: refused, and never fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imgpatch.cli import main
from tests.appliance.machines import change, small_disk

pytestmark = pytest.mark.appliance


def test_an_fstab_of_100_gb_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hole: it takes no room in the guest, and would take all that the host has."""
    disk = small_disk(tmp_path)
    change(disk, ("truncate_size", "/etc/fstab", 100 << 30))
    before = hashlib.sha256(disk.read_bytes()).digest()
    assert main(["preview", str(disk)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"imgpatch: /etc/fstab: a file of {100 << 30} bytes in the guest, and ")
    assert hashlib.sha256(disk.read_bytes()).digest() == before


def test_a_file_beside_it_of_100_gb_is_left_alone(tmp_path: Path) -> None:
    """So is a pipe that stands where a file might."""
    disk = small_disk(tmp_path)
    huge = (("touch", "/etc/huge"), ("truncate_size", "/etc/huge", 100 << 30))
    change(disk, *huge, ("mkfifo", 0o644, "/etc/mdadm.conf"))
    assert main(["preview", str(disk)]) == 0
    assert main(["apply", str(disk), "--output", str(tmp_path / "a,b:c json:{}.img")]) == 0
