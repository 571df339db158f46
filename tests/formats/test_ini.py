"""INI-like files of systemd and NetworkManager: the laws of a lossless format."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import ini
from imgpatch.formats.ini import Dialect
from tests.networks import corpus, mutations

LAW = settings(max_examples=150, derandomize=True, deadline=None)
CASES = [(path, Dialect.SYSTEMD) for path in corpus("networkd")] + [
    (path, Dialect.KEYFILE) for path in corpus("nmconnection")
]
PIECES = ["[", "]", "Network", "=", "Address", "1.2.3.4", "#", ";", " ", "\n", "\r\n", "\\\n", "\\", "é"]
LIKE = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
TEXTS = st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape"))
VALUES = st.from_regex(r"[A-Za-z0-9./:*]([A-Za-z0-9 ./:*]{0,10}[A-Za-z0-9./:*])?", fullmatch=True)
DIALECTS = st.sampled_from(list(Dialect))


@LAW
@given(st.one_of(TEXTS, LIKE), DIALECTS)
def test_any_text_comes_back(text: str, dialect: Dialect) -> None:
    assert ini.unparse(ini.parse(text, dialect)) == text


@pytest.mark.skipif(not CASES, reason="the corpora are not here")
def test_the_corpus_comes_back_spoiled_or_not() -> None:
    for path, dialect in CASES:
        for data in (path.read_bytes(), *mutations(path.read_bytes(), path.name)):
            text = data.decode("utf-8", "surrogateescape")
            assert ini.unparse(ini.parse(text, dialect)) == text, path


@LAW
@given(LIKE, VALUES, st.integers(0, 100), DIALECTS)
def test_a_value_that_was_set_is_read_back_and_no_other_line_changes(
    text: str, value: str, pick: int, dialect: Dialect
) -> None:
    lines = ini.parse(text, dialect)
    places = [i for i, line in enumerate(lines) if line.key]
    if not places:
        return
    at = places[pick % len(places)]
    new = [*lines]
    new[at] = lines[at].with_value(value)
    again = ini.parse(ini.unparse(new), dialect)
    assert (again[at].section, again[at].key, again[at].value) == (lines[at].section, lines[at].key, value)
    assert [line.text for i, line in enumerate(again) if i != at] == [
        line.text for i, line in enumerate(lines) if i != at
    ]


@LAW
@given(LIKE, VALUES, DIALECTS)
def test_an_assignment_that_was_added_is_read_back_and_nothing_goes(
    text: str, value: str, dialect: Dialect
) -> None:
    lines = ini.parse(text, dialect)
    again = ini.parse(ini.unparse(ini.add(lines, "New", "Key", value)), dialect)
    if not text.rstrip("\r\n").endswith("\\"):  # else the last line of the file is still open
        assert ini.values(again, "New", "Key")[:1] == (value,)
    assert ini.unparse(again).startswith(text)


@pytest.mark.parametrize(
    ("text", "dialect", "expected"),
    [
        ("[A]\nk = v \n", Dialect.SYSTEMD, [("A", "k", "v")]),
        ("[A]\nk=a \\\n# no\n; no\n  b\nl=1\n", Dialect.SYSTEMD, [("A", "k", "a    b"), ("A", "l", "1")]),
        ("[A]\nk=a\\\nl=1\n", Dialect.KEYFILE, [("A", "k", "a\\"), ("A", "l", "1")]),
        ("[A]\n;k=1\n#l=2\n", Dialect.SYSTEMD, []),
        (
            "[A]\nk=1\n[B]\n[A]\nk=2\nk=3\n",
            Dialect.SYSTEMD,
            [("A", "k", "1"), ("A", "k", "2"), ("A", "k", "3")],
        ),
        ("k=1\n[open\nx\n", Dialect.SYSTEMD, [(None, "k", "1")]),
        ("\ufeff[A]\nk=1\n", Dialect.SYSTEMD, [("A", "k", "1")]),
    ],
)
def test_sections_keys_and_values(
    text: str, dialect: Dialect, expected: list[tuple[str | None, str, str]]
) -> None:
    assert [(line.section, line.key, line.value) for line in ini.parse(text, dialect) if line.key] == expected


def test_a_new_key_joins_the_first_section_of_its_name() -> None:
    lines = ini.parse("[A]\nk=1\n\n[B]\nx=1\n", Dialect.SYSTEMD)
    assert ini.unparse(ini.add(lines, "A", "n", "2")) == "[A]\nk=1\nn=2\n\n[B]\nx=1\n"
