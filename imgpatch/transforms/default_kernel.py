"""Which entry of the menu is to boot on EC2; not a transform, the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import BootEntry
from imgpatch.inspection.kernels import Kernel, Presence
from imgpatch.target import Target

_RECOVERY = frozenset({"single", "recovery", "rescue", "emergency", "1", "s", "S"})
_SPECIAL = ("debug", "rescue", "kdump")


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome.

    Attributes:
        entry: None where no entry can be told.
        why: why it is not the one that boots today; None where it is.
        warning: what stands against the entry all the same.
    """

    entry: BootEntry | None
    why: str | None = None
    warning: str | None = None


def choose(
    guest: Guest,
    inspection: Inspection,
    target: Target,
    entries: Sequence[BootEntry],
    today: BootEntry | None,
) -> Choice:
    """The entry that boots today, or the newest that can run on EC2 where that one cannot."""
    choice = _chosen(guest, inspection, target, entries, today)
    if choice.warning is None and choice.entry is not None and choice.entry.locked:
        text = f"GRUB asks for a password before it boots {choice.entry.name}, and nobody is there to give it"
        return replace(choice, warning=text)
    return choice


def _chosen(
    guest: Guest,
    inspection: Inspection,
    target: Target,
    entries: Sequence[BootEntry],
    today: BootEntry | None,
) -> Choice:
    obstacle = _obstacle(guest, inspection.kernels, target, today)
    if obstacle is None:
        return Choice(today and _most_telling(guest, inspection, entries, today))
    best = _best(guest, inspection.kernels, target, entries)
    if best is not None:
        return Choice(_most_telling(guest, inspection, entries, best), why=obstacle)
    entry = today and _most_telling(guest, inspection, entries, today)
    return Choice(entry, warning=f"{obstacle}, and no other kernel of the menu is better")


def _obstacle(guest: Guest, kernels: Sequence[Kernel], target: Target, entry: BootEntry | None) -> str | None:
    """Why an entry cannot run on EC2; None where nothing is known against it."""
    if entry is None:
        return "the default entry boots no Linux kernel"
    if entry.hypervisor is not None:
        return f"the default entry starts the hypervisor {entry.hypervisor}, which cannot run on EC2"
    if not guest.exists(entry.kernel):
        return f"the default entry boots {entry.kernel}, which is not there"
    kernel = _kernel_of(guest, kernels, entry)
    lacking = () if kernel is None else _lacking(kernel, target)
    return f"{entry.kernel} has no {' and no '.join(lacking)} driver, which EC2 needs" if lacking else None


def _best(
    guest: Guest, kernels: Sequence[Kernel], target: Target, entries: Sequence[BootEntry]
) -> BootEntry | None:
    able = [kernel for kernel in kernels if not _lacking(kernel, target)]
    for kernel in sorted(able, key=lambda k: any(word in k.release for word in _SPECIAL)):
        for entry in sorted(entries, key=lambda e: e.locked):
            normal = entry.hypervisor is None and _RECOVERY.isdisjoint(entry.cmdline.split())
            if normal and _kernel_of(guest, (kernel,), entry) is not None and guest.exists(entry.kernel):
                return entry
    return None


def _most_telling(
    guest: Guest, inspection: Inspection, entries: Sequence[BootEntry], entry: BootEntry
) -> BootEntry:
    """Of the entries that boot just the same, one whose name has the kernel's release in it.

    Debian's first entry is called `gnulinux-simple-...` whatever kernel it boots, and after the next kernel
    is installed it boots that. But not one behind a password that the entry itself does without.
    """
    kernel = _kernel_of(guest, inspection.kernels, entry)
    release = kernel.release if kernel is not None else entry.kernel.rpartition("/")[2].partition("-")[2]
    if not release:
        return entry
    same = [other for other in entries if boots_the_same(other, entry) and other.locked <= entry.locked]
    return next((other for other in (entry, *same) if release in (other.name or "")), entry)


def boots_the_same(one: BootEntry | None, other: BootEntry | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.kernel, one.initrds, one.cmdline, one.hypervisor) == (
        other.kernel,
        other.initrds,
        other.cmdline,
        other.hypervisor,
    )


def _kernel_of(guest: Guest, kernels: Sequence[Kernel], entry: BootEntry) -> Kernel | None:
    return next((kernel for kernel in kernels if guest.resolve(kernel.image) == entry.kernel), None)


def _lacking(kernel: Kernel, target: Target) -> tuple[str, ...]:
    boot = {driver.module for driver in target.drivers if driver.boot}
    return tuple(
        state.module for state in kernel.drivers if state.module in boot and state.presence is Presence.ABSENT
    )
