"""The parameters of import-image, each value and each combination of the documents."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpatch import edition
from imgpatch.errors import UsageError
from imgpatch.import_request import (
    FIELDS,
    LICENCES,
    ON_LINUX,
    ON_WINDOWS,
    OPERATIONS,
    AskedDisk,
    ImportRequest,
    System,
    checked,
    parse_disks,
)
from tests.documents import DOCUMENTS, cells, edition_of, needs_documents

DISK = AskedDisk("/srv/disk.raw", "RAW")
BEGINNINGS = {
    "Windows Server": System.WINDOWS_SERVER,
    "Linux/UNIX": System.LINUX,
    "Red Hat Enterprise Linux": System.RHEL,
    "SUSE Linux": System.SUSE,
}
PLATFORM = {"Linux": ON_LINUX, "Windows": ON_WINDOWS, None: ON_LINUX | ON_WINDOWS}
each_edition = pytest.mark.parametrize("name", edition.names())


def refused(request: ImportRequest, name: str = edition.NEWEST) -> str | None:
    """The message; None: it is taken."""
    try:
        checked(request, edition.load(name))
    except UsageError as error:
        return str(error)
    return None


def documented() -> list[tuple[str, str, set[str]]]:
    """Platform details, code and editions of each row of the table."""
    rows = cells(DOCUMENTS, "### 6.3", "Unshifting rule")
    found = [[cell.strip("*`") for cell in row] for row in rows if "RunInstances" in row[1]]
    return [(text, code, {edition_of(tag) for tag in tags.split(",")}) for text, code, tags in found]


@needs_documents
@each_edition
def test_the_usage_operations_are_those_of_the_edition(name: str) -> None:
    expected = {code for _, code, editions in documented() if name in editions}
    assert set(edition.load(name).usage_operations) == expected


@needs_documents
@pytest.mark.parametrize(("text", "code"), [row[:2] for row in documented()])
def test_an_operation_is_for_the_system_of_its_row(text: str, code: str) -> None:
    (system,) = (system for beginning, system in BEGINNINGS.items() if text.startswith(beginning))
    assert system in OPERATIONS[code]
    wider = ON_LINUX if system is System.LINUX else {system}
    assert OPERATIONS[code] == wider


def test_every_value_of_an_edition_has_its_systems() -> None:
    for name in edition.names():
        assert set(edition.load(name).usage_operations) <= OPERATIONS.keys()
        assert set(edition.load(name).license_types) <= LICENCES.keys()


@each_edition
@pytest.mark.parametrize("platform", [None, "Linux", "Windows"])
def test_every_combination(name: str, platform: str | None) -> None:
    """Taken where the edition has the value, one of the two is given, and the platform can have it."""
    this = edition.load(name)
    for licence, operation in itertools.product((None, *LICENCES), (None, *OPERATIONS)):
        systems = ON_LINUX | ON_WINDOWS
        if licence is not None:
            systems &= LICENCES[licence]
        if operation is not None:
            systems &= OPERATIONS[operation]
        good = (
            (licence is None or operation is None)
            and (licence is None or licence in this.license_types)
            and (operation is None or operation in this.usage_operations)
            and bool(systems & PLATFORM[platform])
        )
        request = ImportRequest((DISK,), license_type=licence, usage_operation=operation, platform=platform)
        assert (refused(request, name) is None) == good, (licence, operation)


def test_both_licences_are_named() -> None:
    request = ImportRequest((DISK,), license_type="BYOL", usage_operation="RunInstances")
    assert "takes one of them" in (refused(request) or "")


def test_linux_has_no_licence_of_aws() -> None:
    request = ImportRequest((DISK,), license_type="aws", platform="Linux")
    assert refused(request) == "--license-type AWS is for Windows Server, and --platform is Linux"


@pytest.mark.parametrize("value", ["aws", "AWS", "Aws"])
def test_a_licence_type_is_spelt_as_the_documents_do(value: str) -> None:
    request = ImportRequest((DISK,), license_type=value)
    assert checked(request, edition.load()).license_type == "AWS"


@each_edition
@pytest.mark.parametrize("mode", ["legacy-bios", "uefi", "uefi-preferred", "UEFI", ""])
def test_boot_modes(name: str, mode: str) -> None:
    good = mode in edition.load(name).boot_modes
    assert (refused(ImportRequest((DISK,), boot_mode=mode), name) is None) == good


def test_an_edition_without_the_option_says_so() -> None:
    for request in (ImportRequest((DISK,), boot_mode="uefi"), ImportRequest((DISK,), usage_operation="x")):
        assert "the edition 2019 has no such option" in (refused(request, "2019") or "")


@pytest.mark.parametrize(
    "request_",
    [
        ImportRequest((DISK,), platform="linux"),
        ImportRequest((DISK,), architecture="arm64"),
        ImportRequest((DISK,), usage_operation="RunInstances:000G"),
        ImportRequest((DISK,), license_type="Auto"),
        ImportRequest(()),
    ],
)
def test_wrong_values(request_: ImportRequest) -> None:
    assert refused(request_) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"Url": "/srv/a.raw"}]', [AskedDisk("/srv/a.raw")]),
        ('[{"Format": "raw", "Url": "file:///srv/a.raw"}]', [AskedDisk("/srv/a.raw", "RAW")]),
        ('[{"Url": "FILE://a%20b.raw"}]', [AskedDisk("a%20b.raw")]),
        ('[{"Url": "a", "DeviceName": "/dev/sda1"}]', [AskedDisk("a", None, None, "/dev/sda1")]),
        ('[{"Url": "a", "Description": "x"}, {"Url": "b"}]', [AskedDisk("a", None, "x"), AskedDisk("b")]),
        ("Format=raw,Url=file://a.raw", [AskedDisk("a.raw", "RAW")]),
        (" Description='a, b',Url=\"a b.raw\" ", [AskedDisk("a b.raw", None, "a, b")]),
        ("[]", []),
    ],
)  # fmt: skip
def test_disks(text: str, expected: list[AskedDisk]) -> None:
    assert list(parse_disks(text)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"Format": "ova", "UserBucket": {"S3Bucket": "b", "S3Key": "k"}}]', "comes from a UserBucket"),
        ("Format=ova,UserBucket={S3Bucket=b,S3Key=k}", "comes from a UserBucket"),
        ('[{"SnapshotId": "snap-0"}]', "comes from a SnapshotId"),
        ('[{"Url": "s3://bucket/key"}]', "comes from s3://"),
        ("Url=https://bucket/key", "comes from https://"),
        ('{"Url": "a"}', "is one object"),
        ("[1]", "disk 1 is no object"),
        ('[{"Url": "a"}, {"Url": 1}]', "Url of disk 2 is no text"),
        ('[{"url": "a"}]', "disk 1 has url"),
        ('[{"Url": ""}]', "has no Url"),
        ("Format=raw", "has no Url"),
        ('[{"Url": "a", "Format": "qcow2"}]', "has the Format qcow2"),
        ("[{", "is no JSON"),
        ("[" * 100000, "is no JSON"),
        ("disk.raw", "cannot be read from 'disk.raw' on"),
    ],
)
def test_disks_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        parse_disks(text)


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8) | st.integers(), max_size=4))
def test_any_json_is_disks_or_refused(row: dict[str, object]) -> None:
    try:
        found = parse_disks(json.dumps([row]))
    except UsageError:
        return
    assert found[0].path


@given(st.text(max_size=40))
def test_any_text_is_disks_or_refused(text: str) -> None:
    try:
        found = parse_disks(text)
    except UsageError:
        return
    assert all(disk.path for disk in found)
