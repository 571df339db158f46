"""The kernel command line."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import cmdline


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.text(st.sampled_from('ab="\t \n'), max_size=30))
def test_unchanged_words_leave_the_line_as_it_is(line: str) -> None:
    assert cmdline.mapped(line, lambda word: word) == line


def test_quotes_keep_blanks() -> None:
    assert cmdline.words('a="b c" d  e') == ('a="b c"', "d", "e")


def test_a_word_goes_with_its_blanks() -> None:
    drop = {"b"}
    assert cmdline.mapped("a b  c", lambda word: None if word in drop else word) == "a  c"
    assert cmdline.mapped("b c", lambda word: None if word in drop else word) == " c"


def test_a_word_comes_before_the_line_end() -> None:
    assert cmdline.with_word("a b \n", "c") == "a b c \n"
    assert cmdline.with_word("", "c") == "c"
