"""/etc/default/grub and the files sourced after it: what grub-mkconfig would make of them.

grub-mkconfig sources /etc/default/grub, and Debian's also /etc/default/grub.d/*.cfg: the last one to set a
variable wins. /etc/sysconfig/grub of Red Hat's family is a link to the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgpatch.formats import shellvars
from imgpatch.guest import Guest
from imgpatch.inspection.grub_files import GrubFiles


@dataclass(frozen=True, slots=True)
class GrubDefaults:
    """The files in the order they are sourced.

    Attributes:
        texts: real path -> contents.
        values: what each variable holds in the end; None where only a shell can tell.
    """

    texts: Mapping[str, str]
    values: Mapping[str, str | None]

    def holder(self, name: str) -> str | None:
        """The file an edit of a variable must go to: the last that sets it, else the first of all.

        None: there is no such file in the guest.
        """
        found = next(iter(self.texts), None)
        for path, text in self.texts.items():
            pieces = shellvars.parse(text)
            if any(isinstance(piece, shellvars.Assignment) and piece.name == name for piece in pieces):
                found = path
        return found

    def get(self, name: str) -> str | None:
        """The value; None where it is not set or cannot be told."""
        return self.values.get(name)


def grub_defaults(guest: Guest) -> GrubDefaults:
    texts: dict[str, str] = {}
    for path in ("/etc/default/grub", *guest.glob("/etc/default/grub.d/*.cfg")):
        data = GrubFiles(guest).read(path)
        if data is not None:
            texts[guest.resolve(path)] = data.decode("utf-8", "surrogateescape")
    return sourced(texts)


def sourced(texts: Mapping[str, str]) -> GrubDefaults:
    """What a shell holds after these files, one after the other."""
    values: dict[str, str | None] = {}
    for text in texts.values():
        values = shellvars.values(shellvars.parse(text), values)
    return GrubDefaults(dict(texts), values)
