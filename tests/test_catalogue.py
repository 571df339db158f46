"""The catalogue against the tables it was made from, and against messages as people met them."""

from __future__ import annotations

import re

import pytest

from imgpatch import catalogue, edition
from imgpatch.catalogue import Offline
from tests.documents import DOCUMENTS, FAILURES, cells, edition_of, needs_documents

BACKTICKS = re.compile(r"`([^`]+)`")
ROLE = (
    "The service role <vmimport> does not exist or does not have sufficient permissions for the service "
    "to continue"
)
SAME = {"E-07": "E-01"}


def documented() -> list[tuple[str, list[str]]]:
    """The rows of section 5 whose first cell is an error's id."""
    rows = cells(DOCUMENTS, "# 5. Error catalogue", "### 5.6")
    return [(row[0].strip("*"), row) for row in rows if row[0].startswith("**E-")]


@needs_documents
def test_every_documented_error_has_a_row() -> None:
    ids = [row_id for row_id, _ in documented()]
    assert ids == [f"E-{number:02}" for number in range(1, 29)]
    assert {row_id for row_id in catalogue.rows() if row_id.startswith("E-")} == set(ids)


@needs_documents
@pytest.mark.parametrize(("row_id", "row"), documented())
def test_a_row_is_as_the_documents_have_it(row_id: str, row: list[str]) -> None:
    found = catalogue.rows()[row_id]
    texts = BACKTICKS.findall(row[1])
    expected = texts[0] if texts else catalogue.rows()[SAME[row_id]].text
    assert found.text == expected
    where = row[-2]
    absent = "not S1" in where
    tags = [tag for tag in re.findall(r"S\d", where) if not (absent and tag == "S1")]
    assert set(found.editions) == {edition_of(tag) for tag in tags}
    grade = re.match(r"\**([YPN])", row[-1])
    assert grade is not None
    assert found.offline is {"Y": Offline.YES, "P": Offline.PARTLY, "N": Offline.NO}[grade[1]]


def quoted() -> list[str]:
    """The status messages that import-failures quotes, and those of section 5.7."""
    rows = cells(FAILURES, "## A. Failure corpus", "### A6")
    texts = [BACKTICKS.findall(row[1]) for row in rows if re.fullmatch(r"A\d\d[a-g]?", row[0])]
    rows = cells(DOCUMENTS, "### 5.7", "# 6.")
    found = [t for row in texts for t in row[:1]] + [t for row in rows for t in BACKTICKS.findall(row[0])]
    return [text for text in found if " " in text and not text.startswith("...")]


@needs_documents
@pytest.mark.parametrize("message", sorted(set(quoted())))
def test_a_message_that_people_met_is_found(message: str) -> None:
    assert catalogue.find(message.replace("...", "Parameter"))


@pytest.mark.parametrize(
    ("message", "row_id", "values"),
    [
        ("E-27", "E-27", {}),
        ("e-05", "E-05", {}),
        ("A46", "A46", {}),
        (
            "CLIENT_ERROR : ClientError: Unsupported kernel version 5.10.220",
            "E-27",
            {"release": "5.10.220"},
        ),
        ("ClientError: Unsupported kernel version", "E-27", {}),
        ("CLIENT_ERROR : ClientError: Unknown OS / Missing OS files.", "E-15", {}),
        ("ServerError: ClientError: Unknown OS / Missing OS files.", "E-15", {}),
        ('  "StatusMessage": "ClientError: Footers not identical",', "E-09", {}),
        ("unsupported vmdk file format", "A04", {}),
        ("ClientError: Disk validation failed [Unsupported VMDK File Format]", "E-04", {}),
        ("Disk validation failed [Unsupported VMDK File Format]", "E-04", {}),
        ("Disk validation failed", "A10", {}),
        ("Uncompressed data has invalid length", "E-10", {}),
        ("ClientError: Provided image file was corrupted.", "A11", {}),
        (
            "ERROR: Bucket mine is not in the us-east-1 Region, it's in eu-west-1",
            "E-11",
            {"MyBucketName": "mine", "RegionName": "eu-west-1"},
        ),
        (ROLE, "E-06", {"vmimport": "<vmimport>"}),
    ],
)
def test_a_message_is_told_with_its_values(message: str, row_id: str, values: dict[str, str]) -> None:
    (match,) = catalogue.find(message)
    assert (match.row.id, match.values) == (row_id, values)


def test_the_same_words_of_two_calls_are_both_given() -> None:
    words = catalogue.rows()["E-01"].text
    assert [match.row.id for match in catalogue.find(words)] == ["E-01", "E-07"]


@pytest.mark.parametrize("message", ["", "all is well", "kernel", "E-99"])
def test_what_no_row_says_is_not_found(message: str) -> None:
    assert catalogue.find(message) == ()


@pytest.mark.parametrize(
    ("message", "row_id"),
    [
        ("unable to detect the default kernel", "E-23"),
        ("Unknwon OS / Mising OS files", "E-15"),
        ("multiple grub files", "E-05"),
    ],
)
def test_what_is_nearly_a_message_leads_to_it(message: str, row_id: str) -> None:
    assert catalogue.find(message) == ()
    assert catalogue.nearest(message)[0].id == row_id


def test_every_row_finds_itself_by_what_the_service_prints() -> None:
    for row in catalogue.rows().values():
        for text in row.wordings:
            assert row.id in {match.row.id for match in catalogue.find(text)}, text


def test_words_have_their_values() -> None:
    row = catalogue.rows()["E-27"]
    assert row.words({"release": "6.12.1"}) == "ClientError: Unsupported kernel version 6.12.1"
    assert row.words({}) == "ClientError: Unsupported kernel version"
    assert catalogue.rows()["E-15"].words({}) == "ClientError: Unknown OS / Missing OS files."


def test_editions_are_those_there_are() -> None:
    assert {name for row in catalogue.rows().values() for name in row.editions} == set(edition.names())
    assert "E-27" not in catalogue.in_edition("2019")
    assert "E-04" not in catalogue.in_edition("2024")
