"""Names encrypted volumes in /etc/crypttab by their UUID, as fstab's entries (M-03).

Ours, since encrypted volumes are outside what the service supports (R-43): an encrypted root is refused, but
data beside it need not be lost. An entry whose contents are made anew at each boot (a random key, `swap`,
`tmp`) has no UUID that lasts and would overwrite whatever it found, so it stays and is pointed out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from imgpatch import devices
from imgpatch.devices import Naming
from imgpatch.formats import fstab
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.storage import Device
from imgpatch.transforms.fstab import FSTAB
from imgpatch.transforms.fstab_sources import CRYPTTAB, Sources, survey

LUKS = "crypto_LUKS"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:  # noqa: ARG001
    text = guest.text(CRYPTTAB)
    if text is None:
        return
    lines = list(fstab.parse(text))  # crypttab(5): the fields are parted as fstab's
    reasons = []
    sources = survey(guest, tuple(fstab.entries(guest.text(FSTAB) or "")), FSTAB)
    for index, line in enumerate(lines):
        if len(line.words) < 2 or devices.naming(line.fs_file) is not Naming.HARDWARE:
            continue
        where = f"line {index + 1}: {line.fs_file}"
        device = devices.resolve(line.fs_file, guest.storage)
        doubt = _doubt(device, sources)
        if device is None or doubt:
            warning = f"{CRYPTTAB} {where}: {doubt}, and EC2's disks have other names; look at it yourself"
            yield Note(NoteKind.WARNING, OWN_RULE, warning)
            continue
        lines[index] = replace(line, words=(line.words[0], f"UUID={device.uuid}", *line.words[2:]))
        reasons.append(Reason(OWN_RULE, f"{where} is {device.name}, by its UUID from now on"))
    if reasons:
        yield Edit(CRYPTTAB, fstab.unparse(lines).encode("utf-8", "surrogateescape"), tuple(reasons))


def _doubt(device: Device | None, sources: Sources) -> str:
    """Why a name is not turned into a UUID; empty where it is."""
    if device is None:
        return "no such device on the disks given"
    if sources.misordered is not None:
        return "the disks given are not in the guest's order"
    if device.fstype != LUKS or device.uuid is None:
        return f"{device.name} is no LUKS volume, so nothing on it tells it from others"
    clones = devices.same_tag(device, sources.storage)
    return f"{device.name} and {clones[0].name} have the same UUID" if clones else ""
