"""The licence that fits a machine: the same by its report as by what an import is refused for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from imgpatch import edition
from imgpatch.checking import Checked
from imgpatch.checks import asked
from imgpatch.finding import Machine, Severity
from imgpatch.import_request import ImportRequest
from imgpatch.reports import document, handoff, machine, verdict
from imgpatch.reports.licence import licence, told
from tests.checks.machines import ubuntu
from tests.checks.test_windows_checks import machine as windows_machine
from tests.reports.test_reports import FOUND

SERVER = ("RunInstances:0002", "RunInstances:0006", "RunInstances:0102", "RunInstances:0202")


def of(name: str) -> Machine:
    return ubuntu().machine() if name == "ubuntu" else windows_machine(name, {}, {})


@pytest.mark.parametrize(
    ("name", "types", "operations"),
    [("2019", ("AWS", "BYOL"), {*SERVER, "RunInstances:0800"}), ("10", ("BYOL",), set())],
)
def test_what_fits_a_windows(name: str, types: tuple[str, ...], operations: set[str]) -> None:
    found = licence(of(name).inspection, edition.load())
    assert (found.license_types, set(found.usage_operations)) == (types, operations)
    old = licence(of(name).inspection, edition.load("2019"))
    assert (old.license_types, old.usage_operations) == (("Auto", *types), ())


@pytest.mark.parametrize("name", ["2019", "10", "ubuntu"])
@pytest.mark.parametrize("kind", ["license_type", "usage_operation"])
def test_what_does_not_fit_is_what_fails(name: str, kind: str) -> None:
    one, newest = of(name), edition.load()
    checked = Checked((), newest, (), one.inspection, ())
    fitting = getattr(licence(one.inspection, newest), f"{kind}s")
    for value in getattr(newest, f"{kind}s"):
        (*found,) = asked.findings(ImportRequest((), **{kind: value}), checked)
        assert (value in fitting) == (not found)
        assert all(finding.severity in (Severity.FAILS, Severity.UNKNOWN) for finding in found)


def test_it_is_told_where_a_machine_is_shown_checked_and_handed_over() -> None:
    one = of("2019")
    words = told(licence(one.inspection, edition.load()))
    assert words.startswith(
        "Windows Server: --license-type AWS or BYOL; or --usage-operation RunInstances:0002"
    )
    checked = Checked((), edition.load(), (), one.inspection, (), one.storage)
    shown = machine.render_inspection(replace(FOUND, inspection=one.inspection, storage=one.storage))
    assert f"  licence: {words}" in shown
    assert f"Licence of {words}" in verdict.render_verdict(checked)
    row = json.loads(document.dumps(verdict.verdict_document(checked)))["licence"]
    assert row["license_types"] == ["AWS", "BYOL"]
    made = handoff.handoff((handoff.Upload("disk.raw", "raw"),), one.inspection, one.storage)
    assert any(words in note for note in made.notes)
    assert told(licence(of("10").inspection, edition.load())) == (
        "a client of Windows: --license-type BYOL; no usage operation is told for it"
    )
