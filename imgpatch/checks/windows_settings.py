"""What the documents ask of a Windows before its export (R-35, R-46, R-81, R-87, R-89, R-90, R-93)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows import Windows

VMWARE_TOOLS = "VMTools"
AUTOMATIC = "?:\\pagefile.sys"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def findings(machine: Machine) -> Iterable[Finding]:
    windows = machine.inspection.windows
    if windows is not None:
        for rule, text, remedy in _settings(windows):
            yield Finding(rule, Severity.ADVICE, text, remedy, path=windows.hives[0].path)
        for menu in windows.boot_menus:
            if len(menu.entries) > 1:
                text = f"the boot menu has {', '.join(menu.entries)}: one system was wanted"
                remedy = "remove the others in the guest, with bcdedit /delete"
                yield Finding("R-35", Severity.ADVICE, text, remedy, path=menu.path)


def _settings(windows: Windows) -> Iterator[tuple[str, str, str]]:
    setup, root = windows.setup, windows.hives[0].root
    if root.at(f"{windows.control_sets[0]}\\Services\\{VMWARE_TOOLS}") is not None:
        yield "R-81", "VMware Tools are installed", "uninstall them in the guest"
    if setup.remote_desktop is not True:
        yield "R-87", "Remote Desktop is off: nobody can log in", "imgpatch apply --with rdp, or in the guest"
    if setup.autologon:
        yield "R-89", "somebody is logged on by itself", "set AutoAdminLogon to 0"
    if not setup.utc:
        text = "the hardware clock is not taken for universal time"
        yield "R-93", text, "imgpatch apply --with utc, or set RealTimeIsUniversal"
    if setup.pending:
        text = f"a restart is waited for: {', '.join(setup.pending)}"
        yield "R-90", text, "restart the guest until nothing is left to do"
    if AUTOMATIC in {page.lower().split(" ")[0] for page in setup.page_files}:
        text = "Windows chooses the size of its page file, and may take 16 GB of C:"
        yield "R-46", text, "set a fixed size in the guest"
