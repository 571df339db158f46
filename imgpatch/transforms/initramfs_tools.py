"""The guest's own tool that makes its initramfs, and the configuration by which it takes the drivers."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from enum import StrEnum

from imgpatch.errors import FormatError
from imgpatch.formats import shellvars
from imgpatch.formats.modindex import module_name
from imgpatch.guest import Guest
from imgpatch.plan import Edit, Note, NoteKind, Reason
from imgpatch.transforms.mkinitrd import mkinitrd_red_hat, mkinitrd_suse

MODULES_FILE = "/etc/initramfs-tools/modules"
DRACUT_FILE = "/etc/dracut.conf.d/imgpatch.conf"
DRACUT_FOLDERS = ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d")
MKINITCPIO_FILE = "/etc/mkinitcpio.conf"


class Tool(StrEnum):
    INITRAMFS_TOOLS = "initramfs-tools"
    DRACUT = "dracut"
    MKINITCPIO = "mkinitcpio"
    MKINITRD_SUSE = "SUSE's mkinitrd"
    MKINITRD_RED_HAT = "Red Hat's mkinitrd"
    BOOSTER = "booster"
    TINY_INITRAMFS = "tiny-initramfs"
    OTHER = "mkinitrd"


# In this order: a Debian that once had dracut keeps its folders, and the other way round (peers 74);
# where dracut makes the initramfs, /sbin/mkinitrd is a script in front of it (Red Hat 6, SLES 12).
_PROGRAMS = (
    (Tool.INITRAMFS_TOOLS, ("/usr/sbin/mkinitramfs", "/usr/sbin/update-initramfs")),
    (Tool.DRACUT, ("/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut")),
    (Tool.MKINITCPIO, ("/usr/bin/mkinitcpio",)),
    (Tool.MKINITRD_SUSE, ("/lib/mkinitrd",)),
    (Tool.MKINITRD_RED_HAT, ("/sbin/nash", "/usr/sbin/nash")),
    (Tool.BOOSTER, ("/usr/bin/booster", "/usr/lib/booster")),
    (Tool.TINY_INITRAMFS, ("/usr/sbin/mktirfs",)),
    (Tool.OTHER, ("/sbin/mkinitrd", "/usr/sbin/mkinitrd")),
    (Tool.INITRAMFS_TOOLS, ("/etc/initramfs-tools",)),
    (Tool.DRACUT, ("/etc/dracut.conf", "/etc/dracut.conf.d")),
)


def find_tool(guest: Guest) -> Tool | None:
    """By the programs; by the folders of their configuration where none of the programs is there."""
    found = next((tool for tool, paths in _PROGRAMS if any(guest.exists(path) for path in paths)), None)
    if found is not Tool.OTHER:
        return found
    text = guest.text("/etc/sysconfig/kernel") or ""
    if "INITRD_MODULES" in shellvars.values(shellvars.parse(text)):
        return Tool.MKINITRD_SUSE
    return Tool.MKINITRD_RED_HAT if guest.exists("/etc/modprobe.conf") else found


def rebuild_command(tool: Tool | None, release: str, path: str) -> tuple[str, ...] | None:
    """What makes one initramfs anew; None where it is not known.

    dracut is told not to look at the hardware it runs on, which is the appliance's.
    """
    if tool is Tool.INITRAMFS_TOOLS:
        # not update-initramfs, which wants the old one in place and keeps a sum of its own of the new one
        return ("mkinitramfs", "-o", path, release)
    if tool is Tool.DRACUT:
        return ("dracut", "--force", "--no-hostonly", path, release)
    return None


def configuration(
    guest: Guest, tool: Tool | None, names: Sequence[str], everywhere: Sequence[str]
) -> Iterator[Edit | Note]:
    """Names the drivers, as modules, to the tool, so that the next initramfs has them.

    Args:
        guest: as planned so far.
        tool: the guest's.
        names: the drivers that some kernel has as modules.
        everywhere: those of them that each kernel has as modules; mkinitrd stops at one that is missing.
    """
    if not names:
        return
    match tool:
        case Tool.INITRAMFS_TOOLS:
            yield from _initramfs_tools(guest, names)
        case Tool.DRACUT:
            yield from _dracut(guest, names)
        case Tool.MKINITCPIO:
            yield from _mkinitcpio(guest, names)
        case Tool.MKINITRD_SUSE:
            yield from mkinitrd_suse(guest, names, everywhere)
        case Tool.MKINITRD_RED_HAT:
            yield from mkinitrd_red_hat(guest, names, everywhere)
        case _:
            what = (
                "no tool that makes an initramfs" if tool is None else f"{tool}, which is not configured here"
            )
            text = f"the guest has {what}: make sure that the next kernel's initramfs has {', '.join(names)}"
            yield Note(NoteKind.WARNING, "M-11", text)


def _initramfs_tools(guest: Guest, names: Sequence[str]) -> Iterator[Edit]:
    """initramfs-tools(7): a module and its arguments a line; always taken, whatever MODULES= says."""
    text = guest.text(MODULES_FILE) or ""
    words = [line.split() for line in text.split("\n") if not line.startswith("#")]
    named = {module_name(line[0]) for line in words if line}
    missing = [name for name in names if module_name(name) not in named]
    if missing:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        after = start + "".join(f"{name}\n" for name in missing)
        reason = Reason("M-11", f"the next initramfs takes {', '.join(missing)} too")
        yield Edit(MODULES_FILE, after.encode("utf-8", "surrogateescape"), (reason,))


def _dracut(guest: Guest, names: Sequence[str]) -> Iterator[Edit | Note]:
    """dracut.conf(5): `+=` with blanks inside the quotes; what is added so is taken in hostonly mode too."""
    named: set[str] = set()
    for path in _dracut_files(guest):
        if path == DRACUT_FILE:
            continue
        for line, key, operator, words in _driver_lists(guest.text(path) or ""):
            if key == "omit_drivers":
                yield from _omitted(path, line, names, words)
                continue
            if operator == "=" and posixpath.basename(path) > posixpath.basename(DRACUT_FILE):
                yield Note(NoteKind.WARNING, "M-11", f"{path} line {line}: {key}= takes back {DRACUT_FILE}")
            named = named | set(words) if operator == "+=" else set(words)
    own = [name for name in names if module_name(name) not in named]
    after = f'add_drivers+=" {" ".join(own)} "\n'
    if own and guest.text(DRACUT_FILE) != after:
        reason = Reason("M-11", f"the next initramfs takes {', '.join(own)} too")
        yield Edit(DRACUT_FILE, after.encode(), (reason,))


def _omitted(path: str, line: int, names: Sequence[str], words: Sequence[str]) -> Iterator[Note]:
    """What is omitted is left out even where it is added: dracut hands the list to dracut-install."""
    lost = [name for name in names if module_name(name) in words]
    if lost:
        text = f"{path} line {line}: omit_drivers keeps {', '.join(lost)} out of the next initramfs"
        yield Note(NoteKind.WARNING, "M-11", f"{text}; take them out of that list")


def _dracut_files(guest: Guest) -> list[str]:
    """In the order in which dracut reads them: a file in /etc stands for one of the same name in /usr."""
    found = {
        posixpath.basename(path): path for folder in DRACUT_FOLDERS for path in guest.glob(f"{folder}/*.conf")
    }
    return ["/etc/dracut.conf", *(found[name] for name in sorted(found))]


def _driver_lists(text: str) -> Iterator[tuple[int, str, str, list[str]]]:
    """The assignments to the lists of drivers: line, name, operator and the modules in it."""
    for number, line in enumerate(text.split("\n"), 1):
        key, equals, value = line.strip().partition("=")
        name = key.removesuffix("+").rstrip()
        if equals and name in ("add_drivers", "force_drivers", "omit_drivers"):
            words = value.partition("#")[0].strip(" \t\"'").split()
            yield number, name, "+=" if key.endswith("+") else "=", [module_name(word) for word in words]


def _mkinitcpio(guest: Guest, names: Sequence[str]) -> Iterator[Edit | Note]:
    """mkinitcpio.conf(5): MODULES is an array of bash, before version 23 a string of words."""
    text = guest.text(MKINITCPIO_FILE) or ""
    try:
        after, missing = _with_modules(text, names)
    except FormatError as error:
        yield Note(NoteKind.WARNING, "M-11", f"{MKINITCPIO_FILE} is left: {error}")
        return
    if missing:
        reason = Reason("M-11", f"the next initramfs takes {', '.join(missing)} too")
        yield Edit(MKINITCPIO_FILE, after.encode("utf-8", "surrogateescape"), (reason,))


def _with_modules(text: str, names: Sequence[str]) -> tuple[str, list[str]]:
    lines = text.split("\n")
    rows = [at for at, line in enumerate(lines) if line.startswith("MODULES=")]
    if not rows:
        raise FormatError(f"it has no line MODULES=; name {', '.join(names)} in it")
    head, value = lines[rows[-1]][: len("MODULES=")], lines[rows[-1]][len("MODULES=") :]
    inner, closing = value[1:].rstrip(), value.rstrip()[-1:]
    if value[:1] + closing not in ("()", '""', "''") or len(inner) == 0:
        raise FormatError(f"its line {rows[-1] + 1} is no list of one line; name {', '.join(names)} in it")
    inner = inner[:-1]
    known = {module_name(word.strip("\"'")) for word in inner.split()}
    missing = [name for name in names if module_name(name) not in known]
    gap = " " if inner and not inner[-1].isspace() else ""
    lines[rows[-1]] = f"{head}{value[0]}{inner}{gap}{' '.join(missing)}{closing}"
    return "\n".join(lines), missing
