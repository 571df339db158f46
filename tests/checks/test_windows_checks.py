"""The checks of Windows guests: each with a fault, and without it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from fixtures import hives, windows
from imgpatch import checks, edition
from imgpatch.checks import windows_first_boot, windows_release, windows_settings
from imgpatch.finding import Check, Finding, Machine, Severity
from imgpatch.inspection import inspect
from imgpatch.target import EC2
from tests.checks.machines import ubuntu

FAILS, MAY, ADVICE = Severity.FAILS, Severity.MAY_NOT_BOOT, Severity.ADVICE
ROWS = {row.name: row for row in windows.rows()}
SERVICES = "[ControlSet001\\Services\\{}]\n"
GOOD = {
    '"fDenyTSConnections"=dword:00000001': '"fDenyTSConnections"=dword:00000000',
    '"PagingFiles"=multi:"?:\\\\pagefile.sys"': '"PagingFiles"=multi:"C:\\\\pagefile.sys 4096 4096"',
    "[Setup]": '[ControlSet001\\Control\\TimeZoneInformation]\n"RealTimeIsUniversal"=dword:00000001\n[Setup]',
}
"""What makes of a row one that was prepared as the documents ask."""


@functools.cache
def base(name: str) -> tuple[str, str]:
    """The texts of SYSTEM and SOFTWARE of a row that was prepared."""
    return replaced(windows.system_text(ROWS[name]), GOOD), windows.software_text(ROWS[name])


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def machine(
    name: str, system: Mapping[str, str], software: Mapping[str, str], edition_name: str = edition.NEWEST
) -> Machine:
    texts = zip(base(name), (system, software), ("SYSTEM", "SOFTWARE"), strict=True)
    folder = f"{ROWS[name].folder}/System32/config"
    made = {f"{folder}/{n}": hives.build(replaced(text, changes), name=n) for text, changes, n in texts}
    guest = windows.guest(ROWS[name], dict(made))
    return Machine(guest, inspect(guest, EC2), edition.load(edition_name))


def findings(one: Machine) -> tuple[Finding, ...]:
    return checks.run(one)


@dataclass(frozen=True)
class Case:
    name: str
    severity: Severity
    rule: str
    error: str | None = None
    system: tuple[tuple[str, str], ...] = ()
    software: tuple[tuple[str, str], ...] = ()


def service(name: str, value: str = '"Start"=dword:00000002\n') -> tuple[tuple[str, str], ...]:
    return (("[Setup]", f"{SERVICES.format(name)}{value}[Setup]"),)


DHCP = SERVICES.format("Dhcp") + '"Start"=dword:00000002'
STATE = "[Microsoft\\Windows\\CurrentVersion\\Setup\\State]"
RESTART = "[Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired]\n"
NTDS = '"DSA Database file"="D:\\\\NTDS\\\\ntds.dit"\n'
CASES = (
    Case(
        "an unlisted build",
        FAILS,
        "R-60",
        "E-15",
        software=(('"CurrentBuildNumber"="17763"', '"CurrentBuildNumber"="25398"'),),
    ),
    Case(
        "Nano Server",
        FAILS,
        "R-70",
        software=(('"InstallationType"="Server"', '"InstallationType"="Nano Server"'),),
    ),
    Case("DHCP disabled", MAY, "R-83", "E-21", system=((DHCP, DHCP.replace("02", "04")),)),
    Case("Hyper-V", MAY, "R-71", "E-21", system=service("vmms")),
    Case("a directory on D:", MAY, "R-96", "E-21", system=service("NTDS\\Parameters", NTDS)),
    Case("EC2Launch v2", MAY, "imgpatch", "A61", system=service("Amazon EC2Launch")),
    Case(
        "no .NET", MAY, "R-91", "E-20", software=(('"Release"=dword:00080ff4', '"Install"=dword:00000001'),)
    ),
    Case("VMware Tools", ADVICE, "R-81", system=service("VMTools")),
    Case(
        "no Remote Desktop",
        ADVICE,
        "R-87",
        system=(('"fDenyTSConnections"=dword:00000000', '"fDenyTSConnections"=dword:00000001'),),
    ),
    Case("logged on by itself", ADVICE, "R-89", software=(('"AutoAdminLogon"="0"', '"AutoAdminLogon"="1"'),)),
    Case(
        "local time",
        ADVICE,
        "R-93",
        system=(('"RealTimeIsUniversal"=dword:00000001', '"RealTimeIsUniversal"=dword:00000000'),),
    ),
    Case(
        "a page file of any size",
        ADVICE,
        "R-46",
        system=(("C:\\\\pagefile.sys 4096 4096", "?:\\\\pagefile.sys"),),
    ),
    Case(
        "a restart that waits",
        ADVICE,
        "R-90",
        software=((STATE, RESTART + STATE),),
    ),
)


def plain(found: tuple[Finding, ...]) -> set[tuple[Severity, str, str | None]]:
    return {(f.severity, f.rule, f.error) for f in found}


def test_a_windows_that_was_prepared_has_no_finding() -> None:
    assert findings(machine("2019", {}, {})) == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_found_and_nothing_else(case: Case) -> None:
    found = findings(machine("2019", dict(case.system), dict(case.software)))
    assert plain(found) == {(case.severity, case.rule, case.error)}
    assert all(f.path is not None for f in found)


def test_a_client_speaks_english() -> None:
    other = {'"InstallLanguage"="0409"': '"InstallLanguage"="0407"'}
    (found,) = windows_release.findings(machine("10", other, {}))
    assert (found.severity, found.rule) == (FAILS, "R-68")
    assert [*windows_release.findings(machine("10", {}, {}))] == []
    assert [*windows_release.findings(machine("2019", other, {}))] == [], "asked of clients alone"


@pytest.mark.parametrize("name", ROWS)
def test_a_windows_of_the_list_is_accepted(name: str) -> None:
    guest = windows.guest(ROWS[name])
    inspection = inspect(guest, EC2)
    assert (
        plain(checks.run(Machine(guest, inspection, edition.load("2025-12"))))
        & {(FAILS, rule, error) for rule in ("R-60", "R-64") for error in (None, "E-15")}
        == set()
    )
    found = checks.predicted(checks.run(Machine(guest, inspection, edition.load())))
    if ROWS[name].architecture == "i386":
        assert found is not None
        assert found.rule == "R-64"
    else:
        assert found is None


@pytest.mark.parametrize("name", ["2022", "2025", "11"])
def test_what_came_later_is_not_in_2019(name: str) -> None:
    guest = windows.guest(ROWS[name])
    found = checks.predicted(checks.run(Machine(guest, inspect(guest, EC2), edition.load("2019"))))
    assert found is not None
    assert (found.rule, found.error) == ("R-60", "E-15")


@pytest.mark.parametrize("check", [windows_release, windows_first_boot, windows_settings])
def test_they_concern_windows_alone(check: Check) -> None:
    assert check.applies(machine("2019", {}, {}).inspection)
    assert not check.applies(ubuntu().machine().inspection)
