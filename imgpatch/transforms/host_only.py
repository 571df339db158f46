"""What an initramfs made for the old machine alone waits for; not a transform itself.

dracut(8) in `--hostonly` mode writes down the devices it found (wait_for_dev of its dracut-lib.sh). Those it
names by UUID are there on EC2; a path of the old controller, or a disk of several paths, is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgpatch.devices import Naming, naming
from imgpatch.formats.initramfs import Initramfs
from imgpatch.plan import OWN_RULE, Note, NoteKind

_WAITS = re.compile(r"(?:.*/)?dracut/hooks/initqueue/finished/devexists-(.+)\.sh")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_CURE = "make it anew in the guest (dracut --force --no-hostonly) before the export"


def notes(path: str, archive: Initramfs) -> Iterator[Note]:
    """A warning about the initramfs of this path, where it waits for what EC2 does not have."""
    found = filter(None, map(_WAITS.fullmatch, archive.files))
    waits = {_ESCAPE.sub(lambda code: chr(int(code[1], 16)), match[1]) for match in found}
    if lost := sorted(spec for spec in waits if naming(spec) is Naming.HARDWARE):
        text = f"{path} waits for {', '.join(lost)}, which EC2's disks are not called"
        yield Note(NoteKind.WARNING, OWN_RULE, f"{text}; {_CURE}")
