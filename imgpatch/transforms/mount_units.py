"""Makes mount units in /etc/systemd/system hold on other hardware, as fstab's entries (M-03).

Ours, since the documents name /etc/fstab alone: a unit's `What=` by a device name becomes the path of the
same file system by UUID, where fstab's own doubts about such names do not stand against it. A swap unit has
to be named after its device (systemd.swap(5)), so that one is pointed out and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgpatch import devices
from imgpatch.devices import Naming
from imgpatch.formats import fstab, ini
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.fstab import FSTAB
from imgpatch.transforms.fstab_sources import Source, Sources, survey

PLACES = (
    "/etc/systemd/system/*.mount",
    "/etc/systemd/system/*.mount.d/*.conf",
    "/etc/systemd/system/*.swap",
    "/etc/systemd/system/*.swap.d/*.conf",
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:  # noqa: ARG001
    paths = [path for place in PLACES for path in guest.glob(place)]
    sources = None
    for path in paths:
        stat = guest.stat(path)
        if stat is None or stat.kind is not Kind.FILE:  # /dev/null: masked
            continue
        sources = sources or survey(guest, tuple(fstab.entries(guest.text(FSTAB) or "")), FSTAB)
        yield from _unit(guest, path, sources)


def _unit(guest: Guest, path: str, sources: Sources) -> Iterator[Edit | Note]:
    lines = list(ini.parse(guest.text(path) or "", ini.Dialect.SYSTEMD))
    reasons = []
    for index, line in enumerate(lines):
        if (line.section, line.key) not in (("Mount", "What"), ("Swap", "What")):
            continue
        if devices.naming(line.value) is not Naming.HARDWARE or "%" in line.value:
            continue
        source = sources.of(_entry(lines, line))
        if line.section == "Mount" and source.device is not None:
            lines[index] = line.with_value(f"/dev/disk/by-uuid/{source.device.uuid}")
            text = f"line {line.number}: {line.value} is {source.device.name}, by its UUID from now on"
            reasons.append(Reason(OWN_RULE, text))
        else:
            yield _warning(path, line, source)
    if reasons:
        yield Edit(path, ini.unparse(lines).encode("utf-8", "surrogateescape"), tuple(reasons))


def _entry(lines: Iterable[ini.Line], what: ini.Line) -> fstab.Line:
    """The same mount as an entry of fstab(5), for what is known to decide about those."""
    values = {line.key: line.value for line in lines if line.section == what.section}
    if what.section == "Swap":
        words = (what.value, "none", "swap", values.get("Options", ""))
    else:
        words = (what.value, values.get("Where", ""), values.get("Type", ""), values.get("Options", ""))
    defaults = ("", "none", "auto", "defaults")
    written = tuple(fstab.encode(word or default) for word, default in zip(words, defaults, strict=True))
    return fstab.Line(words=written, gaps=(" ",) * 3)


def _warning(path: str, line: ini.Line, source: Source) -> Note:
    text = f"{path} line {line.number}: {line.value} depends on the old disk controller"
    if line.section == "Swap" and source.device is not None:
        cure = f"a swap unit is named after its device; put {source.device.name} into {FSTAB} instead"
    else:
        cure = f"{source.doubt}; look at it yourself"
    return Note(NoteKind.WARNING, OWN_RULE, f"{text}; {cure}")
