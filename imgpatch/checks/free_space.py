"""Room on the root for what the service adds (documents R-45, R-47)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.edition import MIB
from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import VOLUME

SENSIBLE = 250 * MIB
"""What the edition of 2019 asks; the later ones ask for enough without a number."""


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    root = "/"
    space = machine.space.get(root)
    if space is None:
        return
    free = space.blocks * space.block_size
    sizes = machine.edition.sizes
    windows = machine.inspection.windows is not None
    wanted = sizes.windows_root if windows else sizes.linux_root
    rule = "R-45" if windows else "R-47"
    if free < (wanted or SENSIBLE):
        asked = (
            "which this edition asks for"
            if wanted
            else "which the edition of 2019 asks for; later ones: enough"
        )
        yield Finding(
            rule,
            Severity.FAILS if wanted else Severity.ADVICE,
            f"{free // MIB} MiB are free on the root, and {(wanted or SENSIBLE) // MIB} were wanted, {asked}",
            "make room in the guest",
            path=VOLUME if windows else root,
        )
