"""The initramfs of the default kernel can be read (E-24; documents R-49)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

_AGAIN = "make it anew in the guest: update-initramfs -u, dracut -f or mkinitrd"
_LZO = b"\x89LZO\x00"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None and inspection.default_kernel is not None


def findings(machine: Machine) -> Iterable[Finding]:
    kernel = machine.inspection.default_kernel
    bootloader = machine.inspection.bootloader
    if kernel is None or bootloader is None or bootloader.default is None:
        return
    known = Severity.FAILS if machine.edition.has("R-49") else Severity.UNKNOWN
    missing = [path for path in bootloader.default.initrds if not machine.guest.exists(path)]
    if missing:
        text = "the default entry loads it as initramfs, and it is not there"
        yield Finding("R-49", known, text, _AGAIN, error="E-24", path=missing[0])
    elif kernel.initramfs is None:
        text = f"kernel {kernel.release} has no initramfs; whether the service takes that is not known"
        yield Finding("R-49", Severity.UNKNOWN, text, _AGAIN, path=kernel.image)
    elif kernel.initramfs_problem is not None:
        if machine.guest.head(kernel.initramfs, len(_LZO)) == _LZO:  # sound, but not read here
            known = Severity.UNKNOWN
        text = f"cannot be read: {kernel.initramfs_problem}"
        yield Finding("R-49", known, text, _AGAIN, error="E-24", path=kernel.initramfs)
