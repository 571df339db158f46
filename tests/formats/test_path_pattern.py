"""Expressions of file_contexts: what Python's own matcher says of them, and no way to keep ours busy."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats.path_pattern import literal_start, matches

ATOMS = st.sampled_from(["a", "b", "/", ".", r"\.", "[ab]", "[^/]", "[^a-b]", r"\d"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{0,}"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
    ),
    max_leaves=8,
)


@settings(derandomize=True, max_examples=400)
@given(PATTERNS, st.text("ab/.1\n", max_size=8))
def test_agrees_with_a_backtracking_matcher(pattern: str, path: str) -> None:
    assert matches(pattern, path) == bool(re.compile(pattern, re.DOTALL).fullmatch(path))


@settings(derandomize=True, max_examples=200)
@given(PATTERNS, st.text("ab/.1", max_size=6))
def test_every_match_begins_as_the_pattern_does(pattern: str, path: str) -> None:
    start, exact = literal_start(pattern)
    if matches(pattern, path):
        assert path == start if exact else path.startswith(start)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/etc/fstab", ("/etc/fstab", True)),
        (r"/etc/fstab\.d", ("/etc/fstab.d", True)),
        ("/etc(/.*)?", ("/etc", False)),
        ("/bo?ot", ("/b", False)),
        ("/a|/b", ("", False)),
        (r"/a\d", ("/a", False)),
    ],
)
def test_what_a_pattern_begins_with(pattern: str, expected: tuple[str, bool]) -> None:
    assert literal_start(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/[[:alnum:]_]+", "/a_1"),
        ("/usr/(.*/)?bin(/.*)?", "/usr/local/bin/x"),
        (r"/[^/]+\+found", "/lost+found"),
        ("^/etc$", "/etc"),
    ],
)
def test_what_policies_write(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize("pattern", ["(a*)*" * 20 + "b", "(.*)*" * 12, "((((a+)+)+)+)+b", "(a{9999}){9999}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    start = time.monotonic()
    assert not matches(pattern, "a" * 200 + "c/") or pattern.startswith("(.")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("pattern", ["(", ")", "a(?=b)", r"(a)\1", "*", "[", "(" * 50 + ")" * 50, "a" * 2000])
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(FormatError):
        matches(pattern, "/etc")


@settings(derandomize=True, max_examples=300)
@given(st.text("ab(){}[]|*+?.^$\\/:1,-&~", max_size=20))
def test_nothing_but_a_format_error_is_raised(pattern: str) -> None:
    literal_start(pattern)
    with contextlib.suppress(FormatError):
        matches(pattern, "/a/b")
