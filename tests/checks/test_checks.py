"""Each check against a machine spoiled in one thing, and the same machine without the fault."""

from __future__ import annotations

import functools
import posixpath
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import rows
from imgpatch import catalogue, checks, edition
from imgpatch.catalogue import Offline
from imgpatch.edition import NEWEST
from imgpatch.finding import Finding, Machine, Operation, Severity
from imgpatch.inspection import inspect
from imgpatch.plan import Context, make_plan, planned
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS
from tests.checks.cases import CASES, Case
from tests.checks.changes import alone, ifupdown, mbr, uefi
from tests.checks.machines import Parts, ubuntu

UPLOADED = {"A10"}
"""The upload changed the file on its way: the file that is here is whole."""

OPENING = {"A19", "E-26", "E-03", "E-09", "A11"}
"""What opening the machine comes upon; tests/checks/test_opening.py, and test_disk_files.py with files."""

WINDOWS = {"E-20", "E-21"}
"""tests/checks/test_windows_checks.py."""

NOT_LISTED = {
    "fedora-18": "the documents say 3.2.5, which Fedora 18 never had",
    "ubuntu-23.04": "the documents say 5.15.0, and 23.04 had 6.2.0",
    "oracle-5-rhck": "of Oracle Linux 5 the documents list UEK alone",
}
ROWS = {name: row for name, row in rows.table().items() if row.documents}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.name}")
def test_a_fault_is_found_and_nothing_else(case: Case) -> None:
    base, spoiled = case.sound(), case.change(case.sound())
    module = next(check for check in checks.CHECKS if check.__name__.endswith(f".{case.check}"))
    before = found_in(case.base, case.twin or case.edition, case.operation)
    (found,) = module.findings(spoiled.machine(case.edition))
    assert (found.severity, found.rule, found.error) == (case.severity, case.rule, case.error)
    assert found.evidence == case.place
    assert [*module.findings(base.machine(case.twin or case.edition))] == [], "the twin passes"
    if case.twin is None:
        left = Counter(map(plain, spoiled.findings(case.edition))) - Counter([plain(found)])
        gone = Counter(plain(f) for f in before) - left
        assert left - Counter(map(plain, before)) == Counter(), "nothing else is found"
        assert {rule for _, rule, *_ in gone} <= case.gone


@functools.cache
def found_in(make: Callable[[], Parts], name: str, operation: Operation) -> tuple[Finding, ...]:
    return replace(make(), operation=operation).findings(name)


def plain(finding: Finding) -> tuple[Severity, str, str | None, str | None]:
    return finding.severity, finding.rule, finding.error, finding.evidence


@pytest.mark.parametrize("case", [c for c in CASES if c.error], ids=lambda case: case.name)
def test_the_words_are_those_of_the_catalogue(case: Case) -> None:
    found = next(f for f in case.change(case.sound()).findings(case.edition) if f.error == case.error)
    row = catalogue.rows()[case.error or ""]
    assert case.check in row.checks
    words = row.words(found.values)
    assert "<" not in words
    assert row.id in {match.row.id for match in catalogue.find(words)}


def test_every_check_has_a_case_and_every_case_a_check() -> None:
    there = {check.__name__.rpartition(".")[2] for check in checks.CHECKS}
    assert {case.check for case in CASES} == {name for name in there if not name.startswith("windows_")}
    folder = Path(checks.__path__[0])
    assert {path.stem for path in folder.glob("*.py")} == there | {"__init__", "opening", "asked"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rule_has_its_words(case: Case) -> None:
    assert case.rule in {*catalogue.requirements(), "imgpatch"}


def test_every_row_that_disk_files_can_show_has_a_case() -> None:
    shown = {row.id for row in catalogue.rows().values() if row.offline is not Offline.NO}
    predicted = {case.error for case in CASES if case.error}
    assert shown == predicted | UPLOADED | OPENING | WINDOWS
    assert predicted & (UPLOADED | OPENING) == set()
    named = {name for row in catalogue.rows().values() for name in row.checks}
    there = {check.__name__.rpartition(".")[2] for check in checks.CHECKS}
    assert named <= there | {"opening"}
    for row in catalogue.rows().values():
        assert bool(row.checks) == (row.id in predicted | OPENING | WINDOWS), row.id


@pytest.mark.parametrize("make", [ubuntu, uefi, ifupdown])
def test_a_machine_that_was_imported_has_no_finding(make: Callable[[], Parts]) -> None:
    assert make().findings() == ()


def test_a_machine_of_2019_has_no_finding() -> None:
    assert mbr().findings("2019") == ()


@pytest.mark.parametrize("name", ROWS)
def test_a_system_of_the_list_is_accepted(name: str) -> None:
    """By the newest edition that has it; nothing says it fails, and nothing is unknown."""
    only = "2019" if "2019 only" in ROWS[name].documents else edition.NEWEST
    guest = rows.load(name)
    found = checks.run(Machine(guest, inspect(guest, EC2), edition.load(only)))
    decisive = [f for f in found if f.severity in (Severity.FAILS, Severity.UNKNOWN)]
    if name in NOT_LISTED:
        assert [f.error for f in decisive] == ["E-27"]
    elif only == "2019":  # a GPT and a UEFI that this edition does not take
        assert {f.rule for f in decisive} <= {"R-21", "R-24"}
    else:
        assert decisive == []


@pytest.mark.parametrize("name", [name for name, row in rows.table().items() if not row.documents])
def test_a_system_that_is_not_listed_is_refused_for_its_kernel(name: str) -> None:
    guest, row = rows.load(name), rows.table()[name]
    found = checks.predicted(checks.run(Machine(guest, inspect(guest, EC2), edition.load())))
    assert found is not None
    assert (found.error, found.values) == ("E-27", {"release": row.values["kernel"]})
    assert found.path is not None
    assert posixpath.basename(found.path).endswith(row.values["kernel"])


@pytest.mark.parametrize("name", rows.families().values())
def test_the_plan_cures_what_it_says_it_cures(name: str) -> None:
    """Whatever names a transform as its cure is gone in the planned guest, and nothing new is there."""
    guest, newest = rows.load(name), edition.load()
    inspection = inspect(guest, EC2)
    plan = make_plan(guest, TRANSFORMS, Context(newest, inspection))
    after = planned(guest, {change.path: change.after for change in plan.changes})
    before = checks.run(Machine(guest, inspection, newest))
    left = checks.run(Machine(after, inspect(after, EC2), newest))
    cured = {plain(f) for f in before if f.transform is not None}
    assert cured & {plain(f) for f in left} == set()
    assert {plain(f) for f in left} <= {plain(f) for f in before} - cured


TOGETHER = tuple(
    case
    for case in CASES
    if case.base is ubuntu
    and case.edition == NEWEST
    and case.operation is Operation.IMAGE
    and not case.gone
    and case.name
    in {"22 disks", "LUKS", "a disk of the volume group left out", "two menus", "full"}
    | {
        "no sshd",
        "tools",
        "relabelling",
        "ens192",
        "drivers left out",
        "an unlisted version",
        "a missing disk",
        "not stream-optimized",
    }
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(faults=st.lists(st.sampled_from(TOGETHER), unique_by=lambda case: case.name, min_size=1))
def test_a_fault_that_is_cured_is_one_finding_less(faults: list[Case]) -> None:
    def found(cases: list[Case]) -> Counter[tuple[Severity, str, str | None, str | None]]:
        parts = ubuntu()
        for case in cases:
            parts = case.change(parts)
        return Counter(map(plain, parts.findings()))

    first = faults[0]
    (cured,) = (found(faults) - found(faults[1:])).elements()
    assert cured[:3] == (first.severity, first.rule, first.error)
    assert found(faults[1:]) - found(faults) == Counter()
    assert found(faults).total() == len(faults)


def test_the_first_failure_of_the_service_is_predicted() -> None:
    """GRUB before the kernel: who cured the one was told of the other."""
    parts = ubuntu().replaced("/etc/os-release", "24.04", "25.10")
    both = parts.having({"/boot/grub2/grub.cfg": "menuentry x { linux /y }\n"})
    found = checks.predicted(both.findings())
    assert found is not None
    assert found.error == "E-05"
    then = checks.predicted(parts.findings())
    assert then is not None
    assert then.error == "E-27"
    assert checks.predicted(ubuntu().findings()) is None


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("4.15.0-1021-aws", "ClientError: Unsupported kernel version 4.15.0-1021-aws"),
        ("5.8.0-59-generic", "ClientError: Unsupported kernel version 5.8.0-59-generic"),
    ],
)
def test_the_release_is_echoed_in_full(kernel: str, words: str) -> None:
    found = checks.predicted(alone(kernel)(ubuntu()).findings())
    assert found is not None
    assert catalogue.rows()["E-27"].words(found.values) == words


def test_a_listed_kernel_that_is_installed_is_the_remedy() -> None:
    parts = ubuntu().replaced("/boot/grub/grub.cfg", "set default=0", "set default=1")
    found = checks.predicted(parts.findings())
    assert found is not None
    assert "6.8.0-138-generic is installed and listed" in found.remedy


def test_what_is_left_of_an_old_menu_is_no_duplicate() -> None:
    parts = ubuntu().having({"/boot/grub/menu.lst": "# written by nobody\ntimeout 3\n"})
    assert parts.findings() == ()


def test_the_same_menu_under_two_names_is_no_duplicate() -> None:
    assert ubuntu().linked("/boot/grub2/grub.cfg", "../grub/grub.cfg").findings() == ()
    assert ubuntu().having({"/boot/grub2/grub.cfg": ubuntu().text("/boot/grub/grub.cfg")}).findings() == ()
