"""What opening a machine refuses, as the finding that it means; not a check by itself.

Nothing behind it could be looked at, so it is the only finding.
"""

from __future__ import annotations

from imgpatch.errors import RefusedError
from imgpatch.finding import Finding, Severity

ERRORS = {
    "R-01": "E-01",
    "R-28": "E-26",
    "R-32": "A19",
    "R-40": "A19",
    "R-41": "E-15",
    "R-43": "E-15",
    "R-44": "E-25",
    "R-60": "E-15",
}
"""The rule that a refusal names -> what the service says to such a machine."""


def finding(error: RefusedError) -> Finding | None:
    """What the service would fail with; None: the refusal is imgpatch's own, and says nothing of that."""
    if error.rule not in ERRORS:
        return None
    return Finding(
        error.rule,
        Severity.FAILS,
        str(error),
        error.hint or "use import-snapshot and register-image",
        error=ERRORS[error.rule],
    )
