"""What opening refuses, as findings."""

from __future__ import annotations

import pytest

from imgpatch import catalogue
from imgpatch.checks import opening
from imgpatch.errors import RefusedError, UnsupportedGuestError
from imgpatch.finding import Severity


@pytest.mark.parametrize(("rule", "error"), opening.ERRORS.items())
def test_a_refusal_that_the_service_shares_is_a_finding(rule: str, error: str) -> None:
    found = opening.finding(UnsupportedGuestError("disk 1: two roots", hint="give one", rule=rule))
    assert found is not None
    assert (found.rule, found.error, found.severity) == (rule, error, Severity.FAILS)
    assert (found.message, found.remedy) == ("disk 1: two roots", "give one")
    assert rule in catalogue.requirements()
    assert "opening" in catalogue.rows()[error].checks


def test_a_refusal_of_our_own_is_none() -> None:
    assert opening.finding(RefusedError("in use by a running machine")) is None
