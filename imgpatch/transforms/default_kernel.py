"""Which entry of the menu is to boot on EC2; not a transform, the choice of one."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import BootEntry
from imgpatch.inspection.kernels import Kernel, Presence, read_config
from imgpatch.target import Target

_RECOVERY = frozenset({"single", "recovery", "rescue", "emergency", "1", "s", "S"})
_PURPOSES = {"rescue": "is for rescue", "kdump": "is for crash dumps"}
"""In the name of a kernel that is not for every day; nothing is put into its initramfs."""
_TESTERS = ("memtest", "mt86")
_ONLY_XEN_PV = ("CONFIG_X86_XEN", "CONFIG_X86_64_XEN")
"""Of Xen's own kernels (2.6.18, SUSE's `-xen`), which start under Xen only; CONFIG_XEN is of all others."""
_BEYOND = 99
"""More drivers than any kernel can lack: how an entry counts that cannot start at all."""


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
    *,
    lasting: bool = False,
) -> Choice:
    """The entry that boots today, or the newest that can run on EC2 where that one cannot.

    `lasting`: no later menu undoes the choice, so that what boots today keeps the name it has: one that means
    the newest kernel (Debian's first entry) goes on meaning it.
    """
    choice = _chosen(guest, inspection, target, entries, today)
    if lasting and choice.why is None and today is not None:
        choice = replace(choice, entry=today)
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
    kernels = inspection.kernels
    obstacle = _obstacle(guest, kernels, target, today)
    if obstacle is None:
        return Choice(today and _most_telling(guest, inspection, entries, today))
    best = _best(guest, kernels, target, entries, better_than=_count(guest, kernels, target, today))
    if best is None:
        entry = today and _most_telling(guest, inspection, entries, today)
        return Choice(entry, warning=f"{obstacle}, and no other kernel of the menu is better")
    entry = _most_telling(guest, inspection, entries, best)
    return Choice(entry, why=obstacle, warning=_obstacle(guest, kernels, target, best))


def _obstacle(guest: Guest, kernels: Sequence[Kernel], target: Target, entry: BootEntry | None) -> str | None:
    """Why an entry cannot run on all of EC2; None where nothing is known against it."""
    unfit = _unfit(guest, kernels, entry)
    kernel = None if entry is None else _kernel_of(guest, kernels, entry)
    if unfit is not None or entry is None or kernel is None:
        return unfit
    lacking = _lacking(kernel, target)
    families = " and ".join(driver.family for driver in target.drivers if driver.module in lacking)
    return f"{entry.kernel} has no {' and no '.join(lacking)} driver, for {families}" if lacking else None


def _unfit(guest: Guest, kernels: Sequence[Kernel], entry: BootEntry | None) -> str | None:
    """Why an entry cannot start on EC2 whatever drivers it has."""
    if entry is None or posixpath.basename(entry.kernel).startswith(_TESTERS):
        return "the default entry boots no Linux kernel"
    if entry.hypervisor is not None:
        return f"the default entry starts the hypervisor {entry.hypervisor}, which cannot run on EC2"
    if not guest.exists(entry.kernel):
        return f"the default entry boots {entry.kernel}, which is not there"
    name = posixpath.basename(entry.kernel)
    place = "/".join(entry.kernel.split("/")[-2:])  # kernel-install(8) has /boot/ID/0-rescue/linux, too
    purpose = next((text for word, text in _PURPOSES.items() if word in place), None)
    if purpose is not None:
        return f"{entry.kernel} {purpose}, and its initramfs is left without EC2's drivers"
    kernel = _kernel_of(guest, kernels, entry)
    if _only_xen_pv(guest, entry.kernel, name.partition("-")[2] if kernel is None else kernel.release):
        return f"{entry.kernel} runs only as a paravirtual guest of Xen, which EC2's machines are not"
    return None


def _only_xen_pv(guest: Guest, image: str, release: str) -> bool:
    """By the configuration; where there is none, by the name that Red Hat 5 and SUSE gave such kernels."""
    config = read_config(guest, image, release)
    return any(config.get(name) == "y" for name in _ONLY_XEN_PV) if config else release.endswith("xen")


def _count(guest: Guest, kernels: Sequence[Kernel], target: Target, entry: BootEntry | None) -> int:
    """How many drivers of EC2's disks an entry lacks; `_BEYOND` where it cannot start at all."""
    kernel = None if entry is None else _kernel_of(guest, kernels, entry)
    if _unfit(guest, kernels, entry) is not None:
        return _BEYOND
    return 0 if kernel is None else len(_lacking(kernel, target))


def _best(
    guest: Guest,
    kernels: Sequence[Kernel],
    target: Target,
    entries: Sequence[BootEntry],
    *,
    better_than: int,
) -> BootEntry | None:
    """The first entry of the newest kernel that lacks the fewest drivers, debug kernels last."""
    able = [kernel for kernel in kernels if kernel.modules is not None or not _lacking(kernel, target)]
    for kernel in sorted(able, key=lambda k: (len(_lacking(k, target)), "debug" in k.release)):
        for entry in sorted(entries, key=lambda e: e.locked):
            normal = _RECOVERY.isdisjoint(entry.cmdline.split())
            of_it = _kernel_of(guest, (kernel,), entry) is not None
            if normal and of_it and _count(guest, kernels, target, entry) < better_than:
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
