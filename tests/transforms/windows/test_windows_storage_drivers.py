"""The driver of EC2's disks that is given: bound where it can be loaded, left and said where not."""

from __future__ import annotations

import contextlib

import pytest

from fixtures import hives, windows
from imgpatch.errors import FormatError
from imgpatch.guest import Guest
from imgpatch.inspection import inspect
from imgpatch.plan import Choices, Plan
from imgpatch.target import EC2
from imgpatch.transforms.windows import storage_drivers
from imgpatch.transforms.windows.driver_package import boot_driver
from tests.transforms.windows.driver_files import INF, SHA1, SHA256, driver
from tests.transforms.windows.machines import after, guest, notes, plan, system, value

LIBRARIES: dict[str, bytes | None] = {
    "/C:/Windows/System32/ntoskrnl.exe": b"MZ",
    "/C:/Windows/System32/drivers/storport.sys": b"MZ",
}
SERVICE = "ControlSet001\\Services\\NvmeDisk"
UPDATE = f"[{storage_drivers.PACKAGES}\\Package_for_KB4474419~31bf3856ad364e35~amd64~~6.1.3.2]\n"
EBS = "VEN_1D0F&DEV_8061"
SOFTWARE = "/C:/Windows/System32/config/SOFTWARE"


def given(text: str = INF, *, signature: bytes | None = SHA256, machine: str = "x86_64") -> Choices:
    sys = driver(machine, signature=signature)
    return Choices(drivers=(("nvme/nvme.inf", text.encode()), ("nvme/x64/NVMe.sys", sys)))


def machine(name: str, software: str = "", more: str = "") -> Guest:
    row = windows.row(name)
    text = windows.software_text(row) + software
    return guest(name, more, files={**LIBRARIES, SOFTWARE: hives.build(text, name="SOFTWARE")})


def made(name: str, choices: Choices, software: str = "") -> tuple[Guest, Plan]:
    found = machine(name, software)
    return found, plan(found, choices=choices)


def test_windows_server_2012_gets_it_in_its_driver_database() -> None:
    found, done = made("2012", given())
    root = system("2012", found, done)
    assert after(found, done).read("/C:/Windows/System32/drivers/nvme.sys") == driver()
    assert value(root, SERVICE, "Start") == 0
    assert value(root, SERVICE, "Group") == "SCSI miniport"
    assert value(root, SERVICE, "ImagePath") == "System32\\drivers\\nvme.sys"
    assert value(root, f"{SERVICE}\\Parameters\\PnpInterface", "5") == 1
    assert value(root, f"{SERVICE}\\Parameters", "Names") == ("a;b", "c")
    assert value(root, f"{SERVICE}\\Parameters", "Raw") == b"\x0a\xff\0\1"
    inf = "imgpatch_nvmedisk.inf"
    assert value(root, f"DriverDatabase\\DeviceIds\\PCI\\{EBS}", inf) == bytes.fromhex("01ff0000")
    assert value(root, f"DriverDatabase\\DeviceIds\\PCI\\{EBS}&REV_00", inf) is not None
    assert root.at("DriverDatabase\\DeviceIds\\PCI\\VEN_1D0F&DEV_CD01") is None
    label = value(root, f"DriverDatabase\\DriverInfFiles\\{inf}", "Active")
    package = f"DriverDatabase\\DriverPackages\\{label}"
    assert value(root, f"DriverDatabase\\DriverInfFiles\\{inf}", "") == (label,)
    version = value(root, package, "Version")
    assert isinstance(version, bytes)
    assert (len(version), version[:12].hex()) == (48, "00ff0900000000007be9364d")
    configuration = value(root, f"{package}\\Descriptors\\PCI\\{EBS}", "Configuration")
    settings = f"{package}\\Configurations\\{configuration}"
    assert value(root, settings, "Service") == "NvmeDisk"
    interrupts = f"{settings}\\Device\\Interrupt Management\\MessageSignaledInterruptProperties"
    assert value(root, interrupts, "MSISupported") == 1
    assert root.at("ControlSet001\\Control\\CriticalDeviceDatabase") is None
    assert "NvmeDisk is bound to PCI\\VEN_1D0F&DEV_8061" in notes(done)
    assert "has no stornvme" not in notes(done)


def test_windows_server_2008_r2_gets_it_as_a_critical_device_in_every_control_set() -> None:
    found, done = made("2008r2", given(), UPDATE + '"CurrentState"=dword:70')
    root = system("2008r2", found, done)
    for name in ("ControlSet001", "ControlSet002"):
        where = f"{name}\\Control\\CriticalDeviceDatabase\\PCI#{EBS}"
        assert value(root, where, "Service") == "NvmeDisk"
        assert value(root, where, "ClassGUID") == "{4D36E97B-E325-11CE-BFC1-08002BE10318}"
        assert value(root, f"{name}\\Services\\NvmeDisk", "Start") == 0
    assert root.at("DriverDatabase") is None


@pytest.mark.parametrize("name", ["2012", "2008r2"])
def test_it_is_bound_once(name: str) -> None:
    choices = given(signature=SHA1)
    found, done = made(name, choices)
    assert plan(after(found, done), choices=choices).changes == ()


@pytest.mark.parametrize("name", ["2012r2", "2019", "10"])
def test_where_windows_has_its_own_nothing_is_bound(name: str) -> None:
    found, done = made(name, given())
    assert system(name, found, done).at(SERVICE) is None
    assert after(found, done).read("/C:/Windows/Drivers/imgpatch/nvme/nvme.inf") == INF.encode()
    assert "Windows has stornvme for the disk it boots from" in notes(done)


@pytest.mark.parametrize(
    ("name", "software", "signature", "bound"),
    [
        pytest.param("2012", "", SHA256, True, id="SHA-256 on 2012"),
        pytest.param("2012", "", None, False, id="not signed"),
        pytest.param("2008r2", "", SHA1, True, id="SHA-1 on 2008 R2"),
        pytest.param("2008r2", "", SHA256, False, id="SHA-256 without the update"),
        pytest.param("2008r2", UPDATE + '"CurrentState"=dword:40', SHA256, False, id="update only staged"),
        pytest.param("2008r2", UPDATE + '"CurrentState"=dword:50', SHA256, True, id="update superseded"),
    ],
)
def test_only_what_windows_loads_is_bound(
    name: str, software: str, signature: bytes | None, *, bound: bool
) -> None:
    found, done = made(name, given(signature=signature), software)
    assert (system(name, found, done).at(SERVICE) is not None) == bound
    assert ("is laid down only, not bound" in notes(done)) != bound
    assert ("has no stornvme" in notes(done)) != bound


@pytest.mark.parametrize(
    ("before", "after_", "said"),
    [
        ("StartType      = %BOOT%", "StartType = 3", "makes no driver that starts at boot"),
        (r"%12%\nvme.sys", r"%13%\nvme.sys", "%12%\\NAME.sys was wanted"),
        (r"%12%\nvme.sys", r"%12%\other.sys", "of 0 files other.sys"),
        ("0x00000002, Service_Install", "0, Service_Install", "one for the device was wanted"),
        ("NTamd64.6.2", "NTamd64.6.3", "[Old_Install]"),
        ('HKR, "Parameters", "Raw", 1', 'HKLM, "Parameters", "Raw", 1', "is not known: HKLM"),
        ('HKR, "Parameters", "Raw", 1', 'HKR, "Parameters", "Raw", 0xb0001', "is not known: HKR"),
        ("0a, ff, 00", "0a, fff, 00", "bytes that are none"),
        ("{4D36E97B", "{4D36E97", "names no class"),
        ("AddService = NvmeDisk, 0x", "AddService = Nvme\\Disk, 0x", "no plain names"),
        ("ErrorControl   = 1", "ErrorControl = one", "where a number was wanted"),
        ("DEV_CD01\n", "DEV_8061\n", "2 of its sections"),
        (
            "[Disk_Install.NTamd64.Services]\n",
            "[Disk_Install.NTamd64.Services]\nInclude = x.inf\n",
            "has Include",
        ),
    ],
)
def test_an_inf_that_leaves_something_to_guess(before: str, after_: str, said: str) -> None:
    assert before in INF
    text = INF.replace(before, after_)
    text = text.replace("[Old_Install.Services]", "[Old_Install.Nothing]")
    found, done = made("2012", given(text))
    assert system("2012", found, done).at(SERVICE) is None
    assert said in notes(done)
    assert "is laid down only, not bound" in notes(done)


def test_a_driver_for_another_processor() -> None:
    found, done = made("2012", given(machine="i386"))
    assert system("2012", found, done).at(SERVICE) is None
    assert "of 1 files nvme.sys beside it 0 are made for x86_64" in notes(done)


def test_a_driver_of_32_bit() -> None:
    """No signature is asked for; the models of the processor are taken."""
    found, done = made("7", given(machine="i386", signature=None))
    assert value(system("7", found, done), SERVICE, "Start") == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/C:/Windows/System32/drivers/storport.sys": None}, "is linked to storport.sys"),
        ({"/C:/Windows/System32/drivers/NVME.SYS": b"MZ other"}, "the guest has another nvme.sys already"),
    ],
)
def test_what_the_guest_lacks_or_has(files: dict[str, bytes | None], said: str) -> None:
    found = guest("2012", files={**LIBRARIES, **files})
    done = plan(found, choices=given())
    assert system("2012", found, done).at(SERVICE) is None
    assert said in notes(done)


def test_a_windows_of_64_bit_without_a_driver_database() -> None:
    text = windows.system_text(windows.row("2012"))
    start, end = text.index("[DriverDatabase]"), text.index("[ControlSet001\\Control\\ProductOptions]")
    found = guest("2012", without=text[start:end], files=LIBRARIES)
    assert "with its driver database in SYSTEM" in notes(plan(found, choices=given()))


def test_storage_of_other_machines_is_for_windows_to_install() -> None:
    found, done = made("2012", given(INF.replace("VEN_1D0F", "VEN_1AF4")))
    assert system("2012", found, done).at(SERVICE) is None
    assert "it is for no disk that EC2 boots from" in notes(done)
    assert "has no stornvme" in notes(done)


def test_an_inf_that_breaks_off_anywhere() -> None:
    release = windows.row("2012")
    found = inspect(windows.guest(release), EC2).windows
    assert found is not None
    bound = 0
    for size in range(len(INF)):
        files = (("x.inf", INF[:size].encode()), ("nvme.sys", driver()))
        with contextlib.suppress(FormatError):
            bound += boot_driver("x.inf", files, found.release) is not None
    assert 0 < bound < len(INF) / 4
