"""Which drivers start at boot, in every control set: a table that reads as the rules."""

from __future__ import annotations

import pytest

from fixtures import windows
from imgpatch.transforms.windows import boot_drivers
from tests.transforms.windows.machines import guest, notes, plan, system, value

SET = "ControlSet001\\Services"
NT5_DRIVERS = "/C:/WINDOWS/system32/drivers"


@pytest.mark.parametrize(
    ("name", "lines", "path", "wanted"),
    [
        pytest.param("2019", "", f"{SET}\\stornvme", 0, id="NVMe starts"),
        pytest.param("2019", f'[{SET}\\stornvme]\n"Start"=dword:3', f"{SET}\\stornvme", 0, id="by need"),
        pytest.param("2019", f'[{SET}\\stornvme]\n"Start"=dword:4', f"{SET}\\stornvme", 0, id="disabled"),
        pytest.param("2019", f'[{SET}\\stornvme]\n"Start"="3"', f"{SET}\\stornvme", 0, id="as a string"),
        pytest.param("2019", f'[{SET}\\stornvme]\n"Start"=qword:3', f"{SET}\\stornvme", 0, id="as a QWORD"),
        pytest.param(
            "2019",
            f'[{SET}\\stornvme]\n"Start"=hex(b):03,00,00,00',
            f"{SET}\\stornvme",
            0,
            id="as a short QWORD",
        ),
        pytest.param("2019", f'[{SET}\\storahci]\n"Start"=dword:4', f"{SET}\\storahci", 4, id="not needed"),
        pytest.param("2008r2", "", f"{SET}\\intelide", 0, id="the set that is not current"),
        pytest.param("2008r2", "", "ControlSet002\\Services\\intelide", 0, id="the current set"),
        pytest.param("2008r2", "", f"{SET}\\msahci", 0, id="msahci"),
        pytest.param("2008r2", "", f"{SET}\\intelppm", 3, id="a processor's driver of Vista on stays"),
        pytest.param("2003", "", f"{SET}\\intelppm", 4, id="a processor's driver of 2003 is off"),
        pytest.param("2003", f'[{SET}\\AmdK8]\n"Start"=dword:1', f"{SET}\\AmdK8", 4, id="AMD's"),
        pytest.param("2003", f'[{SET}\\p3]\n"Start"=dword:4', f"{SET}\\p3", 4, id="off already"),
        pytest.param("2003", "", f"{SET}\\atapi", 0, id="registered where it never was"),
        pytest.param("2003", "", f"{SET}\\symmpi", 0, id="the old controller's driver stays"),
        pytest.param("2019", f'[{SET}\\vmci]\n"Start"=dword:0', f"{SET}\\vmci", 0, id="VMware's stays"),
        pytest.param("2019", "", f"{SET}\\usbprint", 3, id="what is not for booting stays"),
    ],
)
def test_start(name: str, lines: str, path: str, wanted: int) -> None:
    machine = guest(name, lines)
    assert value(system(name, machine, plan(machine, boot_drivers)), path, "Start") == wanted


@pytest.mark.parametrize(
    ("lines", "service", "left"),
    [
        ("", "stornvme", False),
        (f'[{SET}\\pci]\n"Start"=dword:0\n[{SET}\\pci\\StartOverride]\n"0"=dword:3', "pci", False),
        (f'[{SET}\\other]\n"Start"=dword:0\n[{SET}\\other\\StartOverride]\n"0"=dword:3', "other", False),
        (f'[{SET}\\atapi]\n"Start"=dword:3', "atapi", False),
        ("", "usbprint", True),
    ],
)
def test_start_override(lines: str, service: str, left: bool) -> None:
    machine = guest("2019", lines)
    root = system("2019", machine, plan(machine, boot_drivers))
    assert (root.at(f"{SET}\\{service}\\StartOverride") is not None) == left


def test_a_disabled_driver_is_said() -> None:
    made = plan(guest("2019", f'[{SET}\\atapi]\n"Start"=dword:4'), boot_drivers)
    assert "atapi: the driver was disabled on purpose" in notes(made)


def test_a_driver_without_its_file_is_left_and_said() -> None:
    machine = guest(
        "2008r2",
        f'[{SET}\\intelide]\n"Start"=dword:3',
        files={
            "/C:/Windows/System32/drivers/intelide.sys": None,
            "/C:/Windows/System32/drivers/pciide.sys": None,
        },
    )
    made = plan(machine, boot_drivers)
    assert value(system("2008r2", machine, made), f"{SET}\\intelide", "Start") == 3
    assert "has no intelide or pciide for the disk controller" in notes(made)


def test_2003_gets_its_controllers_bound_once() -> None:
    machine = guest("2003")
    root = system("2003", machine, plan(machine, boot_drivers))
    database = "ControlSet001\\Control\\CriticalDeviceDatabase"
    assert value(root, f"{database}\\primary_ide_channel", "Service") == "atapi"
    assert value(root, f"{database}\\PCI#VEN_8086&DEV_7010", "Service") == "intelide"
    assert value(root, f"{database}\\gendisk", "Service") == "disk"
    assert value(root, f"{SET}\\atapi", "ImagePath") == "system32\\DRIVERS\\atapi.sys"


def test_2003_without_the_files_gets_nothing_that_cannot_start() -> None:
    names = ("atapi", "intelide", "pciide")
    machine = guest("2003", files={f"{NT5_DRIVERS}/{name}.sys": None for name in names})
    made = plan(machine, boot_drivers)
    root = system("2003", machine, made)
    assert all(root.at(f"{SET}\\{name}") is None for name in names)
    assert "has no atapi for the disk channel" in notes(made)


def test_2003_without_what_its_ide_drivers_are_linked_to() -> None:
    machine = guest("2003", files={f"{NT5_DRIVERS}/pciidex.sys": None})
    root = system("2003", machine, plan(machine, boot_drivers))
    assert root.at(f"{SET}\\intelide") is None
    assert root.at(f"{SET}\\atapi") is not None


@pytest.mark.parametrize("name", ["2008", "2008r2", "7"])
def test_entries_that_a_generation_wrote_itself_stay(name: str) -> None:
    machine = guest(name)
    root = system(name, machine, plan(machine, boot_drivers))
    database = "ControlSet001\\Control\\CriticalDeviceDatabase"
    assert str(value(root, f"{database}\\pci#ven_8086&dev_7010", "DriverPackageId")).startswith("mshdc.inf")


def test_a_20_kb_value_in_the_way_is_said_and_only_its_key_stays() -> None:
    big = f'[{SET}\\atapi]\n"Start"=dword:3\n"big"=hex:{"00," * 20_000}00'
    machine = guest("2008r2", big)
    made = plan(machine, boot_drivers)
    root = system("2008r2", machine, made)
    assert value(root, f"{SET}\\atapi", "Start") == 3
    assert value(root, f"{SET}\\msahci", "Start") == 0
    assert "20001 bytes, which hivex cannot keep" in notes(made)


@pytest.mark.parametrize("row", windows.rows(), ids=lambda row: row.name)
def test_nvme_is_warned_of_where_a_generation_has_none(row: windows.Row) -> None:
    made = plan(windows.guest(row), boot_drivers)
    assert ("disk (NVMe)" in notes(made)) != row.has_nvme
