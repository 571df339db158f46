"""Each edition against the documents' tables, row by row, and the table against kernels people have."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from imgpatch import catalogue, edition
from imgpatch.errors import UsageError
from imgpatch.matrix import LinuxRow, Support, support
from tests.documents import DOCUMENTS, cells, edition_of, needs_documents, section

TAGS = {name: tag for tag, name in ((t, edition_of(t)) for t in ("S1", "S0", "S2", "S3", "S4"))}
COLUMN = {"S0": 4, "S2": 5, "S3": 6, "S4": 7}
IDS = {
    "Amazon Linux 2023": "amzn",
    "Amazon Linux 2": "amzn",
    "CentOS": "centos",
    "Debian": "debian",
    "Fedora": "fedora",
    "Oracle Linux": "ol",
    "RHEL": "rhel",
    "Rocky Linux": "rocky",
    "SLES": "sles",
    "Ubuntu": "ubuntu",
}
LATER = ("2024", "2025-07", "2025-12", "2026")
each_edition = pytest.mark.parametrize("name", edition.names())


def linux_rows() -> list[list[str]]:
    return [row for row in cells(DOCUMENTS, "### 4.2", "Not in any") if row[0] != "OS"]


def of_edition(cell: str, tag: str) -> str:
    """`9.0-9.2 (S0) / 9.0-9.6 (S2,S3)` as this edition has it."""
    for part in cell.replace("*", "").replace("\u2013", "-").split(" / "):
        text, _, tags = part.partition(" (")
        if not tags or tag in re.findall(r"S\d", tags.replace("S2-S4", "S2,S3,S4")):
            return text
    return ""


def documented(row: list[str], tag: str) -> tuple[str, str, list[str], list[str], list[int]]:
    """System, versions, kernels, UEK kernels and service packs of one row of the table."""
    name, cell, kernels, packs = row[:4]
    version = of_edition(cell, tag)
    ours, _, uek = re.sub(r"\((?:except|S0)[^)]*\)", "", kernels).partition("UEK")
    found = [re.findall(r"(?<![a-z])\d+\.[\d.]*\d", text) for text in (ours, uek)]
    numbers = [] if packs == "-" else [0 if pack == "none" else int(pack) for pack in packs.split(", ")]
    any_uek = "UEK" in kernels and not found[1]
    return (
        IDS[name],
        name.split()[-1] if version == "-" else version,
        found[0],
        ["*"] if any_uek else found[1],
        numbers,
    )


@needs_documents
@pytest.mark.parametrize("name", LATER)
def test_the_table_of_linux_is_the_documents_row_by_row(name: str) -> None:
    tag = TAGS[name]
    expected = [documented(row, tag) for row in linux_rows() if row[COLUMN[tag]] == "x"]
    found = [
        (row.id, *row.versions, [*row.kernels], [*row.uek], [*row.service_packs])
        for row in edition.load(name).linux
    ]
    assert found == expected


@needs_documents
def test_the_table_of_2019_is_the_documents_row_by_row() -> None:
    rows = [row for row in cells(DOCUMENTS, "### 4.1", "### 4.2") if row[0] != "OS"]
    expected: dict[str, set[str]] = {}
    for name, versions, _ in rows:
        system = re.match(r"SLES|RHEL|Oracle Linux|Fedora|[A-Z]\w+", name)
        assert system is not None
        text = re.sub(r"[*\u2013]", lambda m: "" if m[0] == "*" else "-", versions)
        expected.setdefault(system[0], set()).update(text.split(", ") if text else [])
    found: dict[str, set[str]] = {}
    for row in edition.load("2019").linux:
        found.setdefault(row.name, set()).update(() if row.service_packs else row.versions)
    assert found == expected
    packs = {(r.versions[0], pack): r.kernels for r in edition.load("2019").linux for pack in r.service_packs}
    for name, _, kernels in rows:
        if name.startswith("SLES"):
            version, *rest = name.removeprefix("SLES ").replace("SP", "").replace(",", "").split()
            for pack in map(int, rest or ["0"]):
                assert packs.pop((version, pack)) == tuple(kernels.split(", "))
    assert packs == {}


@needs_documents
@pytest.mark.parametrize("name", LATER)
def test_the_table_of_windows_is_the_documents_row_by_row(name: str) -> None:
    expected = []
    for row in cells(DOCUMENTS, "### 4.3", "### 4.4"):
        title, editions, bits = (
            re.sub(r"[\u00b9\u00b2\u00b3\u2070-\u2079\u02d2*]", "", cell) for cell in row[:3]
        )
        if row[0] != "OS" and not ("only" in title and TAGS[name] not in title):
            expected.append((title.split(" (")[0], editions, bits))
    found = [
        (row.name, ", ".join(row.editions), ", ".join(map(str, row.bits)))
        for row in edition.load(name).windows
    ]
    assert found == expected


@needs_documents
def test_the_table_of_windows_of_2019() -> None:
    text = section(DOCUMENTS, "### 4.4", "### 4.5")
    assert "No Windows 11, Server 2022, 2025" in text
    newer = {"Windows 11", "Windows Server 2022", "Windows Server 2025"}
    assert edition.load("2019").windows == tuple(
        row for row in edition.load("2026").windows if row.name not in newer
    )


@needs_documents
@each_edition
def test_requirements_stand_where_the_documents_have_them(name: str) -> None:
    rows = cells(DOCUMENTS, "# 3. Requirements", "# 4. Operating")
    expected = set()
    for rule, _, where, *_ in (row for row in rows if re.fullmatch(r"R-\d\d", row[0])):
        first = re.split(r"[;:(]", where.replace("*", ""))[0].replace("\u2013", "-")
        tags = set(re.findall(r"S\d", first.replace("S2-S4", "S2,S3,S4")))
        if tags and "ALL" not in first and TAGS[name] in tags:
            expected.add(rule)
    assert edition.load(name).rules - {"R-67"} == expected - {"R-67"}


@needs_documents
@pytest.mark.parametrize(
    ("name", "begin", "end"), [("2025-12", "starting with", "Entries in"), ("2026", "(b) **EOL", "Not on")]
)
def test_the_end_of_life_is_the_documents(name: str, begin: str, end: str) -> None:
    text = section(DOCUMENTS, "### 4.5", "# 5.")
    assert of_list(text[text.index(begin) : text.index(end)]) == as_names(edition.load(name).end_of_life)


@needs_documents
def test_the_stop_of_i386_is_the_documents() -> None:
    text = section(DOCUMENTS, "### 4.5", "# 5.")
    found = of_list(text[text.index("for 32-bit:") : text.index("(b) **EOL")])
    assert found == as_names(edition.load("2026").i386_stopped)
    assert [n for n in edition.names() if edition.load(n).i386_stops] == ["2026"]


def of_list(text: str) -> set[str]:
    """`CentOS 5, 6, [7]; Windows 7` as {"CentOS 5", ...}."""
    text = re.sub(r"[\[\]]|\(printed[^)]*\)", "", text).split(":", 1)[-1]
    found = set()
    for group in text.split(";"):
        match = re.match(r"[\s.]*((?:[A-Z]\w+ ?)+?) (\d[^a-z]*(?:R2[^a-z]*)?)", group)
        if match:
            versions = [version.strip(" .\n") for version in match[2].split(",")]
            found |= {f"{match[1]} {version}" for version in versions if version}
    return found


def as_names(table: object) -> set[str]:
    assert isinstance(table, dict)
    return {f"{name} {version}" for name, versions in table.items() for version in versions}


@pytest.mark.parametrize(
    ("system", "version", "release", "expected"),
    [
        ("ubuntu", "18.04", "4.15.0-20-generic", Support.LISTED),
        ("ubuntu", "18.04", "4.18.0-15-generic", Support.OTHER_KERNEL),
        ("ubuntu", "22.04", "5.15.0-91-generic", Support.LISTED),
        ("ubuntu", "20.04", "5.8.0-59-generic", Support.OTHER_KERNEL),
        ("ubuntu", "24.04", "6.8.0-138-generic", Support.LISTED),
        ("ubuntu", "23.10", "6.5.0-14-generic", Support.OTHER_VERSION),
        ("ubuntu", "13.10", "3.11.0-12-generic", Support.LISTED),
        ("amzn", "2", "5.10.230-223.885.amzn2.x86_64", Support.LISTED),
        ("amzn", "2", "5.15.0-1.amzn2.x86_64", Support.OTHER_KERNEL),
        ("amzn", "2023", "6.1.119-129.201.amzn2023.x86_64", Support.LISTED),
        ("amzn", "2018.03", "4.14.1-1.amzn1.x86_64", Support.OTHER_VERSION),
        ("centos", "7.9", "3.10.0-1160.el7.x86_64", Support.LISTED),
        ("centos", "7", "3.10.0-1160.el7.x86_64", Support.LISTED),
        ("centos", "8.4", "4.18.0-305.el8.x86_64", Support.POINT_RELEASE),
        ("centos", "6.10", "2.6.32-754.el6.x86_64", Support.POINT_RELEASE),
        ("rhel", "6.1", "2.6.32-131.el6.x86_64", Support.LISTED),
        ("rhel", "6.0", "2.6.32-71.el6.x86_64", Support.OTHER_KERNEL),
        ("rhel", "9.10", "5.14.0-999.el9.x86_64", Support.POINT_RELEASE),
        ("rhel", "10.0", "6.12.0-55.el10.x86_64", Support.LISTED),
        ("debian", "12.4", "6.1.0-15-amd64", Support.LISTED),
        ("debian", "12.15", "6.1.0-50-amd64", Support.POINT_RELEASE),
        ("debian", "11.11", "5.10.0-33-amd64", Support.LISTED),
        ("debian", "7.11", "3.2.0-4-amd64", Support.POINT_RELEASE),
        ("debian", "9.9", "4.9.0-8-amd64", Support.OTHER_VERSION),
        ("debian", "13.1", "6.12.43+deb13-amd64", Support.OTHER_VERSION),
        ("sles", "15.5", "5.14.21-150500.55.39-default", Support.LISTED),
        ("sles", "15.6", "6.4.0-150600.21-default", Support.LISTED),
        ("sles", "15.3", "5.14.21-150500.55.39-default", Support.OTHER_KERNEL),
        ("sles", "12", "3.12.28-4-default", Support.LISTED),
        ("sles", "15.7", "6.4.0-150700.53.6-default", Support.POINT_RELEASE),
        ("ol", "5.11", "2.6.39-400.215.10.el5uek", Support.LISTED),
        ("ol", "5.11", "2.6.18-398.el5", Support.OTHER_KERNEL),
        ("ol", "6.10", "2.6.39-400.297.3.el6uek.x86_64", Support.LISTED),
        ("ol", "8.9", "5.15.0-200.131.27.el8uek.x86_64", Support.LISTED),
        ("ol", "8.9", "5.15.0-200.el8.x86_64", Support.OTHER_KERNEL),
        ("ol", "9.6", "5.14.0-570.el9.x86_64", Support.LISTED),
        ("gentoo", "", "5.4.66-gentoo-x86_64", Support.UNLISTED),
        ("photon", "4.0", "5.10.83-4.ph4-aws", Support.UNLISTED),
    ],
)
def test_what_the_newest_table_says(system: str, version: str, release: str, expected: Support) -> None:
    assert support(edition.load().linux, system, version, release) is expected


def test_editions_disagree_where_the_documents_do() -> None:
    def said(name: str, *guest: str) -> Support:
        return support(edition.load(name).linux, *guest)

    oracle = ("ol", "9.6", "5.14.0-570.el9.x86_64")
    assert said("2025-12", *oracle) is Support.OTHER_KERNEL
    assert said("2026", *oracle) is Support.LISTED
    rhel = ("rhel", "10.1", "6.12.0-124.el10.x86_64")
    assert [said(name, *rhel) for name in ("2025-07", "2025-12", "2026")] == [
        Support.OTHER_VERSION,
        Support.LISTED,
        Support.LISTED,
    ]
    debian = ("debian", "8.0.0", "3.16.0-4-amd64")
    assert said("2019", *debian) is Support.LISTED
    assert said("2024", *debian) is Support.OTHER_VERSION
    assert said("2019", "ubuntu", "16.04", "9.9.9-any") is Support.LISTED


def test_sizes_of_the_first_and_the_last() -> None:
    old, new = edition.load("2019").sizes, edition.load("2026").sizes
    assert (old.boot_disk, old.manifest, old.linux_root) == (2 << 40, 4 << 40, 250 << 20)
    assert (new.boot_disk, new.manifest, new.linux_root) == (None, 8 << 40, None)
    assert (new.disk, new.import_image, new.windows_root) == (16 << 40, 8 << 40, 6 << 30)


def test_a_table_of_ones_own_is_laid_over() -> None:
    newest = edition.load()
    mine = edition.with_matrix(
        newest,
        'linux = [{ id = "ubuntu", name = "Ubuntu", versions = ["26.04"], kernels = ["7.0.0"] },\n'
        '         { id = "debian", name = "Debian", versions = ["11"], kernels = ["9.9"] }]\n',
    )
    assert support(mine.linux, "ubuntu", "26.04", "7.0.0-1-generic") is Support.LISTED
    assert support(mine.linux, "debian", "11.1", "5.10.0-1-amd64") is Support.OTHER_KERNEL
    assert len(mine.linux) == len(newest.linux) + 1
    assert mine.windows == newest.windows
    assert mine.laid_over
    alone = edition.with_matrix(newest, 'replace = true\nlinux = [{id="x", name="X", versions=["1"]}]')
    assert alone.linux == (LinuxRow("x", "X", ("1",)),)
    assert alone.windows == ()
    assert replace(mine, linux=newest.linux, laid_over=False) == newest


@pytest.mark.parametrize(
    "text", ["linux = [", 'linux = [{ id = "x" }]', "linux = [{ idd = 1 }]", "a = 1", "linux = 3"]
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        edition.with_matrix(edition.load(), text)


@each_edition
def test_every_rule_has_a_title(name: str) -> None:
    assert edition.load(name).rules <= catalogue.requirements().keys()
