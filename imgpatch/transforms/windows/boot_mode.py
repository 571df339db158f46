"""Says which boot mode the service would choose and whether it would make MBR of GPT (documents M-20, M-26).

imgpatch converts no partition table: what it leaves boots as it did, and the boot mode to register the image
with is said. The documents give two sets of conditions in the same edition, which are both shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import VOLUME
from imgpatch.plan import Context, Edit, Note, NoteKind
from imgpatch.storage import Disk, Storage

CONVERSION, CHOICE = "M-20", "M-26"
TERABYTES_2, TEBIBYTES_2 = 2 * 10**12, 2 * 2**40
FOUR, THREE = 4, 3
DYNAMIC = frozenset({"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad"})
OLD = "2019"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    storage = guest.storage
    index = storage.mounts[VOLUME].disk
    if index is None:
        return
    disk = storage.disks[index]
    if disk.table != "gpt":
        text = "it boots by Legacy BIOS: register the image with boot mode legacy-bios, which is the default"
        yield Note(NoteKind.DECISION, CHOICE, text)
        return
    if context.edition.name == OLD:
        yield Note(NoteKind.NOT_MIRRORED, CONVERSION, _old(disk))
    else:
        yield Note(NoteKind.NOT_MIRRORED, CONVERSION, _predicted(storage, index))
    text = "its partition table stays GPT, so it boots by UEFI: register the image with boot mode uefi"
    yield Note(NoteKind.DECISION, CHOICE, text)


def _old(disk: Disk) -> str:
    if disk.size > TEBIBYTES_2:
        return "the service takes no boot volume of Windows above 2 TiB (2019 edition)"
    return (
        "from a VHDX the service would make MBR of GPT, and it takes GPT of Windows in no other format "
        "(2019 edition); imgpatch converts no partition table"
    )


def _predicted(storage: Storage, index: int) -> str:
    """By both statements of the documents; GPT has no partitions but primary ones."""
    disk = storage.disks[index]
    found = [d for d in storage.devices if d.disk == index and d.partition is not None]
    basic = not any(d.parttype in DYNAMIC for d in found)
    by_volumes = basic and disk.size < TERABYTES_2 and len(found) <= FOUR
    by_limits = basic and disk.size <= TEBIBYTES_2 and len(found) <= THREE
    counted = f"{disk.size} bytes, {len(found)} partitions" + ("" if basic else ", a dynamic disk")
    if by_volumes and by_limits:
        would = "would make MBR of GPT and choose Legacy BIOS, unless --boot-mode uefi is given"
    elif by_volumes or by_limits:
        one, other = ("'Volume types'", "'Limitations'")[:: 1 if by_volumes else -1]
        would = (
            "may make MBR of GPT and choose Legacy BIOS: the documents disagree, their section "
            f"{one} says so and {other} does not; --boot-mode uefi settles it"
        )
    else:
        would = "would leave GPT and choose UEFI"
    return (
        f"from a VHDX the service {would} ({counted}; the limits are 2 TB and 4 partitions, "
        "or 2 TiB and 3); from any other format it stays GPT; imgpatch converts no partition table"
    )
