"""What is read of a Windows guest: a table for each kind of fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fixtures import hives, windows
from imgpatch.errors import RefusedError
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import inspect
from imgpatch.inspection.windows import Windows
from imgpatch.reports import windows as report
from imgpatch.target import EC2
from tests.formats.test_reglog import dirty, entry, log
from tests.transforms.windows.machines import guest, system_path

CONTROL = "ControlSet001\\Control"
EFI = "/S:/EFI/Microsoft/Boot/BCD"


def found(machine: Guest, *, force: bool = False) -> Windows:
    inspection = inspect(machine, EC2, force_dirty_hives=force)
    assert inspection.windows is not None
    return inspection.windows


@pytest.mark.parametrize(
    ("name", "changes", "generation"),
    [
        ("10", {"build": 19045}, "Windows 10"),
        ("10", {"build": 22000}, "Windows 11"),
        ("10", {"build": 26200}, "Windows 11"),
        ("2022", {"build": 20348}, "Windows Server 2022"),
        ("2022", {"build": 26100}, "Windows Server 2025"),
        ("2019", {"build": 14393}, "Windows Server 2016"),
        ("2003", {"product": "Microsoft Windows Server 2003 R2"}, "Windows Server 2003 R2"),
    ],
)
def test_the_build_says_the_generation(name: str, changes: dict[str, object], generation: str) -> None:
    row = replace(windows.row(name), **changes)  # type: ignore[arg-type]
    assert found(windows.guest(row)).release.generation == generation


def software(lines: str) -> Guest:
    row = windows.row("2019")
    text = windows.software_text(row) + "\n" + lines
    return windows.guest(row, {f"{row.folder}/System32/config/SOFTWARE": hives.build(text, name="SOFTWARE")})


NDP = "Microsoft\\NET Framework Setup\\NDP"
SERVICING = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending"
WINLOGON = "Microsoft\\Windows NT\\CurrentVersion\\Winlogon"


@pytest.mark.parametrize(
    ("machine", "fact", "wanted"),
    [
        (lambda: software(f'[{NDP}\\v4\\Full]\n"Release"=dword:{378389:x}'), "dotnet", ("4.5",)),
        (
            lambda: software(f'[{NDP}\\v3.5]\n"Install"=dword:1\n"SP"=dword:1'),
            "dotnet",
            ("4.8", "3.5 SP1"),
        ),
        (lambda: software(f"[{SERVICING}]"), "pending", ("updates of components",)),
        (lambda: software(f'[{WINLOGON}]\n"AutoAdminLogon"="1"'), "autologon", True),
        (lambda: guest("2019"), "remote_desktop", False),
        (lambda: guest("2008r2"), "remote_desktop", True),
        (lambda: guest("2019"), "fast_startup", True),
        (lambda: guest("2019"), "utc", False),
        (
            lambda: guest("2019", f'[{CONTROL}\\TimeZoneInformation]\n"RealTimeIsUniversal"=dword:1'),
            "utc",
            True,
        ),
        (
            lambda: guest("2019", f'[{CONTROL}\\TimeZoneInformation]\n"RealTimeIsUniversal"=qword:1'),
            "utc",
            True,
        ),
        (lambda: guest("2003"), "page_files", ("C:\\pagefile.sys 768 1536",)),
        (lambda: guest("2019", files={"/C:/hiberfil.sys": b"HIBR" + bytes(8)}), "hibernated", True),
        (lambda: guest("2019", files={"/C:/hiberfil.sys": b"wake" + bytes(8)}), "hibernated", False),
        (lambda: guest("2019", '[ControlSet001\\Services\\vmms]\n"Start"=dword:2'), "hyper_v", True),
        (lambda: guest("2019", '[ControlSet001\\Services\\HvHost]\n"Start"=dword:3'), "hyper_v", False),
        (
            lambda: guest(
                "2019",
                '[ControlSet001\\Services\\NTDS\\Parameters]\n"DSA Database file"="D:\\\\NTDS\\\\ntds.dit"',
            ),
            "domain_database",
            "D:\\NTDS\\ntds.dit",
        ),
    ],
)
def test_the_state_of_its_set_up(machine: Callable[[], Guest], fact: str, wanted: object) -> None:
    assert getattr(found(machine()).setup, fact) == wanted


@pytest.mark.parametrize(
    ("path", "present"),
    [
        ('expand:"\\\\SystemRoot\\\\System32\\\\drivers\\\\disk.sys"', True),
        ('expand:"%SystemRoot%\\\\system32\\\\DRIVERS\\\\DISK.SYS"', True),
        ('expand:"system32\\\\drivers\\\\disk.sys"', True),
        ('expand:"System32\\\\drivers\\\\none.sys"', False),
        ('expand:""', True),
        ('expand:"\\\\??\\\\C:\\\\Program Files\\\\x\\\\x.sys"', None),
    ],
)
def test_where_a_driver_says_that_its_file_is(path: str, present: bool | None) -> None:
    machine = guest("2019", f'[ControlSet001\\Services\\stornvme]\n"ImagePath"={path}')
    need = next(need for need in found(machine).needs if "stornvme" in need.services)
    assert need.found[0].present is present


def test_files_that_cannot_be_read_through_linux() -> None:
    """CompactOS: ntfs-3g shows them as links to `unsupported reparse tag`."""
    row = windows.row("2019")
    lines = f'[{CONTROL}\\Session Manager\\Environment]\n"PROCESSOR_ARCHITECTURE"="AMD64"'
    files = windows.files(row)
    programs = [path for path in files if path.endswith((".exe", ".sys"))]
    kept = {path: data for path, data in files.items() if path not in programs}
    kept[system_path("2019")] = hives.build(f"{windows.system_text(row)}\n{lines}", name="SYSTEM")
    links = dict.fromkeys(programs, "unsupported reparse tag 0x80000017")
    storage = windows.storage_of(row)
    read = found(Guest(MemoryTree(kept, links=links, case_folding=tuple(storage.mounts)), storage))
    assert read.release.architecture == "x86_64"
    assert all(service.present for need in read.needs for service in need.found)


def test_the_current_control_set_comes_first() -> None:
    assert found(guest("2008r2")).control_sets == ("ControlSet002", "ControlSet001")


def test_boot_menus() -> None:
    (menu,) = found(guest("2019")).boot_menus
    assert (menu.path, menu.entries) == ("/S:/Boot/BCD", ("Windows Server 2019 Datacenter",))
    assert (menu.timeout, menu.ems, menu.switches) == (30, True, ())
    (old,) = found(guest("2003")).boot_menus
    assert (old.path, old.timeout, old.ems, len(old.entries)) == ("/C:/boot.ini", 30, True, 1)


def test_a_hive_that_was_being_written() -> None:
    row = windows.row("2019")
    path = system_path("2019")
    clean = hives.build(windows.system_text(row), name="SYSTEM")
    older = dirty(hives.build(windows.system_text(row).replace("ledger-nt10", "old-name"), name="SYSTEM"))
    read = found(
        windows.guest(row, {path: older, f"{path}.LOG1": b"", f"{path}.LOG2": log(2, entry(2, clean))})
    )
    assert (read.host_name, read.hives[0].replayed) == ("ledger-nt10", 1)
    unusable = windows.guest(row, {path: older, f"{path}.LOG1": b"nothing of use" * 64})
    with pytest.raises(RefusedError, match="its logs hold nothing") as refused:
        found(unusable)
    assert "--force-dirty-hives" in (refused.value.hint or "")
    forced = found(unusable, force=True)
    assert (forced.host_name, forced.hives[0].forced) == ("old-name", True)


def test_how_a_hive_was_left_is_shown() -> None:
    row = windows.row("2019")
    path, store = system_path("2019"), "/S:/Boot/BCD"
    clean, menu = windows.files(row)[path], windows.files(row)[store]
    files = {path: dirty(clean), f"{path}.LOG1": log(2, entry(2, clean))}
    files |= {store: dirty(menu), f"{store}.LOG": b"nothing of use"}
    with pytest.raises(RefusedError, match="Boot/BCD: the hive was being written"):
        found(windows.guest(row, files))
    shown = dict(report.sections(found(windows.guest(row, files), force=True)))["Windows"]
    replayed = "1 unfinished write in its logs counted in, as Windows does when it starts"
    assert f"{path}: it was being written: {replayed}" in shown
    forced = "its logs hold nothing that can be replayed: it is taken as it stands, as asked for"
    assert f"{store}: it was being written, and {forced}" in shown


@pytest.mark.parametrize(
    ("name", "used", "other"),
    [("2022", EFI, "/C:/Boot/BCD"), ("2019", "/S:/Boot/BCD", "/C:/Boot/BCD"), ("2019", "/S:/Boot/BCD", EFI)],
)
def test_a_damaged_boot_store_counts_where_the_machine_starts_from_it(
    name: str, used: str, other: str
) -> None:
    row = windows.row(name)
    read = found(windows.guest(row, {other: b"regf" * 2000}))
    assert (read.boot_stores, read.damaged_stores) == ((used,), (other,))
    assert f"{other}: damaged; the machine starts from another" in dict(report.sections(read))["Windows"]
    both = found(windows.guest(row, {other: windows.files(row)[used]}))
    assert (both.boot_stores, both.damaged_stores) == ((used, other), ())
    with pytest.raises(RefusedError, match=f"{used}: the hive was being written|{used}: the hive is damaged"):
        found(windows.guest(row, {used: b"regf" * 2000, other: windows.files(row)[used]}))


@pytest.mark.parametrize(
    ("version", "build", "wanted"),
    [
        ("6.1", "7601", (6, 1)),
        ("", "7601", (6, 1)),
        ("x", "3790", (5, 2)),
        ("", "26100", (10, 0)),
        ("5.2", "", (5, 2)),
    ],
)
def test_a_version_that_is_not_said_is_that_of_the_build(
    version: str, build: str, wanted: tuple[int, int]
) -> None:
    assert found(with_version(version, build)).release.version == wanted


def test_a_windows_that_does_not_say_which_it_is() -> None:
    with pytest.raises(RefusedError, match="neither a version nor a build"):
        found(with_version("", ""))


def with_version(version: str, build: str) -> Guest:
    key = "Microsoft\\Windows NT\\CurrentVersion"
    text = f'[{key}]\n"ProductName"="Windows"\n"CurrentVersion"="{version}"\n"CurrentBuildNumber"="{build}"\n'
    software = "/C:/Windows/System32/config/SOFTWARE"
    return windows.guest(windows.row("2008r2"), {software: hives.build(text, name="SOFTWARE")})


@pytest.mark.parametrize("damage", [b"", b"regf", b"\0" * 9000])
def test_a_damaged_hive_is_refused_by_name(damage: bytes) -> None:
    with pytest.raises(RefusedError, match="config/SYSTEM"):
        found(windows.guest(windows.row("2019"), {system_path("2019"): damage}))


@pytest.mark.parametrize("row", windows.rows(), ids=lambda row: row.name)
def test_every_fact_has_its_line(row: windows.Row) -> None:
    shown = dict(report.sections(found(windows.guest(row))))
    assert any("US English (0x0409)" in line for line in shown["Windows"])
    assert "  EMS:      on" in shown["Boot configuration"]
    assert any("static address 192.168.50.20" in line for line in shown["Network"])
    assert any(line.startswith("Remote Desktop:") for line in shown["State"])
    assert ("  stornvme    starts at boot, kept from it by StartOverride" in shown["Drivers"]) == (
        row.has_nvme
    )
