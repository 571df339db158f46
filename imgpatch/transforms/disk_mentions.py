"""Files that name disks as the old machine called them are pointed out, not changed.

Ours: the documents name /etc/fstab alone. Most of these matter to a program after the boot; those that an
initramfs has a copy of (mdadm.conf, multipath.conf) would need a new one as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind

PLACES = {
    "/etc/default/kdump*": "the place for crash dumps",
    "/etc/hdparm.conf": "hdparm's disks",
    "/etc/initramfs-tools/conf.d/*": "the next initramfs's device to resume from",
    "/etc/kdump.conf": "the place for crash dumps",
    "/etc/mdadm.conf": "the disks of md arrays",
    "/etc/mdadm/mdadm.conf": "the disks of md arrays",
    "/etc/rc.local": "a script run at boot",
    "/etc/rc.d/rc.local": "a script run at boot",
    "/etc/smartd.conf": "the disks that smartd watches",
    "/etc/sysconfig/kdump": "the place for crash dumps",
    "/etc/sysconfig/rawdevices": "raw devices",
    "/etc/udev/rules.d/60-raw.rules": "raw devices",
}
"""Where disks are named, and what for."""

MULTIPATH = "/etc/multipath.conf"

_DISK = re.compile(
    r"/dev/(?:(?:sd|hd|vd|xvd)[a-z\[*?]|nvme[0-9\[*?]|cciss/|disk/by-path/|disk/by-id/(?!dm-|md-|lvm-))"
)
_LARGEST = 1 << 20


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:  # noqa: ARG001
    if guest.text(MULTIPATH) is not None:
        text = f"{MULTIPATH}: multipath is configured; on EC2 a disk has one path and no such name"
        yield Note(NoteKind.WARNING, OWN_RULE, text)
    seen = set()
    for place, what in PLACES.items():
        for path in guest.glob(place):
            real = guest.resolve(path)
            stat = guest.stat(path)
            if real in seen or stat is None or stat.kind is not Kind.FILE or stat.size > _LARGEST:
                continue
            seen.add(real)
            numbers = [
                str(number)
                for number, line in enumerate((guest.text(path) or "").split("\n"), 1)
                if not line.lstrip().startswith(("#", ";")) and _DISK.search(line)
            ]
            if numbers:
                where = ", ".join(numbers[:10]) + (", ..." if len(numbers) > 10 else "")
                text = (
                    f"{path}: line {where} names {what} as the old machine did; EC2's disks have other names"
                )
                yield Note(NoteKind.WARNING, OWN_RULE, f"{text}; look at it yourself")
