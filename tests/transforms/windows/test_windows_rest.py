"""EMS, the answer file, advice, filters, the UEFI fallback, boot modes: a table for each."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from fixtures import hives, windows
from imgpatch.formats import bcd, registry
from imgpatch.plan import Choices
from imgpatch.storage import Disk
from imgpatch.transforms.windows import (
    advice,
    answer_file,
    boot_menu,
    boot_mode,
    class_filters,
    ems,
    fallback_loader,
)
from tests.transforms.windows.machines import after, guest, notes, plan, system, value

LOADER = "{b0070000-0000-4000-8000-000000000001}"
GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"


# --- EMS


@pytest.mark.parametrize(
    ("number", "data", "changes"),
    [
        ("260000B0", "01", True),
        ("260000b0", "01", True),
        ("260000b0", "00", False),
        ("16000020", "01,00,00,00,00,00,00,00", True),
        ("16000020", "", False),
    ],
)
def test_an_element_that_is_on_goes_off(number: str, data: str, changes: bool) -> None:
    """In small or capital letters, of one byte or eight."""
    text = f'[Objects\\{LOADER}\\Description]\n"Type"=dword:10200003\n'
    text += f'[Objects\\{LOADER}\\Elements\\{number}]\n"Element"=hex:{data}'
    machine = windows.guest(windows.row("2019"), {"/S:/Boot/BCD": hives.build(text, minor=3)})
    made = plan(machine, ems)
    assert bool(made.changes) == changes
    store = bcd.read(registry.read(after(machine, made).read("/S:/Boot/BCD") or b""))
    assert not list(store.switched_on(bcd.EMS, bcd.BOOT_EMS))
    assert len(store.loaders[0].elements[int(number, 16)].value.data) == len(
        bytes.fromhex(data.replace(",", ""))
    )


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        (b"[boot loader]\ntimeout=5\nredirect=USEBIOSSETTINGS\n", b"[boot loader]\ntimeout=5\n"),
        (
            b'[Boot Loader]\r\nRedirect = COM2\r\n[Operating Systems]\r\nmulti(0)="x" /REDIRECT /fastdetect',
            b'[Boot Loader]\r\n[Operating Systems]\r\nmulti(0)="x" /fastdetect',
        ),
        (b'[operating systems]\nC:\\="a /redirect in no switch"\n', None),
        (b'[operating systems]\nmulti(0)="x" /redirected\n', None),
        (
            b'[operating systems]\nmulti(0)="x"/fastdetect/redirect/sos\n',
            b'[operating systems]\nmulti(0)="x"/fastdetect/sos\n',
        ),
        (
            b'[operating systems]\nmulti(0)="x" /redirect=COM1/sos\n',
            b'[operating systems]\nmulti(0)="x"/sos\n',
        ),
        (b"redirect=COM1\n", None),
        (
            b'[boot loader]\rredirect=COM1\rtimeout=3\r[operating systems]\rmulti(0)="x" /redirect\r',
            b'[boot loader]\rtimeout=3\r[operating systems]\rmulti(0)="x"\r',
        ),
        (b"[boot loader]\n\n\r\nredirect=COM1", b"[boot loader]\n\n\r\n"),
    ],
)
def test_boot_ini(before: bytes, wanted: bytes | None) -> None:
    machine = windows.guest(windows.row("2003"), {"/C:/boot.ini": before})
    assert after(machine, plan(machine, ems)).read("/C:/boot.ini") == (
        wanted if wanted is not None else before
    )


# --- the answer file


@pytest.mark.parametrize(("name", "architecture"), [("2022", "amd64"), ("7", "x86")])
def test_a_sysprepped_windows_gets_an_answer_file(name: str, architecture: str) -> None:
    row = replace(windows.row(name), state=GENERALIZED)
    made = plan(windows.guest(row), answer_file)
    (change,) = made.changes
    assert (change.path, change.before) == (f"{row.folder}/Panther/unattend.xml", None)
    root = ElementTree.fromstring(change.after or b"")
    space = {"u": "urn:schemas-microsoft-com:unattend"}
    components = root.findall("u:settings[@pass='oobeSystem']/u:component", space)
    assert {component.get("processorArchitecture") for component in components} == {architecture}
    assert root.findtext(".//u:UILanguage", namespaces=space) == "en-US"
    assert root.findtext(".//u:OOBE/u:HideEULAPage", namespaces=space) == "true"


@pytest.mark.parametrize(
    "own",
    [
        "/C:/Windows/Panther/unattend.xml",
        "/C:/Windows/PANTHER/Unattend/Unattend.xml",
        "/C:/Windows/System32/Sysprep/Unattend.xml",
        "/C:/Autounattend.xml",
    ],
)
def test_the_users_own_answer_file_stays(own: str) -> None:
    row = replace(windows.row("2019"), state=GENERALIZED)
    made = plan(windows.guest(row, {own: b"<unattend/>"}), answer_file)
    assert made.changes == ()
    assert f"{own} is the user's own answer file" in notes(made)


def test_no_answer_file_where_nothing_was_sysprepped() -> None:
    assert plan(guest("2019"), answer_file).changes == ()


# --- advice

RULES = "ControlSet001\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules"
RULE = "v2.30|Action=Allow|Active={}|Dir=In|Protocol=6|LPort=3389|App=System|"


def test_advice_is_said_and_not_followed() -> None:
    made = plan(guest("2019"), advice)
    assert made.changes == ()
    assert "decision R-87 Remote Desktop is off" in notes(made)
    assert "decision R-93 the hardware clock" in notes(made)


def test_remote_desktop_when_asked() -> None:
    lines = f'[{RULES}]\n"RemoteDesktop-In-TCP"="{RULE.format("FALSE")}"\n"Other-In"="{RULE.format("FALSE")}"'
    machine = guest("2019", f'{lines}\n[ControlSet001\\Services\\TermService]\n"Start"=dword:4')
    made = plan(machine, advice, choices=Choices(advice=frozenset({"rdp"})))
    root = system("2019", machine, made)
    assert value(root, "ControlSet001\\Control\\Terminal Server", "fDenyTSConnections") == 0
    assert value(root, RULES, "RemoteDesktop-In-TCP") == RULE.format("TRUE")
    assert value(root, RULES, "Other-In") == RULE.format("FALSE")
    assert value(root, "ControlSet001\\Services\\TermService", "Start") == 3
    assert "R-87" not in notes(made)


def test_the_firewall_of_2003() -> None:
    profile = "ControlSet001\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\StandardProfile"
    machine = guest("2003", f'[{profile}]\n"EnableFirewall"=dword:1')
    made = plan(machine, advice, choices=Choices(advice=frozenset({"rdp"})))
    found = value(system("2003", machine, made), f"{profile}\\GloballyOpenPorts\\List", "3389:TCP")
    assert str(found).startswith("3389:TCP:*:Enabled:")


@pytest.mark.parametrize("lines", ["", '"RealTimeIsUniversal"=dword:0'])
def test_universal_time_when_asked(lines: str) -> None:
    zone = "ControlSet001\\Control\\TimeZoneInformation"
    machine = guest("2019", f"[{zone}]\n{lines}")
    made = plan(machine, advice, choices=Choices(advice=frozenset({"utc"})))
    assert value(system("2019", machine, made), zone, "RealTimeIsUniversal") == 1


# --- filters

DISKS = "ControlSet001\\Control\\Class\\{4D36E967-E325-11CE-BFC1-08002BE10318}"


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param("", ("partmgr",), id="what loads stays"),
        pytest.param('[ControlSet001\\Services\\gone]\n"Start"=dword:4', None, id="disabled"),
        pytest.param('[ControlSet001\\Services\\gone]\n"Start"=dword:0', None, id="without its file"),
    ],
)
def test_filters(lines: str, wanted: tuple[str, ...] | None) -> None:
    name = "partmgr" if wanted else "gone"
    files: dict[str, bytes | None] = {"/C:/Windows/System32/drivers/partmgr.sys": b"MZ"}
    text = f'[{DISKS}]\n"UpperFilters"=multi:"{name}"\n"LowerFilters"=multi:"partmgr","gone"\n'
    text += f'[ControlSet001\\Services\\partmgr]\n"Start"=dword:0\n{lines}'
    machine = guest("2019", text, files=files)
    made = plan(machine, class_filters)
    root = system("2019", machine, made)
    assert value(root, DISKS, "UpperFilters") == wanted
    assert value(root, DISKS, "LowerFilters") == ("partmgr",)
    assert any("gone" in reason.text for change in made.changes for reason in change.reasons)


@pytest.mark.parametrize("start", [3, 4])
def test_a_filter_whose_driver_another_part_enables_stays(start: int) -> None:
    text = f'[{DISKS}]\n"LowerFilters"=multi:"atapi"\n[ControlSet001\\Services\\atapi]\n"Start"=dword:{start}'
    machine = guest("2019", text)
    root = system("2019", machine, plan(machine))
    assert value(root, DISKS, "LowerFilters") == ("atapi",)
    assert value(root, "ControlSet001\\Services\\atapi", "Start") == 0


# --- UEFI and boot modes


def test_the_fallback_loader_is_made_of_the_boot_manager() -> None:
    machine = windows.guest(windows.row("2022"), {"/S:/EFI/Boot/bootx64.efi": None})
    (change,) = plan(machine, fallback_loader).changes
    assert change.path == "/S:/EFI/Boot/bootx64.efi"
    assert change.after == machine.read("/S:/EFI/Microsoft/Boot/bootmgfw.efi")
    assert plan(windows.guest(windows.row("2022")), fallback_loader).changes == ()


@pytest.mark.parametrize(
    ("size", "partitions", "said"),
    [
        (100 << 30, 3, "would make MBR of GPT"),
        (100 << 30, 4, "'Volume types' says so and 'Limitations' does not"),
        (2 * 2**40, 3, "'Limitations' says so and 'Volume types' does not"),
        (2 * 10**12, 4, "would leave GPT"),
        (3 * 2**40, 3, "would leave GPT"),
        (100 << 30, 5, "would leave GPT"),
    ],
)
def test_gpt_to_mbr_is_predicted_by_both_statements(size: int, partitions: int, said: str) -> None:
    machine = windows.guest(windows.row("2022"))
    devices = machine.storage.devices
    devices += tuple(replace(devices[1], partition=4 + i) for i in range(partitions - 3))
    machine = replace(machine, storage=replace(machine.storage, disks=(Disk("gpt", size),), devices=devices))
    made = plan(machine, boot_mode)
    assert said in notes(made)
    assert "boot mode uefi" in notes(made)


def test_an_mbr_disk_boots_by_bios() -> None:
    assert "legacy-bios" in notes(plan(guest("2019"), boot_mode))


# --- the boot menu

OTHER = "{b0070000-0000-4000-8000-000000000002}"
MENU = f"Objects\\{bcd.BOOT_MANAGER}\\Elements"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", ""),
        (f'[Objects\\{LOADER}\\Elements\\25000080]\n"Element"=hex:00', "starts in safe mode"),
        (f'[Objects\\{LOADER}\\Elements\\260000a0]\n"Element"=hex:01', "kernel debugger"),
        (f'[Objects\\{LOADER}\\Elements\\260000a0]\n"Element"=hex:00', ""),
        (
            f'[{MENU}\\24000001]\n"Element"=multi:"{LOADER}","{OTHER}"\n[Objects\\{OTHER}\\Elements]',
            "R-28 /S:/Boot/BCD: the boot menu offers 2 systems",
        ),
    ],
)
def test_what_is_left_in_the_boot_menu(lines: str, said: str) -> None:
    row = windows.row("2019")
    store = hives.build(f"{windows.boot_store_text(row)}\n{lines}", minor=3, name="BCD")
    shown = notes(plan(windows.guest(row, {"/S:/Boot/BCD": store}), boot_menu))
    assert said in shown
    assert bool(shown) == bool(said)


def test_no_boot_configuration_at_all() -> None:
    machine = windows.guest(windows.row("2019"), {"/S:/Boot/BCD": None})
    assert "Windows cannot start" in notes(plan(machine, boot_menu))
