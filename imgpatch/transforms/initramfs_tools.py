"""The guest's own tool that makes its initramfs, and the configuration by which it takes the drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from imgpatch.formats.modindex import module_name
from imgpatch.guest import Guest
from imgpatch.plan import Edit, Note, NoteKind, Reason

MODULES_FILE = "/etc/initramfs-tools/modules"
DRACUT_FILE = "/etc/dracut.conf.d/imgpatch.conf"
DRACUT_PATTERNS = (
    "/usr/lib/dracut/dracut.conf.d/*.conf",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*.conf",
)


class Tool(StrEnum):
    INITRAMFS_TOOLS = "initramfs-tools"
    DRACUT = "dracut"
    OTHER = "mkinitrd or mkinitcpio"


# In this order: a Debian that once had dracut keeps its folders, and the other way round (peers 74).
_PROGRAMS = (
    (Tool.INITRAMFS_TOOLS, ("/usr/sbin/mkinitramfs", "/usr/sbin/update-initramfs")),
    (Tool.DRACUT, ("/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut")),
    (Tool.OTHER, ("/sbin/mkinitrd", "/usr/sbin/mkinitrd", "/usr/bin/mkinitcpio")),
    (Tool.INITRAMFS_TOOLS, ("/etc/initramfs-tools",)),
    (Tool.DRACUT, ("/etc/dracut.conf", "/etc/dracut.conf.d")),
)


def find_tool(guest: Guest) -> Tool | None:
    """By the programs; by the folders of their configuration where none of the programs is there."""
    return next((tool for tool, paths in _PROGRAMS if any(guest.exists(path) for path in paths)), None)


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


def configuration(guest: Guest, tool: Tool | None, names: Sequence[str]) -> Iterator[Edit | Note]:
    """Names the drivers, as modules, to the tool, so that the next initramfs has them."""
    if not names:
        return
    if tool is Tool.INITRAMFS_TOOLS:
        yield from _initramfs_tools(guest, names)
    elif tool is Tool.DRACUT:
        yield from _dracut(guest, names)
    else:
        what = "no tool that makes an initramfs" if tool is None else f"{tool}, which is not configured here"
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


def _dracut(guest: Guest, names: Sequence[str]) -> Iterator[Edit]:
    """dracut.conf(5): `+=` with blanks inside the quotes; what is added so is taken in hostonly mode too."""
    named: set[str] = set()
    for path in (path for pattern in DRACUT_PATTERNS for path in guest.glob(pattern)):
        if path != DRACUT_FILE:
            named.update(_added_drivers(guest.text(path) or ""))
    own = [name for name in names if module_name(name) not in named]
    after = f'add_drivers+=" {" ".join(own)} "\n'
    if own and guest.text(DRACUT_FILE) != after:
        reason = Reason("M-11", f"the next initramfs takes {', '.join(own)} too")
        yield Edit(DRACUT_FILE, after.encode(), (reason,))


def _added_drivers(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals and key.rstrip("+").strip() in ("add_drivers", "force_drivers"):
            yield from (module_name(word) for word in value.partition("#")[0].strip(" \t\"'").split())
