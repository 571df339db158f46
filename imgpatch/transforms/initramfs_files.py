"""What goes into one initramfs so that its own way of starting loads the drivers; not a transform itself.

Three ways are known: udev and modprobe, which go by the indexes; nash of mkinitrd 5.1, which loads what its
script names; and the loader of dracut's squash images, which has modprobe but no udev.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgpatch.errors import FormatError
from imgpatch.formats import compression, initscript, modindex, modprobe, shellvars
from imgpatch.formats.initramfs import Initramfs
from imgpatch.formats.modindex import ModuleIndex, module_name
from imgpatch.guest import Guest
from imgpatch.inspection.kernels import Kernel, read_index, squash_image
from imgpatch.plan import Reason
from imgpatch.target import Driver
from imgpatch.transforms import resume_device

_MODPROBE = re.compile(r"(?:etc|lib|usr/lib)/modprobe\.(?:conf$|d/)")

MAX_MODULE = 64 << 20
"""Bytes of one module, unpacked; the largest there are have a tenth of it."""

LOADERS = (
    "sbin/modprobe",
    "usr/sbin/modprobe",
    "bin/modprobe",
    "usr/bin/modprobe",
    "bin/kmod",
    "usr/bin/kmod",
    "lib/systemd/systemd-udevd",
    "usr/lib/systemd/systemd-udevd",
)
"""Any of these loads what the indexes name."""

SQUASH_SCRIPTS = ("init", "squash/setup-squash.sh", "squash/init-squash.sh")
"""What mounts a squash image: since dracut 050 `init` itself, before it a script that `init` runs."""

SUSE_START = "config/start.sh"
SUSE_MODULES = "RESOLVED_INITRD_MODULES"
"""What SUSE's mkinitrd loads before udev: its scripts/setup-start.sh and boot-start.sh."""


@dataclass(frozen=True, slots=True)
class Additions:
    """What an initramfs gains.

    Attributes:
        files: path -> contents.
        modules: the names of the new modules among them.
        reasons: why files change that are not about what is loaded.
    """

    files: Mapping[str, bytes]
    modules: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def additions(
    guest: Guest, kernel: Kernel, archive: Initramfs, drivers: Sequence[tuple[str, Driver]]
) -> Additions:
    """What to put into the initramfs; `drivers` are those this kernel has as modules, by its own names.

    Raises:
        FormatError: the initramfs is of a kind that would not load them, or something is missing.
    """
    if kernel.modules is None or not drivers:
        return Additions({})
    index = read_index(guest, kernel.modules)
    wanted = _with_buses(index, drivers)
    init = _text(archive, "init")
    if init is not None and initscript.is_nash(init):
        return _flat(guest, kernel, archive, index, list(wanted), init)
    files, new = _indexed(guest, kernel, archive, index, wanted)
    reasons: list[Reason] = []
    for path, text, why in (*_opened(archive, [name for name, _ in drivers]), *_resumes(guest, archive)):
        files[path] = text.encode("utf-8", "surrogateescape")
        reasons += why
    return Additions(files, tuple(new), tuple(reasons))


def _with_buses(index: ModuleIndex, drivers: Sequence[tuple[str, Driver]]) -> dict[str, bool]:
    """The modules to load, a bus before what sits on it -> whether the root needs it."""
    wanted: dict[str, bool] = {}
    for name, driver in sorted(drivers, key=lambda row: not row[1].boot):
        if driver.bus is not None and module_name(driver.bus) in index.paths:
            wanted.setdefault(module_name(driver.bus), driver.boot)
        wanted.setdefault(name, driver.boot)
    return wanted


def _text(archive: Initramfs, path: str) -> str | None:
    data = archive.data(path)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _flat(
    guest: Guest, kernel: Kernel, archive: Initramfs, index: ModuleIndex, names: Sequence[str], init: str
) -> Additions:
    """Modules straight in `lib`, and a line of `init` for each, what is needed first."""
    loaded = initscript.loaded(init, "insmod")
    present = archive.modules(kernel.release)
    order: list[str] = []
    for name in names:
        needs = (need for need in reversed(index.needs.get(name, ())) if need in index.paths)
        order += [module for module in (*needs, name) if module not in order]
    files, new = {}, []
    for name in order:
        if name not in present:
            path = posixpath.basename(_without_compression(index.paths[name]))
            files[f"lib/{path}"] = _module(guest, kernel.modules or "", index.paths[name])
            new.append(name)
    missing = [
        posixpath.basename(present.get(name) or _without_compression(index.paths[name]))
        for name in order
        if name not in loaded
    ]
    if missing:
        files["init"] = initscript.with_insmods(init, missing).encode("utf-8", "surrogateescape")
    return Additions(files, tuple(new))


def _indexed(
    guest: Guest, kernel: Kernel, archive: Initramfs, index: ModuleIndex, wanted: Mapping[str, bool]
) -> tuple[dict[str, bytes], list[str]]:
    """Modules in the folder of the release with their indexes, and what names them to be loaded."""
    folder = archive.resolve(f"lib/modules/{kernel.release}")
    present = archive.modules(kernel.release)
    old = _own_index(archive, folder)
    squashed = squash_image(archive) is not None
    files = _squash_script(archive, wanted) if squashed else {}
    needed = index.hard_closure(wanted)
    if all(name in present and (name in old.paths or not old.paths) for name in needed):
        return files, []  # what only softdeps name is the distribution's to leave out
    new = [name for name in index.closure(wanted) if name not in present]
    if not any(archive.resolve(loader) in archive.files for loader in LOADERS):
        raise FormatError(
            "it has neither modprobe nor udev, and loads only what its own init names; "
            f"make it anew in the guest with {', '.join(name.replace('_', '-') for name in wanted)}"
        )
    paths = dict(old.paths) if squashed else {}  # a mounted image has the files that seem to be missing
    for name in new:
        paths[name] = _without_compression(index.paths[name])
        files[posixpath.join(folder, paths[name])] = _module(guest, kernel.modules or "", index.paths[name])
    paths.update({name: path.removeprefix(f"{folder}/") for name, path in present.items()})
    files.update(_indexes(archive, folder, index.joined(old), paths))
    files.update(_conf_modules(archive, index, wanted))
    files.update(_suse_start(archive, wanted))
    return files, new


def _own_index(archive: Initramfs, folder: str) -> ModuleIndex:
    texts = {name: _text(archive, f"{folder}/{name}") for name in modindex.TEXTS}
    return modindex.parse({name: text for name, text in texts.items() if text is not None}, f"/{folder}")


def _without_compression(path: str) -> str:
    return path.partition(".ko")[0] + ".ko"


def _module(guest: Guest, folder: str, path: str) -> bytes:
    """A module as the kernel loads it, signature and all: not every initramfs can unpack a .ko.xz."""
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


def _conf_modules(archive: Initramfs, index: ModuleIndex, wanted: Mapping[str, bool]) -> dict[str, bytes]:
    """What initramfs-tools' init loads before anything else: the disk drivers, in case udev does not."""
    if "conf/modules" not in archive.files and "conf/initramfs.conf" not in archive.files:
        return {}
    text = _text(archive, "conf/modules") or ""
    known = {module_name(line.split()[0]) for line in text.split("\n") if line.split()}
    lines = [
        posixpath.basename(index.paths[name]).partition(".")[0]
        for name, boot in wanted.items()
        if boot and name not in known
    ]
    if not lines:
        return {}
    start = text if not text or text.endswith("\n") else f"{text}\n"
    after = start + "".join(f"{line}\n" for line in lines)
    return {"conf/modules": after.encode("utf-8", "surrogateescape")}


def _suse_start(archive: Initramfs, wanted: Mapping[str, bool]) -> dict[str, bytes]:
    """The list that the scripts of SUSE's mkinitrd load before udev runs."""
    text = _text(archive, SUSE_START)
    listed = None if text is None else shellvars.values(shellvars.parse(text)).get(SUSE_MODULES)
    if text is None or listed is None:
        return {}
    known = {module_name(word) for word in listed.split()}
    after = text
    for name in (name for name, boot in wanted.items() if boot and name not in known):
        after = shellvars.with_word(after, SUSE_MODULES, name)
    return {} if after == text else {SUSE_START: after.encode("utf-8", "surrogateescape")}


def _squash_script(archive: Initramfs, wanted: Mapping[str, bool]) -> dict[str, bytes]:
    """The disk drivers are loaded before the image is mounted: the udev in it knows only its own modules.

    Raises:
        FormatError: no script is known that loads anything.
    """
    for path in SQUASH_SCRIPTS:
        text = _text(archive, path)
        if text is None:
            continue
        known = initscript.loaded(text, "modprobe")
        missing = [name for name, boot in wanted.items() if boot and name not in known]
        after = initscript.with_modprobes(text, [name.replace("_", "-") for name in missing])
        if after is not None:
            real = archive.resolve(path)
            return {real: after.encode("utf-8", "surrogateescape")} if missing else {}
    image = squash_image(archive)
    raise FormatError(
        f"its files are inside the file system image {image}, and no script is known that mounts it; "
        f"make it anew in the guest without it: dracut --force --omit squash"
    )


def _opened(archive: Initramfs, names: Sequence[str]) -> Iterator[tuple[str, str, list[Reason]]]:
    """The files of modprobe.d(5) in it that refuse a driver, what they become, and why."""
    wanted = {module_name(name) for name in names}
    for path in sorted(archive.files):
        text = _text(archive, path) if _MODPROBE.match(path) else None
        lines = [] if text is None else [r for r in modprobe.refusals(text) if r.module in wanted]
        if text is not None and lines:
            why = "keeps a driver from loading that EC2 needs"
            reasons = [Reason("M-11", f"{path} line {row.line}: {row.text} {why}") for row in lines]
            yield path, modprobe.allowing(text, wanted), reasons


def _resumes(guest: Guest, archive: Initramfs) -> Iterator[tuple[str, str, list[Reason]]]:
    """The copies of initramfs-tools' configuration, where they name a swap by its device."""
    for path in sorted(archive.files):
        text = _text(archive, path) if path.startswith(("conf/conf.d/", "conf/initramfs.conf")) else None
        if text is None:
            continue
        with suppress(FormatError):  # said of the file in the guest
            after, reasons = resume_device.by_uuid(text, guest.storage)
            if after != text:
                yield path, after, list(reasons)
