"""An edition of the documents, and where two of them differ, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgpatch import catalogue
from imgpatch.edition import GIB, MIB, Edition, Sizes
from imgpatch.matrix import LinuxRow
from imgpatch.reports.document import SCHEMA, plain

_SIZES = {
    "disk": "largest disk",
    "import_image": "disks of ImportImage are smaller than",
    "boot_disk": "largest disk to boot from",
    "manifest": "manifest file above",
    "volumes": "volumes",
    "windows_root": "free on the root of Windows",
    "linux_root": "free on the root of Linux",
}


def render_list(editions: Sequence[Edition]) -> str:
    return "".join(f"{edition.name:<8}  {edition.title}\n" for edition in editions)


def render_edition(edition: Edition) -> str:
    """Everything the edition says, by subject."""
    text = [f"{edition.name}: {edition.title}"]
    for subject, rows in facts(edition).items():
        if rows:
            text += [
                "",
                subject,
                *(f"  {name}{': ' if value else ''}{value}" for name, value in rows.items()),
            ]
    return "\n".join([*text, ""])


def render_diff(one: Edition, two: Edition) -> str:
    """What differs: `-` as the first has it, `+` as the second."""
    text = [f"--- {one.name}: {one.title}", f"+++ {two.name}: {two.title}"]
    for subject, rows in difference(one, two).items():
        text.append(subject)
        for name, (old, new) in rows.items():
            text += [
                f"  {sign} {line}"
                for sign, line in (("-", _line(name, old)), ("+", _line(name, new)))
                if line
            ]
    return "\n".join([*text, ""])


def edition_document(edition: Edition) -> dict[str, Any]:
    """The edition as the code has it, and the errors it lists."""
    return {"schema": SCHEMA, "edition": plain(edition), "errors": sorted(catalogue.in_edition(edition.name))}


def diff_document(one: Edition, two: Edition) -> dict[str, Any]:
    """Subject, name, and what each of the two says; null where it says nothing."""
    rows = [
        {"subject": subject, "name": name, one.name: old, two.name: new}
        for subject, changed in difference(one, two).items()
        for name, (old, new) in changed.items()
    ]
    return {"schema": SCHEMA, "differences": rows}


def difference(one: Edition, two: Edition) -> Mapping[str, Mapping[str, tuple[str | None, str | None]]]:
    """Subject -> name -> what each of the two says of it; None: nothing. Only where they differ."""
    old, new = facts(one), facts(two)
    found: dict[str, dict[str, tuple[str | None, str | None]]] = {}
    for subject in old:
        before, after = old[subject], new[subject]
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                found.setdefault(subject, {})[name] = (before.get(name), after.get(name))
    return found


def facts(edition: Edition) -> Mapping[str, Mapping[str, str]]:
    """Subject -> name -> what the edition says of it, as text."""
    titles, rows = catalogue.requirements(), catalogue.rows()
    return {
        "Requirements": {f"{rule} {titles[rule]}": "" for rule in sorted(edition.rules)},
        "Errors": {i: rows[i].text for i in sorted(catalogue.in_edition(edition.name))},
        "Linux": _linux(edition.linux),
        "Windows": {
            row.name: f"{', '.join(row.editions)}; {', '.join(map(str, row.bits))} bit"
            for row in edition.windows
        },
        "fstab types that are disabled": dict.fromkeys(sorted(edition.disabled_fstypes), ""),
        "Sizes": dict(_sizes(edition.sizes)),
        "Guest": dict(_guest(edition)),
        "End of life": {name: ", ".join(versions) for name, versions in edition.end_of_life.items()},
        "32-bit systems that stop": {n: ", ".join(v) for n, v in edition.i386_stopped.items()},
    }


def _linux(table: Sequence[LinuxRow]) -> dict[str, str]:
    return {row.title: row.kernel_text for row in table}


def _sizes(sizes: Sizes) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(sizes):
        value = getattr(sizes, field.name)
        if value is not None:
            unit = (GIB, "GiB") if value >= GIB else (MIB, "MiB")
            text = str(value) if field.name == "volumes" else f"{value // unit[0]} {unit[1]}"
            yield _SIZES[field.name], text


def _guest(edition: Edition) -> Iterator[tuple[str, str]]:
    yield "the Systems Manager client is installed (M-12)", _word(edition.ssm_agent)
    yield "Debian gets BOOTX64.EFI from its GRUBX64.EFI (M-21)", _word(edition.debian_fallback_loader)
    yield "Linux may boot by UEFI (R-24)", _word(edition.uefi_linux)
    yield "boot modes (R-25)", ", ".join(edition.boot_modes) or "no such option"
    yield "licence types", ", ".join(edition.license_types)
    yield "usage operations", ", ".join(edition.usage_operations) or "no such option"
    if edition.regions_without_uefi:
        yield "Regions without UEFI", ", ".join(edition.regions_without_uefi)
    if edition.i386_stops:
        yield "32-bit systems stop (R-64)", edition.i386_stops


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(name: str, value: str | None) -> str | None:
    return None if value is None else f"{name}: {value}" if value else name
