"""Linux boots by GRUB, of which there are no two different menus (E-05; documents R-29, R-30).

What the service takes for a duplicate is nowhere told. By the messages people met it looks into the folders
of GRUB on each file system: a stub in such a folder of the EFI system partition was one (Photon), and so was
a menu.lst beside grub.cfg (Ubuntu 16.04). The stubs in EFI/<vendor>, which every UEFI system has, are none.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import grub2_configs
from imgpatch.inspection.other_loaders import other_loaders

NAMES = ("grub.cfg", "grub.conf", "menu.lst")
_FOLDERS = ("/boot/grub", "/boot/grub2", "/boot/boot/grub", "/boot/boot/grub2", "/grub", "/grub2")
_ON_ESP = ("boot/grub", "boot/grub2", "grub", "grub2")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if machine.inspection.bootloader is None:
        yield from _no_grub(machine)
        return
    found = menus(machine.guest)
    for group in ([p for p in found if posixpath.basename(p) == name] for name in NAMES):
        if len({machine.guest.read(path) for path in group}) > 1:
            yield _different(machine, group)
            return
    both = {posixpath.basename(path): path for path in found if _boots(machine.guest, path)}
    if "grub.cfg" in both and {"menu.lst", "grub.conf"} & both.keys():
        yield _different(machine, [both[name] for name in NAMES if name in both])


def menus(guest: Guest) -> tuple[str, ...]:
    """The real paths of what counts as a menu, links and the same file under two names counted once."""
    esp = [point for point in guest.storage.mounts if guest.tree.folds_case(point)]
    folders = [*_FOLDERS, *(posixpath.join(point, folder) for point in esp for folder in _ON_ESP)]
    paths = [posixpath.join(folder, name) for folder in folders for name in NAMES]
    real = [guest.resolve(path) for path in paths if _is_file(guest, path)]
    return tuple(dict.fromkeys((*real, *grub2_configs(guest))))


def _is_file(guest: Guest, path: str) -> bool:
    stat = guest.stat(path)
    return stat is not None and stat.kind is Kind.FILE and stat.size > 0


def _boots(guest: Guest, path: str) -> bool:
    """Whether it is GRUB 2's, or a menu of the old GRUB with a kernel in it."""
    lines = (guest.text(path) or "").split("\n")
    return path.endswith(".cfg") or any(line.split()[:1] == ["kernel"] for line in lines)


def _different(machine: Machine, paths: list[str]) -> Finding:
    known = machine.edition.has("R-30")
    default = machine.inspection.bootloader
    used = default.configs[0] if default is not None and default.configs else paths[0]
    others = [path for path in paths if path != used] or paths[1:]
    return Finding(
        "R-30",
        Severity.FAILS if known else Severity.UNKNOWN,
        f"different GRUB menus: {', '.join(paths)}" + ("" if known else "; this edition has no such error"),
        f"it boots by {used}: remove {', '.join(others)}, or make a link of it",
        error="E-05",
        path=others[0],
    )


def _no_grub(machine: Machine) -> Iterator[Finding]:
    loaders = other_loaders(machine.guest)
    name, path = loaders[0] if loaders else ("no boot loader that is known", None)
    yield Finding(
        "R-29",
        Severity.FAILS,
        f"{name}, and GRUB or GRUB 2 with a menu was wanted",
        "install GRUB in the guest, or use import-snapshot and register-image",
        path=path,
    )
