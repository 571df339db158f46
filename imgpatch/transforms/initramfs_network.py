"""The network that an initramfs brings up by itself is DHCP on EC2's NIC, too (M-06, M-07).

initramfs-tools has it in `IP=` and `DEVICE=` (initramfs.conf(5)), dracut in `kernel_cmdline=`
(dracut.conf(5)), both in the form of the kernel's `ip=`. Used by NFS roots and for unlocking over SSH.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable

from imgpatch.formats import shellvars
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.network_arguments import NetworkArguments

_INITRAMFS_TOOLS = ("/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d/*")
_DRACUT = ("/etc/dracut.conf", "/etc/dracut.conf.d/*.conf")


def applies(inspection: Inspection) -> bool:
    return bool(inspection.network.stacks)


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    arguments = NetworkArguments.of(context)
    for patterns, change in ((_INITRAMFS_TOOLS, _initramfs_tools), (_DRACUT, _dracut)):
        for path in (path for pattern in patterns for path in guest.glob(pattern)):
            stat = guest.stat(path)
            if stat is None or stat.kind is not Kind.FILE:
                continue
            before = guest.text(path) or ""
            reasons: list[Reason] = []
            after = shellvars.with_words_mapped(before, change(arguments, reasons))
            if after == before:
                continue
            yield Edit(path, after.encode("utf-8", "surrogateescape"), tuple(reasons))
            name = posixpath.basename(path)
            text = f"{path}: an initramfs made before holds the old network of {name} until it is made anew"
            yield Note(NoteKind.WARNING, "M-06", text)


_Change = Callable[[str, str], str | None]


def _initramfs_tools(arguments: NetworkArguments, reasons: list[Reason]) -> _Change:
    def change(name: str, word: str) -> str:
        new = word
        if name == "IP":
            new = arguments.address(word) or ""
        elif name == "DEVICE":
            new = arguments.names.word(word)
        if new != word:
            reasons.append(Reason("M-06" if name == "IP" else "R-66", f"{name}={word} becomes {name}={new}"))
        return new

    return change


def _dracut(arguments: NetworkArguments, reasons: list[Reason]) -> _Change:
    def change(name: str, word: str) -> str | None:
        argument, equals, value = word.partition("=")
        changed = arguments.word(argument, value) if name == "kernel_cmdline" and equals else None
        if changed is None:
            return word
        reasons.append(changed[1])
        return changed[0]

    return change
