"""Gives each kernel's initramfs the drivers of both EC2 families (documents M-10, M-11).

No program of the guest is run: the modules come from the guest's own `/lib/modules`, with all they need,
and go into the last segment of the initramfs with indexes made anew. The guest's own configuration names
them too, so that the next kernel has them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from imgpatch.errors import FormatError
from imgpatch.formats import compression, modindex
from imgpatch.formats import initramfs as cpio_initramfs
from imgpatch.formats.initramfs import Initramfs
from imgpatch.formats.modindex import ModuleIndex, module_name
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.kernels import Kernel, Presence, open_initramfs, read_index
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason, Rebuild
from imgpatch.target import Driver, Family, Target
from imgpatch.transforms.initramfs_tools import Tool, configuration, find_tool, rebuild_command

MAX_MODULE = 64 << 20
"""Bytes of one module, unpacked; the largest there are have a tenth of it."""

LOADERS = (
    "sbin/modprobe",
    "usr/sbin/modprobe",
    "bin/kmod",
    "usr/bin/kmod",
    "lib/systemd/systemd-udevd",
    "usr/lib/systemd/systemd-udevd",
)
"""Any of these loads what the indexes name. The init of Red Hat Enterprise Linux 5 has none and loads
only what it names itself."""


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
    yield from configuration(guest, tool, _names(kernels, context.target))


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
    try:
        files, added = _additions(guest, kernel, archive, drivers)
        if not files:
            return
        reasons = _reasons(kernel, drivers, added)
        if context.choices.initramfs == "rebuild":
            yield _rebuild(guest, kernel, tool, path, reasons)
            return
        data = guest.read(path) or b""
        yield Edit(path, cpio_initramfs.rewrite(data, files), reasons)
    except FormatError as error:
        yield Note(NoteKind.WARNING, "M-10", f"{path} does not get the drivers of EC2: {error}")


def _drivers_as_modules(kernel: Kernel, target: Target) -> list[tuple[str, Driver]]:
    """The drivers this kernel has as modules, with its own names for them."""
    rows = {driver.module: driver for driver in target.drivers}
    return [(state.name, rows[state.module]) for state in kernel.drivers if state.name is not None]


def _names(kernels: Sequence[Kernel], target: Target) -> list[str]:
    """What the configuration of the guest's tool should name: modules some kernel has, in table order."""
    known = {name: driver for kernel in kernels for name, driver in _drivers_as_modules(kernel, target)}
    spelt = [
        name
        for driver in target.drivers
        for name in (driver.module, *driver.old_names)
        if module_name(name) in known
    ]
    return list(dict.fromkeys(spelt))


def _rebuild(
    guest: Guest, kernel: Kernel, tool: Tool | None, path: str, reasons: tuple[Reason, ...]
) -> Rebuild | Note:
    real = guest.resolve(path)
    argv = rebuild_command(tool, kernel.release, real)
    if argv is None:
        text = f"{path} cannot be rebuilt: the guest has no initramfs-tools and no dracut"
        return Note(NoteKind.WARNING, OWN_RULE, text)
    return Rebuild(real, argv, reasons)


def _additions(
    guest: Guest, kernel: Kernel, archive: Initramfs, drivers: Sequence[tuple[str, Driver]]
) -> tuple[dict[str, bytes], list[str]]:
    """The files to put into the initramfs, by path, and the names of the modules among them.

    Raises:
        FormatError: the initramfs is of a kind that would not load them, or something is missing.
    """
    if kernel.modules is None or not drivers:
        return {}, []
    folder = archive.resolve(f"lib/modules/{kernel.release}")
    present = archive.modules(kernel.release)
    index = read_index(guest, kernel.modules)
    names = [name for name, _ in drivers]
    needed = index.hard_closure(names)
    old = _own_index(archive, folder)
    if all(name in present and (name in old.paths or not old.paths) for name in needed):
        return {}, []  # what only softdeps name is the distribution's to leave out
    new = [name for name in index.closure(names) if name not in present]
    if not any(archive.resolve(loader) in archive.files for loader in LOADERS):
        raise FormatError("it has neither modprobe nor udev, and loads only what its own init names")
    files, paths = {}, {}
    for name in new:
        paths[name] = _without_compression(index.paths[name])
        files[posixpath.join(folder, paths[name])] = _module(guest, kernel.modules, index.paths[name])
    paths.update({name: path.removeprefix(f"{folder}/") for name, path in present.items()})
    files.update(_indexes(archive, folder, index.joined(old), paths))
    files.update(_conf_modules(archive, index, drivers))
    return files, new


def _own_index(archive: Initramfs, folder: str) -> ModuleIndex:
    texts = {name: archive.data(f"{folder}/{name}") for name in modindex.TEXTS}
    return modindex.parse(
        {n: data.decode("utf-8", "surrogateescape") for n, data in texts.items() if data is not None},
        f"/{folder}",
    )


def _without_compression(path: str) -> str:
    return path.partition(".ko")[0] + ".ko"


def _module(guest: Guest, folder: str, path: str) -> bytes:
    """A module as the kernel loads it: not every initramfs has what unpacks a .ko.xz."""
    data = guest.read(posixpath.join(folder, path))
    if data is None:
        raise FormatError(f"{posixpath.join(folder, path)} is not in the guest, though modules.dep names it")
    return compression.unpack(data, MAX_MODULE)


def _indexes(archive: Initramfs, folder: str, index: ModuleIndex, paths: dict[str, str]) -> dict[str, bytes]:
    """All indexes over the modules that will be there; where there are some, no others than those."""
    unknown = sorted(name for name in paths if name not in index.paths)
    if unknown:
        raise FormatError(f"no index of the guest knows its modules {', '.join(unknown[:5])}")
    rendered = modindex.render(index.only(paths))
    there = {name for name in rendered if f"{folder}/{name}" in archive.files}
    return {f"{folder}/{name}": data for name, data in rendered.items() if not there or name in there}


def _conf_modules(
    archive: Initramfs, index: ModuleIndex, drivers: Sequence[tuple[str, Driver]]
) -> dict[str, bytes]:
    """What initramfs-tools' init loads before anything else: the disk drivers, in case udev does not."""
    if "conf/modules" not in archive.files and "conf/initramfs.conf" not in archive.files:
        return {}
    text = (archive.data("conf/modules") or b"").decode("utf-8", "surrogateescape")
    known = {module_name(line.split()[0]) for line in text.split("\n") if line.split()}
    lines = [
        posixpath.basename(index.paths[name]).partition(".")[0]
        for name, driver in drivers
        if driver.boot and name not in known
    ]
    if not lines:
        return {}
    start = text if not text or text.endswith("\n") else f"{text}\n"
    after = start + "".join(f"{line}\n" for line in lines)
    return {"conf/modules": after.encode("utf-8", "surrogateescape")}


def _reasons(
    kernel: Kernel, drivers: Sequence[tuple[str, Driver]], added: Sequence[str]
) -> tuple[Reason, ...]:
    reasons = []
    names = dict(drivers)
    for rule, family in (("M-10", Family.XEN), ("M-11", Family.NITRO)):
        own = [name for name in added if name in names and names[name].family is family]
        if own:
            text = f"kernel {kernel.release} lacked {_listed(own)} in its initramfs, for {family}"
            reasons.append(Reason(rule, text))
    needed = [name for name in added if name not in names]
    if needed:
        reasons.append(Reason("M-11", f"what these drivers need comes with them: {_listed(needed)}"))
    if not added:
        reasons.append(Reason("M-11", "the indexes of its modules did not name the drivers of EC2"))
    return tuple(reasons)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", "-") for name in names)
