"""Which licence an import of a machine may ask for (documents 6.3, M-19)."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.checks import asked
from imgpatch.edition import Edition
from imgpatch.import_request import LICENCES, OPERATIONS, System
from imgpatch.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Licence:
    """What fits a system, of what an edition offers; one of the two may be asked for."""

    system: System
    license_types: tuple[str, ...]
    usage_operations: tuple[str, ...]


def licence(inspection: Inspection, edition: Edition) -> Licence:
    found = asked.system(inspection)
    return Licence(
        found,
        tuple(name for name in edition.license_types if found in LICENCES.get(name, ())),
        tuple(name for name in edition.usage_operations if found in OPERATIONS.get(name, ())),
    )


def told(found: Licence) -> str:
    """`Windows Server: --license-type AWS or BYOL; or --usage-operation RunInstances:0002, ...`."""
    text = f"{found.system}: --license-type {' or '.join(found.license_types)}"
    if found.usage_operations:
        return f"{text}; or --usage-operation {', '.join(found.usage_operations)}"
    return f"{text}; no usage operation is told for it"
