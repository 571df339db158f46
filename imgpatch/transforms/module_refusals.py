"""Lets modprobe load the drivers of both EC2 families where the guest's modprobe.d(5) refuses them (M-11).

Without its disk driver a machine on EC2 has no root, and without its network driver nobody reaches it; so the
lines are remarked, as the kernel command line's `modprobe.blacklist=` is taken back. Files of packages are
left and named: the next update would bring them back.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats import modprobe
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason

PATTERNS = (
    "/etc/modprobe.conf",
    "/etc/modprobe.conf.local",
    "/etc/modprobe.d/*",
    "/usr/local/lib/modprobe.d/*",
)
PACKAGED = ("/usr/lib/modprobe.d/*", "/lib/modprobe.d/*")


def applies(inspection: Inspection) -> bool:
    return bool(inspection.kernels)


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    """Each refusal of a driver that some kernel has as a module."""
    kernels = context.inspection.kernels
    names = {state.name for kernel in kernels for state in kernel.drivers if state.name is not None}
    names |= {bus for kernel in kernels for bus in kernel.buses}
    for path in _files(guest, PATTERNS):
        text = guest.text(path) or ""
        found = [refusal for refusal in modprobe.refusals(text) if refusal.module in names]
        if found:
            after = modprobe.allowing(text, names).encode("utf-8", "surrogateescape")
            reasons = [
                Reason("M-11", f"line {r.line}: {r.text} keeps a driver from loading that EC2 needs")
                for r in found
            ]
            yield Edit(path, after, tuple(reasons))
    for path in _files(guest, PACKAGED):
        for refusal in modprobe.refusals(guest.text(path) or ""):
            if refusal.module in names:
                text = (
                    f"{path} line {refusal.line}: {refusal.text} keeps a driver from loading that EC2 needs"
                )
                yield Note(NoteKind.WARNING, "M-11", f"{text}; put a file of that name into /etc/modprobe.d")


def _files(guest: Guest, patterns: tuple[str, ...]) -> list[str]:
    """Real files, each once; of any name, as before kmod, which takes `*.conf` only."""
    real = {guest.resolve(path): None for pattern in patterns for path in guest.glob(pattern)}
    stats = {path: guest.stat(path) for path in real}
    return [path for path, stat in stats.items() if stat is not None and stat.kind is Kind.FILE]
