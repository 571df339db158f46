"""What opening refuses, as findings."""

from __future__ import annotations

import pytest

from imgpatch import catalogue, edition
from imgpatch.checks import opening
from imgpatch.errors import RefusedError, UnsupportedGuestError
from imgpatch.finding import Container, Operation, Severity

NEWEST = edition.load()


@pytest.mark.parametrize(("rule", "error"), opening.ERRORS.items())
def test_a_refusal_that_the_service_shares_is_a_finding(rule: str, error: str | None) -> None:
    found = opening.finding(UnsupportedGuestError("disk 1: two roots", hint="give one", rule=rule), NEWEST)
    assert found is not None
    severity = Severity.UNKNOWN if rule == "R-35" else Severity.FAILS
    assert (found.rule, found.error, found.severity) == (rule, error, severity)
    assert (found.message, found.remedy) == ("disk 1: two roots", "give one")
    assert rule in catalogue.requirements()
    assert error is None or "opening" in catalogue.rows()[error].checks


@pytest.mark.parametrize("operation", Operation)
def test_a_refusal_of_our_own_is_none(operation: Operation) -> None:
    error = RefusedError("in use by a running machine")
    assert opening.finding(error, NEWEST, operation) is None


@pytest.mark.parametrize(
    ("rule", "name", "severity", "error"),
    [
        ("R-02", "2019", Severity.FAILS, None),
        ("R-02", "2024", Severity.FAILS, None),
        ("R-02", "2025-07", Severity.FAILS, "E-04"),
        ("R-08", "2019", Severity.UNKNOWN, None),
        ("R-08", "2024", Severity.FAILS, "E-03"),
        ("R-05", "2019", Severity.FAILS, "E-09"),
        ("R-10", "2019", Severity.FAILS, "E-12"),
    ],
)
def test_words_that_an_edition_does_not_have_are_not_said(
    rule: str, name: str, severity: Severity, error: str | None
) -> None:
    found = opening.finding(RefusedError("split", rule=rule), edition.load(name))
    assert found is not None
    assert (found.severity, found.error) == (severity, error)


@pytest.mark.parametrize(
    ("rule", "operation", "severity", "error"),
    [
        ("R-01", Operation.INSTANCE, Severity.FAILS, "E-07"),
        ("R-01", Operation.SNAPSHOT, Severity.FAILS, None),
        ("R-02", Operation.SNAPSHOT, Severity.FAILS, "A04"),
        ("R-05", Operation.SNAPSHOT, Severity.FAILS, "E-09"),
        ("R-28", Operation.SNAPSHOT, Severity.UNKNOWN, None),
        ("R-28", Operation.INSTANCE, Severity.FAILS, "E-26"),
    ],
)
def test_other_calls_have_other_words(
    rule: str, operation: Operation, severity: Severity, error: str | None
) -> None:
    found = opening.finding(RefusedError("x", rule=rule), NEWEST, operation)
    assert found is not None
    assert (found.severity, found.error) == (severity, error)


def test_a_finding_is_at_the_file_that_the_refusal_names() -> None:
    found = opening.finding(RefusedError("/srv/b.vmdk: cut short", rule="R-09"), NEWEST)
    assert found is not None
    files = [Container("/srv/a.vmdk", "vmdk", 0), Container("/srv/b.vmdk", "vmdk", 0)]
    placed = opening.placed(found, files)
    assert (placed.path, placed.message) == ("/srv/b.vmdk", "cut short")
    assert opening.placed(found, files[:1]) == found
