"""Loader entries: lossless lines of key and value."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import bls
from tests import grub_corpus

LAW = settings(max_examples=150, derandomize=True, deadline=None)
FILES = grub_corpus.files("bls")


@LAW
@given(st.binary(max_size=150).map(grub_corpus.text))
def test_any_text_comes_back(text: str) -> None:
    assert bls.unparse(bls.parse(text)) == text


KEYS = st.sampled_from(["title", "linux", "options", "grub_users", "#", "", "options\t"])
TEXTS = st.lists(st.tuples(KEYS, st.sampled_from([" ", "\t ", ""]), st.sampled_from(["a b", "$x", "", "\r"])))
LIKE_ENTRY = TEXTS.map(lambda rows: "\n".join("".join(row) for row in rows))


@LAW
@given(LIKE_ENTRY, st.sampled_from(["root=1 ro", "x"]))
def test_what_was_set_is_read_back_and_nothing_else_changes(text: str, value: str) -> None:
    lines = bls.parse(text)
    edited = [replace(x, value=value, gap=x.gap or " ") if x.key == "options" else x for x in lines]
    again = bls.parse(bls.unparse(edited))
    assert bls.values(again, "options") == (value,) * len(bls.values(lines, "options"))
    assert [x for x in again if x.key != "options"] == [x for x in lines if x.key != "options"]


def test_the_corpus_comes_back_mutated_or_not() -> None:
    for name, data in FILES.items():
        for mutation in grub_corpus.mutations(data, name):
            text = grub_corpus.text(mutation)
            assert bls.unparse(bls.parse(text)) == text, name


def test_an_entry_has_a_kernel_and_edits_touch_one_line() -> None:
    for name, data in FILES.items():
        text = grub_corpus.text(data)
        lines = bls.parse(text)
        assert (
            bls.first(lines, "linux") or bls.first(lines, "efi") or bls.first(lines, "uki") or "rs__" in name
        )
        edited = [replace(line, value="x y") if line.key == "options" else line for line in lines]
        changed = grub_corpus.changed_lines(text, bls.unparse(edited))
        assert all(old.lstrip().startswith("options") for old, _ in changed)


def test_blanks_tabs_and_carriage_returns_stay() -> None:
    text = "title\tA  b \r\n# options no\r\n  options   root=1 ro\t\r\ninitrd /a\ninitrd /b"
    lines = bls.parse(text)
    assert bls.first(lines, "title") == "A  b"
    assert bls.values(lines, "initrd") == ("/a", "/b")
    edited = bls.unparse([replace(x, value="q") if x.key == "options" else x for x in lines])
    assert edited == text.replace("root=1 ro", "q")
