"""What `imgpatch doctor` says: what works here, what is slow, what is missing and how to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from imgpatch.images import packages
from imgpatch.images.probe import Kvm, Machine, no_kernel

CACHE_NEEDED = 1 << 30
"""Bytes libguestfs wants for building its appliance (about 400 MiB, and twice while it is built)."""


class State(StrEnum):
    OK = "ok"
    SLOW = "slow"  # works, at a cost
    MISSING = "missing"  # imgpatch cannot work


@dataclass(frozen=True, slots=True)
class Row:
    """One thing imgpatch depends on.

    Attributes:
        remedy: what to do; empty where nothing need be done.
    """

    state: State
    subject: str
    found: str
    remedy: str = ""


def examine(machine: Machine) -> tuple[Row, ...]:
    """Judges each thing imgpatch depends on."""
    return (
        _guestfs(machine),
        _qemu(machine),
        _qemu_img(machine),
        _kernel(machine),
        _kvm(machine),
        _cache(machine),
    )


def usable(rows: Sequence[Row]) -> bool:
    """Whether imgpatch can work here."""
    return all(row.state is not State.MISSING for row in rows)


def _guestfs(machine: Machine) -> Row:
    if machine.guestfs is not None:
        return Row(State.OK, "libguestfs", f"version {machine.guestfs}")
    return Row(
        State.MISSING,
        "libguestfs",
        "its Python binding cannot be imported by this Python",
        f"{packages.install('guestfs', machine.distribution)}; a virtual environment must be made by the "
        "system's python3 with --system-site-packages (scripts/setup does it)",
    )


def _qemu(machine: Machine) -> Row:
    if machine.qemu is not None:
        return Row(State.OK, "QEMU", str(machine.qemu))
    return Row(State.MISSING, "QEMU", "no emulator found", packages.install("qemu", machine.distribution))


def _qemu_img(machine: Machine) -> Row:
    if machine.qemu_img:
        return Row(State.OK, "qemu-img", "found")
    return Row(State.MISSING, "qemu-img", "not found", packages.install("qemu-img", machine.distribution))


def _kernel(machine: Machine) -> Row:
    if machine.fixed_appliance is not None:
        return Row(State.OK, "appliance", f"fixed, in {machine.fixed_appliance}")
    if machine.kernel is not None:
        return Row(State.OK, "appliance kernel", str(machine.kernel))
    found, remedy = no_kernel(machine)
    return Row(State.MISSING, "appliance kernel", found, remedy)


_KVM = {
    Kvm.ABSENT: (
        "no /dev/kvm on this machine",
        "a processor with virtualisation, switched on in the firmware, or nested by the host, is faster",
    ),
    Kvm.FORBIDDEN: (
        "/dev/kvm is there, and this user may not open it",
        "sudo usermod -a -G kvm $USER, then log in again",
    ),
    Kvm.BROKEN: (
        "/dev/kvm opens, and a kernel does not boot in it",
        "ask the host of this machine for nested virtualisation; after a repair: imgpatch doctor --again",
    ),
    Kvm.UNTRIED: ("/dev/kvm opens; there was nothing to try it with", "cure what is missing above first"),
}


def _kvm(machine: Machine) -> Row:
    if machine.backend_settings:
        found = f"LIBGUESTFS_BACKEND_SETTINGS={machine.backend_settings} decides (found: {machine.kvm})"
        return Row(State.SLOW if machine.emulates else State.OK, "KVM", found)
    if machine.kvm is Kvm.WORKS:
        return Row(State.OK, "KVM", "a kernel boots in it: an appliance takes 2 to 3 s to launch")
    found, remedy = _KVM[machine.kvm]
    return Row(State.SLOW, "KVM", f"{found}: emulation, an appliance takes 6 to 10 s to launch", remedy)


def _cache(machine: Machine) -> Row:
    subject = "appliance cache"
    if machine.fixed_appliance is not None or machine.appliance_built:
        return Row(State.OK, subject, f"an appliance is built in {machine.cache}")
    if machine.cache_room is None:
        remedy = "make the folder, or name another in LIBGUESTFS_CACHEDIR"
        return Row(State.MISSING, subject, f"{machine.cache} does not exist", remedy)
    free = f"{machine.cache_room >> 20} MiB free in {machine.cache}"
    if machine.cache_room < CACHE_NEEDED:
        remedy = f"free {CACHE_NEEDED >> 20} MiB there, or name another folder in LIBGUESTFS_CACHEDIR"
        return Row(State.MISSING, subject, free, remedy)
    return Row(State.SLOW, subject, f"{free}; the first launch builds the appliance there (once, 10 to 30 s)")
