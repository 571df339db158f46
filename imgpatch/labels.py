"""The SELinux labels of files that imgpatch creates, as the guest's own policy gives them.

A changed file keeps its label and so does a kept original. What is created gets the label that restorecon(8)
in the guest would give it, or, where its policy cannot be read (only as a compiled `.bin`) or says nothing
of the path, the label of its folder, which is what the kernel does. That always gives one where the file
system has labels, so the guest need not relabel itself: no `/.autorelabel` is ever written.

Nothing is labelled where the folder has no label and SELinux is off; permissive counts as on.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from imgpatch.formats import file_contexts
from imgpatch.formats.file_contexts import FileContexts
from imgpatch.guest import MAX_INDEX, Guest, Kind

CONFIG = "/etc/selinux/config"
DEFAULT_POLICY = "targeted"  # libselinux's own, where the file names none


@dataclass(frozen=True, slots=True)
class Labels:
    """What a guest's policy says.

    Attributes:
        enabled: whether the guest loads a policy at boot.
        contexts: None where no policy text can be read.
    """

    enabled: bool = False
    contexts: FileContexts | None = None

    def wanted(self, path: str, kind: Kind, folder: bytes | None) -> bytes | None:
        """The value of `security.selinux` for a path to be created, with its NUL; None for no label.

        Args:
            path: real, as everywhere in a commit.
            kind: a file or a folder.
            folder: the label of the folder it is created in.
        """
        if folder is None and not self.enabled:
            return None
        context = None if self.contexts is None else self.contexts.context(path, kind)
        if context is None or not (context.isascii() and context.isprintable()):
            return folder
        return context.encode() + b"\0"


def guest_labels(guest: Guest) -> Labels:
    """Reads /etc/selinux; a guest without it has no labels to give."""
    text = guest.text(CONFIG)
    if text is None:
        return Labels()
    mode = _setting(text, "SELINUX=", last=False) or "disabled"
    name = _setting(text, "SELINUXTYPE=", last=True) or DEFAULT_POLICY
    base = posixpath.join("/etc/selinux", name, "contexts/files/file_contexts")
    main = guest.text(base, MAX_INDEX)
    contexts = None
    if main is not None:
        texts = [main, *(guest.text(base + end, MAX_INDEX) or "" for end in (".homedirs", ".local"))]
        substitutions = [guest.text(base + end) or "" for end in (".subs", ".subs_dist")]
        contexts = file_contexts.build(texts, substitutions)
    return Labels(mode.lower().startswith(("enforcing", "permissive")), contexts)


def _setting(text: str, key: str, *, last: bool) -> str | None:
    """selinux_config(5) as libselinux reads it: the first SELINUX= counts, and the last SELINUXTYPE=."""
    values = [
        line.removeprefix(key).strip()
        for line in (raw.lstrip() for raw in text.split("\n"))
        if line.startswith(key)
    ]
    return values[-1 if last else 0] if values else None
