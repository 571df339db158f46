"""The kernels of the guest and which drivers of the target each of them has, and where."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from imgpatch.errors import RefusedError
from imgpatch.formats import initramfs, modindex
from imgpatch.formats.modindex import module_name
from imgpatch.guest import MAX_INDEX, Guest, Kind
from imgpatch.inspection.bootloader import BootEntry, Bootloader
from imgpatch.target import XEN_PLATFORM, Driver, Target

IMAGE_PATTERNS = ("/boot/vmlinuz-*", "/boot/kernel-*", "/boot/vmlinux-*", "/boot/Image-*")

NOT_IMAGES = (".hmac", ".gz", ".old", ".bak", ".rpmsave", ".rpmnew", ".dpkg-bak", ".img", ".sig")

SPECIAL = ("rescue", "kdump", "fallback")
"""In the name of an image or an initramfs that is not for booting every day."""

SQUASHED = ("squash-root.img", "squash/root.img", "squashfs-root.img", "erofs-root.img")
"""Where dracut's squash module puts nearly everything (dracut 049 on)."""


class Presence(StrEnum):
    BUILT_IN = "built in"
    MODULE = "module"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class DriverState:
    """One driver of the target in one kernel.

    Attributes:
        module: the driver's name in the target's table.
        presence: in this kernel at all.
        in_initramfs: None where it does not apply (built in, absent, no readable initramfs) or cannot
            be seen (within a squash image).
        name: what this kernel calls the module (`xen_vbd` for xen-blkfront in old ones).
    """

    module: str
    presence: Presence
    in_initramfs: bool | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Kernel:
    """One installed kernel.

    Attributes:
        release: as `uname -r` would print it.
        image: path of the kernel.
        modules: its folder of modules, None where there is none.
        initramfs: path of its initramfs, None where there is none.
        initramfs_problem: why the initramfs cannot be read, None where it can.
        default: whether it is the one the boot loader starts.
        finds_xen: whether it finds Xen's devices where it is fully virtualized, as on EC2; None where its
            configuration is not there to tell.
        buses: the modules it has of the buses that the target's drivers sit on.
    """

    release: str
    image: str
    modules: str | None
    initramfs: str | None
    initramfs_problem: str | None
    drivers: tuple[DriverState, ...]
    default: bool
    finds_xen: bool | None = None
    buses: tuple[str, ...] = ()


def inspect_kernels(guest: Guest, bootloader: Bootloader | None, target: Target) -> tuple[Kernel, ...]:
    """All installed kernels, newest first; debug kernels last, since they sort highest by their names."""
    default = None if bootloader is None or bootloader.default is None else bootloader.default.kernel
    kernels = [_kernel(guest, bootloader, target, image) for image in _images(guest, bootloader)]
    chosen = None if default is None else guest.resolve(default)
    kernels = [replace(kernel, default=kernel.image == chosen) for kernel in kernels]
    return tuple(sorted(kernels, key=lambda kernel: release_key(kernel.release), reverse=True))


def release_key(release: str) -> tuple[bool, list[tuple[int, int, str]]]:
    """Sorts releases as rpm and dpkg do in the ordinary cases: numbers by value, numbers above letters."""
    parts = re.findall(r"\d+|[A-Za-z]+", release)
    return "debug" not in release, [
        (1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if len(part) < 20
    ]


def _images(guest: Guest, bootloader: Bootloader | None) -> Iterator[str]:
    """Kernels by their names in /boot, then those only the boot loader names (`/boot/ID/VERSION/linux`)."""
    named = [path for pattern in IMAGE_PATTERNS for path in guest.glob(pattern)]
    entries = () if bootloader is None else bootloader.entries
    seen = set()
    for path in (*named, *(entry.kernel for entry in entries)):
        base = posixpath.basename(path)
        if base.endswith(NOT_IMAGES) or any(word in base for word in SPECIAL):
            continue
        real = guest.resolve(path)
        stat = guest.stat(real)
        if real not in seen and stat is not None and stat.kind is Kind.FILE:
            seen.add(real)
            yield real


def _kernel(guest: Guest, bootloader: Bootloader | None, target: Target, image: str) -> Kernel:
    suffix = posixpath.basename(image).partition("-")[2]
    release = _release(guest, image, suffix)
    folder = f"/lib/modules/{release}"
    modules = folder if guest.listdir(folder) else None
    path = find_initramfs(guest, bootloader, image, suffix, release)
    archive, problem = open_initramfs(guest, path)
    config = read_config(guest, image, release)
    files = _files_of(guest, folder, target)
    builtin = modindex.names_in(guest.text(f"{folder}/modules.builtin", MAX_INDEX) or "")
    loaded = None if archive is None else archive.modules(release)
    states = tuple(_driver_state(driver, files, builtin, config, loaded) for driver in target.drivers)
    if archive is not None and squash_image(archive) is not None:
        states = tuple(replace(state, in_initramfs=state.in_initramfs or None) for state in states)
    return Kernel(
        release=release,
        image=image,
        modules=modules,
        initramfs=path,
        initramfs_problem=problem,
        drivers=states,
        default=False,
        finds_xen=_finds_xen(config, files, builtin),
        buses=tuple(sorted(bus for bus in _buses(target) if files.get(bus))),
    )


def _release(guest: Guest, image: str, suffix: str) -> str:
    """From the file's name; where no modules have that name, from the kernel itself (Arch Linux)."""
    folder = posixpath.basename(posixpath.dirname(image))
    for name in (suffix, folder):
        if name and guest.listdir(f"/lib/modules/{name}"):
            return name
    return release_of_image(guest.read(image) or b"") or suffix or folder


def release_of_image(data: bytes) -> str | None:
    """The version in an x86 kernel: Documentation/arch/x86/boot.rst, kernel_version; None elsewhere."""
    if data[0x202:0x206] != b"HdrS":
        return None
    start = int.from_bytes(data[0x20E:0x210], "little") + 0x200
    text = data[start : start + 128].partition(b"\0")[0].decode("ascii", "replace")
    return text.split(" ")[0] if start > 0x200 and text else None


def find_initramfs(
    guest: Guest, bootloader: Bootloader | None, image: str, suffix: str, release: str
) -> str | None:
    """What the boot loader loads with this kernel; else by the names the distributions use."""
    folder = posixpath.dirname(image)
    real = guest.resolve(image)
    candidates = [
        initrd
        for entry in _entries_default_first(bootloader)
        if guest.resolve(entry.kernel) == real
        for initrd in reversed(entry.initrds)
        if "ucode" not in posixpath.basename(initrd)
    ]
    for name in dict.fromkeys((suffix, release)):
        candidates += [
            f"{folder}/initrd.img-{name}",  # Debian, Ubuntu
            f"{folder}/initramfs-{name}.img",  # Red Hat, Fedora, Arch Linux
            f"{folder}/initrd-{name}",  # SUSE
            f"{folder}/initrd-{name}.img",  # Red Hat Enterprise Linux 5
            f"{folder}/initramfs-{name}",
        ]
    candidates += [f"{folder}/initrd"] if folder != "/boot" else []
    candidates += [f"/lib/modules/{release}/initrd", f"/lib/modules/{release}/initramfs.img"]
    plain = [p for p in candidates if not any(word in posixpath.basename(p) for word in SPECIAL)]
    return next((path for path in plain if guest.exists(path)), None)


def _entries_default_first(bootloader: Bootloader | None) -> list[BootEntry]:
    if bootloader is None:
        return []
    first = [] if bootloader.default is None else [bootloader.default]
    return [*first, *bootloader.entries]


def open_initramfs(guest: Guest, path: str | None) -> tuple[initramfs.Initramfs | None, str | None]:
    """What is in an initramfs, or why that cannot be told; neither where there is none."""
    if path is None:
        return None, None
    try:
        data = guest.read(path)
        if data is None:
            return None, "the file is not there"
        archive = initramfs.read(data)
    except RefusedError as error:
        return None, str(error)
    return archive, None


def squash_image(archive: initramfs.Initramfs) -> str | None:
    """The file system image in which an initramfs of dracut has all but what mounts it; None: none."""
    return next((name for name in SQUASHED if name in archive.files), None)


def _buses(target: Target) -> set[str]:
    return {module_name(driver.bus) for driver in target.drivers if driver.bus is not None}


def _finds_xen(config: Mapping[str, str], modules: Mapping[str, bool], builtin: set[str]) -> bool | None:
    """CONFIG_XEN_PVHVM since Linux 2.6.36, or the drivers for full virtualization of older ones."""
    name = module_name(XEN_PLATFORM)
    if modules.get(name) or name in builtin or config.get("CONFIG_XEN_PVHVM") == "y":
        return True
    return False if "CONFIG_XEN" in config else None


def read_config(guest: Guest, image: str, release: str) -> Mapping[str, str]:
    """The kernel's configuration, symbol -> value; empty where the guest has none."""
    places = (f"{posixpath.dirname(image)}/config-{release}", f"/lib/modules/{release}/config")
    text = next((text for text in map(guest.text, places) if text is not None), "")
    pairs = (line.partition("=") for line in text.split("\n") if line.startswith("CONFIG_"))
    return {key: value for key, _, value in pairs}


def read_index(guest: Guest, folder: str, names: tuple[str, ...] = modindex.TEXTS) -> modindex.ModuleIndex:
    texts = {name: guest.text(f"{folder}/{name}", MAX_INDEX) for name in names}
    return modindex.parse({name: text for name, text in texts.items() if text is not None}, folder)


def _driver_state(
    driver: Driver,
    modules: Mapping[str, bool],
    builtin: set[str],
    config: Mapping[str, str],
    loaded: Mapping[str, str] | None,
) -> DriverState:
    """One driver in one kernel.

    `modules` says of a module whether its file is there; `loaded` are the modules in the initramfs, None
    where there is no readable one.
    """
    names = [module_name(name) for name in (driver.module, *driver.old_names)]
    name = next((name for name in names if modules.get(name)), None)
    if name is not None:
        inside = None if loaded is None else name in loaded
        return DriverState(driver.module, Presence.MODULE, inside, name)
    if config.get(driver.config) == "y" or any(name in builtin for name in names):
        return DriverState(driver.module, Presence.BUILT_IN, None)
    return DriverState(driver.module, Presence.ABSENT, None)


def _files_of(guest: Guest, folder: str, target: Target) -> dict[str, bool]:
    """Of the modules the target may need: name -> whether the file its index names is there."""
    index = read_index(guest, folder, ("modules.dep",))
    rows = ((driver.module, *driver.old_names, driver.bus or driver.module) for driver in target.drivers)
    names = sorted({module_name(name) for row in rows for name in row})
    return {
        name: guest.exists(posixpath.join(folder, index.paths[name])) for name in names if name in index.paths
    }
