"""The kernel that boots by default can be told from GRUB's files (E-23, A56; documents R-31).

Of a menu of loader entries the service wants the grubenv to name the default; GRUB itself would take the
first entry.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import Bootloader, menu
from imgpatch.inspection.grub_menu import is_named, is_number

_GRUBBY = "in the guest: grubby --set-default /boot/vmlinuz-VERSION"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None and inspection.bootloader is not None


def findings(machine: Machine) -> Iterable[Finding]:
    bootloader = machine.inspection.bootloader
    if bootloader is None:
        return
    config = bootloader.configs[0] if bootloader.configs else None
    if bootloader.bls and not machine.edition.has("R-31"):
        yield _undetermined("a menu of loader entries, whose kernels the service did not see then", config)
        return
    if bootloader.bls and not names_default(machine, bootloader):
        yield Finding(
            "R-31",
            Severity.FAILS,
            "a menu of loader entries, and neither grubenv nor the menu names one of them as the default",
            f"imgpatch apply names it; or {_GRUBBY}",
            error="E-23",
            path=config,
            transform="grub",
        )
        return
    default = bootloader.default
    if default is None:
        yield _undetermined("no entry of the menu is the default and boots a kernel", config)
    elif not machine.guest.exists(default.kernel):
        yield _undetermined(f"the default entry boots {default.kernel}, which is not there", default.source)


def names_default(machine: Machine, bootloader: Bootloader) -> bool:
    """Whether the default of a menu of loader entries is named, and there."""
    outcome = menu(machine.guest, bootloader.configs[0])
    default = outcome.variables.get("default", "")
    if is_number(default) and default.strip().isdigit():
        return int(default.strip()[:9]) < len(outcome.items)
    return is_named(outcome.items, default, by_id_first=True)


def _undetermined(found: str, path: str | None) -> Finding:
    remedy = f"give the menu a default that is there; {_GRUBBY}"
    return Finding("R-31", Severity.FAILS, found, remedy, error="A56", path=path)
