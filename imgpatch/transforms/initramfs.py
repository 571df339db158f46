"""Gives each kernel's initramfs the drivers of both EC2 families (documents M-10, M-11).

No program of the guest is run: the modules come from the guest's own `/lib/modules`, with all they need,
and go into the last segment of the initramfs with indexes made anew. The guest's own configuration names
them too, so that the next kernel has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgpatch.errors import FormatError
from imgpatch.formats import initramfs as cpio_initramfs
from imgpatch.formats.modindex import module_name
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.kernels import Kernel, Presence, open_initramfs, squash_image
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason, Rebuild
from imgpatch.target import Driver, Family, Target
from imgpatch.transforms import host_only
from imgpatch.transforms.initramfs_files import Additions, additions
from imgpatch.transforms.initramfs_tools import Tool, configuration, find_tool, rebuild_command


def applies(inspection: Inspection) -> bool:
    return bool(inspection.kernels)


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note | Rebuild]:
    """Each installed kernel's initramfs, newest first, then the configuration of the guest's own tool."""
    kernels = context.inspection.kernels
    tool = find_tool(guest)
    seen: set[str] = set()
    for kernel in kernels:
        yield from _absent(kernel, context.target)
        if kernel.initramfs is not None and guest.resolve(kernel.initramfs) in seen:
            continue
        seen.add("" if kernel.initramfs is None else guest.resolve(kernel.initramfs))
        yield from _one_kernel(guest, context, kernel, tool)
    names = _names(kernels, context.target)
    yield from configuration(guest, tool, names, [name for name in names if _in_all(kernels, name)])


def _absent(kernel: Kernel, target: Target) -> Iterator[Note]:
    drivers = {driver.module: driver for driver in target.drivers}
    which = f"kernel {kernel.release}" + (", which boots by default today," if kernel.default else "")
    for state in kernel.drivers:
        if state.presence is not Presence.ABSENT:
            continue
        driver = drivers[state.module]
        loss = "cannot find its root file system" if driver.boot else "has no network"
        text = f"{which} has no {driver.module}, built in or as a module: it {loss} on {driver.family}"
        yield Note(NoteKind.WARNING, _rule(driver), text)
    if kernel.finds_xen is False and any(
        state.presence is not Presence.ABSENT and drivers[state.module].bus for state in kernel.drivers
    ):
        text = f"{which} has Xen's drivers, but only for paravirtual guests (no CONFIG_XEN_PVHVM)"
        yield Note(NoteKind.WARNING, "M-10", f"{text}: on {Family.XEN} it depends on emulated devices")


def _rule(driver: Driver) -> str:
    return "M-10" if driver.family is Family.XEN else "M-23"


def _one_kernel(
    guest: Guest, context: Context, kernel: Kernel, tool: Tool | None
) -> Iterator[Edit | Note | Rebuild]:
    drivers = _drivers_as_modules(kernel, context.target)
    path = kernel.initramfs
    if path is None:
        if any(driver.boot for _, driver in drivers):
            names = ", ".join(driver.module for _, driver in drivers if driver.boot)
            text = (
                f"kernel {kernel.release} has no initramfs, so that {names} cannot be loaded before the root"
            )
            yield Note(NoteKind.WARNING, "R-49", text)
        return
    archive, problem = open_initramfs(guest, path)
    if archive is None:
        text = f"{path} is left as it is and the import would stop at it (E-24): {problem}"
        yield Note(NoteKind.WARNING, "E-24", text)
        return
    yield from host_only.notes(path, archive)
    try:
        new = additions(guest, kernel, archive, drivers)
        if not new.files:
            return
        reasons = _reasons(kernel, drivers, new, squashed=squash_image(archive) is not None)
        if context.choices.initramfs == "rebuild":
            yield _rebuild(guest, kernel, tool, path, reasons)
            return
        data = guest.read(path) or b""
        yield Edit(path, cpio_initramfs.rewrite(data, new.files), reasons)
    except FormatError as error:
        yield Note(NoteKind.WARNING, "M-10", f"{path} does not get the drivers of EC2: {error}")


def _drivers_as_modules(kernel: Kernel, target: Target) -> list[tuple[str, Driver]]:
    """The drivers this kernel has as modules, with its own names for them."""
    rows = {driver.module: driver for driver in target.drivers}
    return [(state.name, rows[state.module]) for state in kernel.drivers if state.name is not None]


def _names(kernels: Sequence[Kernel], target: Target) -> list[str]:
    """What the configuration of the guest's tool should name: modules some kernel has, in table order."""
    known = {name for kernel in kernels for name, _ in _drivers_as_modules(kernel, target)}
    known |= {name for kernel in kernels for name in kernel.buses}
    spelt = [
        name
        for driver in target.drivers
        for name in (*((driver.bus,) if driver.bus else ()), driver.module, *driver.old_names)
        if module_name(name) in known
    ]
    return list(dict.fromkeys(spelt))


def _in_all(kernels: Sequence[Kernel], name: str) -> bool:
    wanted = module_name(name)
    return all(
        wanted in kernel.buses or any(state.name == wanted for state in kernel.drivers) for kernel in kernels
    )


def _rebuild(
    guest: Guest, kernel: Kernel, tool: Tool | None, path: str, reasons: tuple[Reason, ...]
) -> Rebuild | Note:
    real = guest.resolve(path)
    argv = rebuild_command(tool, kernel.release, real)
    if argv is None:
        text = f"{path} cannot be rebuilt: the guest has no initramfs-tools and no dracut"
        return Note(NoteKind.WARNING, OWN_RULE, text)
    return Rebuild(real, argv, reasons)


def _reasons(
    kernel: Kernel, drivers: Sequence[tuple[str, Driver]], new: Additions, *, squashed: bool
) -> tuple[Reason, ...]:
    reasons = []
    names = dict(drivers)
    place = "what loads its squash image" if squashed else "its initramfs"
    for rule, family in (("M-10", Family.XEN), ("M-11", Family.NITRO)):
        own = [name for name in new.modules if name in names and names[name].family is family]
        if own:
            text = f"kernel {kernel.release} lacked {_listed(own)} in {place}, for {family}"
            reasons.append(Reason(rule, text))
    needed = [name for name in new.modules if name not in names]
    if needed:
        reasons.append(Reason("M-11", f"what these drivers need comes with them: {_listed(needed)}"))
    reasons += new.reasons
    if not reasons:
        reasons.append(Reason("M-11", "nothing in it said to load the drivers of EC2 that it has"))
    return tuple(reasons)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", "-") for name in names)
