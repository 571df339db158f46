"""Names the swap to resume from by UUID in initramfs-tools' configuration; initramfs.conf(5), RESUME.

A device that is not there costs every boot half a minute of waiting. What kernel command lines say is changed
with them; this is the same rule for the file that the installer writes, and for its copies in the initramfs.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import shellvars
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.storage import Storage
from imgpatch.transforms.kernel_arguments import Arguments

VARIABLE = "RESUME"
PATTERNS = ("/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d/*")
NO_DEVICE = frozenset({"", "none", "auto"})


def applies(inspection: Inspection) -> bool:
    return bool(inspection.kernels)


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:  # noqa: ARG001
    """The configuration of the next initramfs; those that are there are `initramfs`'s."""
    for path in (path for pattern in PATTERNS for path in guest.glob(pattern)):
        stat = guest.stat(path)
        if stat is None or stat.kind is not Kind.FILE:
            continue
        try:
            text = guest.text(path) or ""
            after, reasons = by_uuid(text, guest.storage)
        except FormatError as error:
            yield Note(NoteKind.WARNING, OWN_RULE, f"{path}: {error}")
            continue
        if after != text:
            yield Edit(path, after.encode("utf-8", "surrogateescape"), reasons)


def by_uuid(text: str, storage: Storage) -> tuple[str, tuple[Reason, ...]]:
    """A file of initramfs-tools with its RESUME as it must be, and why; `none` where no swap is meant.

    Raises:
        FormatError: it names a device that cannot be told.
    """
    value = shellvars.values(shellvars.parse(text)).get(VARIABLE)
    if value is None or value in NO_DEVICE:
        return text, ()
    arguments = Arguments(storage, ())
    word = arguments.word(f"resume={value}", initrd=True)
    if arguments.warnings:
        raise FormatError(f"RESUME={value} names no device of the image: the initramfs may wait for it")
    new = "none" if word is None else word.partition("=")[2]
    if new == value:
        return text, ()
    return shellvars.with_value(text, VARIABLE, new), arguments.take_reasons()
