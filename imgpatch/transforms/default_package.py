"""/etc/sysconfig/kernel: which package's next kernel becomes the default; not a transform by itself.

With UPDATEDEFAULT=yes Red Hat's systems make each new kernel of the package DEFAULTKERNEL the default entry.
Where the default had to leave Xen's own kernel, the next `kernel-xen` must not take it back there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import shellvars
from imgpatch.inspection.boot_entry import BootEntry
from imgpatch.inspection.grub_files import GrubFiles
from imgpatch.plan import Note, NoteKind, Reason
from imgpatch.transforms.default_kernel import Choice
from imgpatch.transforms.draft import Draft

RULE = "M-09"
_PATH = "/etc/sysconfig/kernel"
_NAME = "DEFAULTKERNEL"
_FLAVOUR = re.compile(r"(?:[-.+]|el\d+)(xen|uek|PAE|debug|rt)(?![A-Za-z])")


def settle_package(draft: Draft, today: BootEntry | None, choice: Choice) -> Iterator[Note]:
    """Where the default goes from one kind of kernel to another, the package that follows it does, too."""
    if choice.why is None or choice.entry is None or today is None:
        return
    text = (GrubFiles(draft.guest).read(_PATH) or b"").decode("utf-8", "surrogateescape")
    package = shellvars.values(shellvars.parse(text)).get(_NAME) or ""
    old, new = _flavour(posixpath.basename(today.kernel)), _flavour(posixpath.basename(choice.entry.kernel))
    if not package or old == new or _flavour(package) != old:
        return
    wanted = "-".join(part for part in ("kernel", new, "core" * package.endswith("-core")) if part)
    try:
        reason = Reason(RULE, f"{_NAME}={package} becomes {wanted}, as the default entry does")
        draft.put(_PATH, shellvars.with_value(text, _NAME, wanted), reason)
    except FormatError as error:
        yield Note(NoteKind.WARNING, RULE, f"{_PATH}: {error}")


def _flavour(name: str) -> str:
    """`xen` of `kernel-xen` and of `vmlinuz-2.6.18-398.el5xen`; empty of an ordinary kernel."""
    found = _FLAVOUR.search(name)
    return "" if found is None else found[1]
