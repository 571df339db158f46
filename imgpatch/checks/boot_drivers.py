"""The drivers of EC2's disks are in the initramfs of the default kernel (documents R-97, M-10, M-11).

The service is said to add them; people met imports that lacked them all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.inspection.kernels import Presence
from imgpatch.target import EC2

_NEWER = "use a newer kernel of the list, or other instance types"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None and inspection.default_kernel is not None


def findings(machine: Machine) -> Iterable[Finding]:
    kernel = machine.inspection.default_kernel
    if kernel is None:
        return
    needed = {driver.module: driver.family for driver in EC2.drivers if driver.boot}
    states = {state.module: state for state in kernel.drivers if state.module in needed}
    absent = [name for name, state in states.items() if state.presence is Presence.ABSENT]
    left_out = [name for name, state in states.items() if state.in_initramfs is False]
    for name in absent:
        all_absent = len(absent) == len(needed)
        text = f"kernel {kernel.release} has no {name}: no disk is found on instances of {needed[name]}"
        severity = Severity.MAY_NOT_BOOT if all_absent else Severity.ADVICE
        yield Finding("R-97", severity, text, _NEWER, path=kernel.image)
    if left_out:
        yield Finding(
            "R-97",
            Severity.MAY_NOT_BOOT,
            f"lacks {', '.join(left_out)}, which the kernel has: the root may not be found on EC2",
            "imgpatch apply adds them, as the service is said to do",
            path=kernel.initramfs,
            transform="initramfs",
        )
