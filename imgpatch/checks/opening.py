"""What opening a machine refuses, as the finding that it means; not a check by itself.

Nothing behind it could be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from imgpatch import catalogue
from imgpatch.edition import Edition
from imgpatch.errors import DamagedError, RefusedError
from imgpatch.finding import Container, Finding, Operation, Severity

ERRORS = {
    "R-01": "E-01",
    "R-02": "E-04",
    "R-05": "E-09",
    "R-06": None,
    "R-07": None,
    "R-08": "E-03",
    "R-09": "E-10",
    "R-10": "E-12",
    "R-15": None,
    "R-28": "E-26",
    "R-32": "A19",
    "R-35": "E-21",
    "R-40": "A19",
    "R-41": "E-15",
    "R-42": "E-15",
    "R-43": "E-15",
    "R-44": "E-25",
    "R-60": "E-15",
}
"""The rule that a refusal names -> what the service says to such a machine; None: words that nobody knows."""

DAMAGED = "A11"
"""What it says where the file is not whole."""

OF_FILES = frozenset({"R-01", "R-02", "R-05", "R-06", "R-07", "R-08", "R-09", "R-10", "R-15"})
"""Those of the disk files themselves."""

_OF_OTHER_CALLS: Mapping[Operation, Mapping[str | None, str | None]] = {
    Operation.IMAGE: {},
    Operation.SNAPSHOT: {"E-01": None, "E-03": None, "E-04": "A04"},
    Operation.INSTANCE: {"E-01": "E-07", "E-03": None, "E-04": None},
}
"""What these say where ImportImage says something else."""

_MAY = {"R-35"}
"""Those of which the documents say that the import may fail."""

_NOT_IN_EACH = {"R-08"}
"""Of the rules here, those that not every edition has."""


def finding(error: RefusedError, edition: Edition, operation: Operation = Operation.IMAGE) -> Finding | None:
    """What the service would fail with; None: the refusal is imgpatch's own, and says nothing of that."""
    rule = error.rule
    if rule not in ERRORS:
        return None
    remedy = error.hint or "use import-snapshot and register-image"
    if operation is Operation.SNAPSHOT and rule not in OF_FILES:
        text = f"{error}; the service takes a snapshot as it is, and looks at nothing on it"
        return Finding(rule, Severity.UNKNOWN, text, remedy)
    if rule in _NOT_IN_EACH and not edition.has(rule):
        text = f"{error}; this edition does not speak of it"
        return Finding(rule, Severity.UNKNOWN, text, remedy)
    severity = Severity.UNKNOWN if rule in _MAY else Severity.FAILS
    row = DAMAGED if isinstance(error, DamagedError) else ERRORS[rule]
    return Finding(rule, severity, str(error), remedy, error=_words(row, edition, operation))


def _words(row: str | None, edition: Edition, operation: Operation) -> str | None:
    """E-04 stands in the later editions alone; what the others would say of it is not known."""
    row = _OF_OTHER_CALLS[operation].get(row, row)
    return None if row == "E-04" and row not in catalogue.in_edition(edition.name) else row


def placed(found: Finding, containers: Sequence[Container]) -> Finding:
    """The same with the file in its place, which the refusal names first."""
    name = next((c.name for c in containers if found.message.startswith(f"{c.name}: ")), None)
    if name is None:
        return found
    return replace(found, path=name, message=found.message.removeprefix(f"{name}: "))
