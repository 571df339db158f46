"""Drivers given by the user: laid down, made known to Windows, and honestly spoken of."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures import hives, windows
from imgpatch.errors import UsageError
from imgpatch.formats import registry
from imgpatch.options import _drivers
from imgpatch.plan import Choices
from imgpatch.transforms.windows import drivers, storage_drivers
from tests.transforms.windows.machines import after, notes, plan, value

INF = b'; ENA\r\n[Version]\r\nSignature = "$WINDOWS NT$"\r\nClass=Net ; x\r\n[Strings]\r\nClass="no"\r\n'
NVME = "\ufeff[version]\nCLASS = SCSIAdapter\n".encode("utf-16-le")
FILES = (("ena/ena.inf", INF), ("ena/ena.sys", b"MZ"), ("nvme/AWSNVMe.inf", NVME))
CHOSEN = Choices(drivers=FILES)
SOFTWARE = "/C:/Windows/System32/config/SOFTWARE"


@pytest.mark.parametrize(("known", "first"), [("", "%SystemRoot%\\inf"), ("D:\\inf", "D:\\inf")])
def test_they_are_laid_down_and_found(known: str, first: str) -> None:
    row = windows.row("2019")
    text = windows.software_text(row)
    if known:
        text += f'\n[{drivers.SETTINGS}]\n"DevicePath"="{known}"'.replace("\\inf", "\\\\inf")
    machine = windows.guest(row, {SOFTWARE: hives.build(text, name="SOFTWARE")})
    made = plan(machine, storage_drivers, drivers, choices=CHOSEN)
    done = after(machine, made)
    assert done.read("/C:/Windows/Drivers/imgpatch/ena/ena.sys") == b"MZ"
    root = registry.read(done.read(SOFTWARE) or b"")
    folders = ("%SystemRoot%\\Drivers\\imgpatch\\ena", "%SystemRoot%\\Drivers\\imgpatch\\nvme")
    assert value(root, drivers.SETTINGS, "DevicePath") == ";".join((first, *folders))
    assert plan(done, drivers, choices=CHOSEN).changes == ()
    assert "AWSNVMe.inf is for storage: Windows has stornvme" in notes(made)
    assert "ena.inf (Net) is installed by Windows itself" in notes(made)


def test_without_any_nothing_is_done() -> None:
    assert plan(windows.guest(windows.row("2019")), drivers).changes == ()


def test_a_folder_of_drivers(tmp_path: Path) -> None:
    (tmp_path / "ena").mkdir()
    (tmp_path / "ena/Ena.INF").write_bytes(INF)
    (tmp_path / "ena/link.sys").symlink_to("/etc/passwd")
    assert _drivers(tmp_path) == (("ena/Ena.INF", INF),)
    (tmp_path / "ena/con: .sys").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be the name"):
        _drivers(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no \.inf"):
        _drivers(tmp_path / "empty")
