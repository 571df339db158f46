"""What keeps Windows from coming up in the service's test boot (E-20, E-21, A61; R-71, R-83, R-96)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.formats.registry import Key
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows import Windows

DISABLED = 4
SERVICES = {"Dhcp": "the DHCP client", "Tcpip": "TCP/IP"}
LAUNCH_V2 = "Amazon EC2Launch"
ENOUGH = frozenset(
    {"3.5 SP1", "4.5", "4.5.1", "4.5.2", "4.6", "4.6.1", "4.6.2", "4.7", "4.7.1", "4.7.2", "4.8"}
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def findings(machine: Machine) -> Iterable[Finding]:
    windows = machine.inspection.windows
    if windows is None:
        return
    path = windows.hives[0].path
    control = windows.hives[0].root.at(windows.control_sets[0])
    services = None if control is None else control.at("Services")
    if services is not None:
        yield from _services(services, path)
    if windows.setup.hyper_v and machine.edition.has("R-71"):
        text = "the Hyper-V role is installed"
        yield _fails_to_boot("R-71", text, "remove the role in the guest", path)
    database = windows.setup.domain_database
    if database and not database.lower().startswith("c:"):
        text = f"the directory's database is {database}, and only the disk with Windows is sure to be there"
        yield _fails_to_boot("R-96", text, "move it to C: with ntdsutil", path)
    yield from _dotnet(windows)


def _services(services: Key, path: str) -> Iterator[Finding]:
    for name, what in SERVICES.items():
        service = services.at(name)
        start = None if service is None else service.value("Start")
        if start is None or start.number == DISABLED:
            found = "is not there" if start is None else "is disabled"
            yield _fails_to_boot(
                "R-83", f"{what} ({name}) {found}", f"in the guest: sc config {name} start= auto", path
            )
    if services.at(LAUNCH_V2) is not None:
        text = "EC2Launch v2 is installed: an import with it did not come up, and one with v1 did"
        remedy = "uninstall it before the export, and install it on the instance"
        yield Finding("imgpatch", Severity.MAY_NOT_BOOT, text, remedy, error="A61", path=path)


def _dotnet(windows: Windows) -> Iterator[Finding]:
    if not ENOUGH & {*windows.setup.dotnet}:
        found = ", ".join(windows.setup.dotnet) or "none"
        yield Finding(
            "R-91",
            Severity.MAY_NOT_BOOT,
            f".NET Framework: {found}, and 3.5 SP1 or 4.5 on was wanted; the service installs it if needed",
            "install it in the guest",
            error="E-20",
            path=f"{windows.folder}/System32/config/SOFTWARE",
        )


def _fails_to_boot(rule: str, text: str, remedy: str, path: str) -> Finding:
    return Finding(rule, Severity.MAY_NOT_BOOT, text, remedy, error="E-21", path=path)
