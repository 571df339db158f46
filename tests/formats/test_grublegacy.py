"""menu.lst: lossless, entries as titles cut them, settings above the titles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import grublegacy
from tests import grub_corpus

LAW = settings(max_examples=150, derandomize=True, deadline=None)
FILES = grub_corpus.files("grub-legacy")
PIECES = ["title a", "default", "timeout", "=", " ", "0", "\n", "# kopt=", "\t", "kernel /x ro", "\r\n", "#"]
LIKE_MENU = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@LAW
@given(st.one_of(st.binary(max_size=150).map(grub_corpus.text), LIKE_MENU), st.integers(0, 99))
def test_any_text_comes_back_and_settings_read_back(text: str, number: int) -> None:
    lines = grublegacy.parse(text)
    assert grublegacy.unparse(lines) == text
    after = grublegacy.unparse(grublegacy.with_setting(lines, "default", str(number)))
    assert grublegacy.setting(grublegacy.parse(after), "default") == str(number)
    assert (
        grublegacy.unparse(grublegacy.with_setting(grublegacy.parse(after), "default", str(number))) == after
    )


def test_the_corpus_comes_back_mutated_or_not() -> None:
    for name, data in FILES.items():
        for mutation in grub_corpus.mutations(data, name):
            text = grub_corpus.text(mutation)
            assert grublegacy.unparse(grublegacy.parse(text)) == text, name


def test_a_setting_touches_its_line_only() -> None:
    for name, data in FILES.items():
        text = grub_corpus.text(data)
        lines = grublegacy.parse(text)
        if grublegacy.setting(lines, "timeout") is not None:
            after = grublegacy.unparse(grublegacy.with_setting(lines, "timeout", "77"))
            assert [new.strip().endswith("77") for _, new in grub_corpus.changed_lines(text, after)] == [
                True
            ], name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("default=1\ntitle a\n", "default=7\ntitle a\n"),
        ("default 1\ntitle a\n", "default 7\ntitle a\n"),
        ("default\t\tsaved \r\ntitle a\r\n", "default\t\t7 \r\ntitle a\r\n"),
        ("# default=1\ntitle a\n", "# default=1\ndefault 7\ntitle a\n"),
        ("#x\n", "#x\ndefault 7\n"),
        ("", "default 7\n"),
    ],
)
def test_the_default_is_set_in_place_or_above_the_titles(before: str, after: str) -> None:
    assert grublegacy.unparse(grublegacy.with_setting(grublegacy.parse(before), "default", "7")) == after


def test_entries_and_debians_settings() -> None:
    text = "default 0\n# kopt=root=/dev/sda1 ro\n"
    text += "title A\n root (hd0,0)\n kernel /vmlinuz ro\ntitle B\nkernel=/b"
    lines = grublegacy.parse(text)
    assert [[line.command for line in group] for group in grublegacy.entries(lines)] == [
        ["title", "root", "kernel"],
        ["title", "kernel"],
    ]
    assert grublegacy.setting(lines, "kopt") == "root=/dev/sda1 ro"
