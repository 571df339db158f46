"""Shell assignments: lossless, as bash reads them, edited in place."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import shellvars
from tests import grub_corpus

LAW = settings(max_examples=150, derandomize=True, deadline=None)
BASH = shutil.which("bash")
FILES = grub_corpus.files("default-grub")

PIECES = [
    "A=1",
    "B='x y'",
    'C="a b"',
    "export ",
    "#c",
    "\n",
    " ",
    "\\",
    '"',
    "'",
    "$(x)",
    "$A",
    "if",
    "fi",
    ";",
]
LIKE_SHELL = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
TEXTS = st.one_of(st.binary(max_size=120).map(grub_corpus.text), LIKE_SHELL)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@LAW
@given(TEXTS)
def test_any_text_comes_back(text: str) -> None:
    assert shellvars.unparse(shellvars.parse(text)) == text


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
def test_the_corpus_comes_back_mutated_or_not() -> None:
    for name, data in FILES.items():
        for mutation in grub_corpus.mutations(data, name):
            text = grub_corpus.text(mutation)
            assert shellvars.unparse(shellvars.parse(text)) == text, name


def bash_values(path: Path) -> dict[str, str]:
    """The variables a shell has after sourcing a file."""
    script = '. "$1"; for name in $(compgen -v GRUB_); do printf "%s=%s\\0" "$name" "${!name}"; done'
    result = subprocess.run(
        ["env", "-i", str(BASH), "--norc", "-c", script, "bash", str(path)], capture_output=True, check=True
    )
    rows = result.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return dict(row.split("=", 1) for row in rows)


@pytest.mark.skipif(BASH is None or not FILES, reason="needs bash and the corpora")
@pytest.mark.parametrize("name", [n for n, data in FILES.items() if b"$(" not in data and b"`" not in data])
def test_bash_reads_the_same_values(name: str, tmp_path: Path) -> None:
    path = tmp_path / "grub"
    path.write_bytes(FILES[name])
    ours = shellvars.values(shellvars.parse(grub_corpus.text(FILES[name])))
    assert {k: v for k, v in ours.items() if k.startswith("GRUB_")} == bash_values(path)


@LAW
@given(TEXTS, VALUES)
def test_what_was_set_is_read_back_and_again_changes_nothing(text: str, value: str) -> None:
    try:
        once = shellvars.with_value(text, "GRUB_DEFAULT", value)
    except FormatError:
        assert not shellvars.is_sound(text)
        return
    assert shellvars.values(shellvars.parse(once))["GRUB_DEFAULT"] == value
    assert shellvars.with_value(once, "GRUB_DEFAULT", value) == once


@pytest.mark.skipif(BASH is None, reason="needs bash")
@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    VALUES.filter(lambda value: not value.endswith("\n")), st.sampled_from(["'old'", '"old"', "old", "o\\ d"])
)
def test_bash_reads_what_was_set(value: str, old: str) -> None:
    text = shellvars.with_value(f"GRUB_DEFAULT={old} # why\n", "GRUB_DEFAULT", value)
    data = (text + 'printf %s "$GRUB_DEFAULT"').encode()
    shown = subprocess.run(
        ["env", "-i", str(BASH), "--norc", "-s"], input=data, capture_output=True, check=True
    )
    assert shown.stdout == value.encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("GRUB_TIMEOUT=0\n", "GRUB_TIMEOUT=5\n"),
        ("GRUB_TIMEOUT=0 # now\nX=1", "GRUB_TIMEOUT=5 # now\nX=1"),
        ("export GRUB_TIMEOUT='0'\n", "export GRUB_TIMEOUT='5'\n"),
        ('GRUB_TIMEOUT="0"\r\nX=1\r\n', 'GRUB_TIMEOUT="5"\r\nX=1\r\n'),
        ("GRUB_TIMEOUT=1\nGRUB_TIMEOUT=0\n", "GRUB_TIMEOUT=1\nGRUB_TIMEOUT=5\n"),
        ("#GRUB_TIMEOUT=0\n", "#GRUB_TIMEOUT=0\nGRUB_TIMEOUT=5\n"),
        ("X=1", "X=1\nGRUB_TIMEOUT=5\n"),
        ("", "GRUB_TIMEOUT=5\n"),
        ('X="a \\\nGRUB_TIMEOUT=0"\n', 'X="a \\\nGRUB_TIMEOUT=0"\nGRUB_TIMEOUT=5\n'),
        ("if a; then\nGRUB_TIMEOUT=0\nfi\n", "if a; then\nGRUB_TIMEOUT=0\nfi\nGRUB_TIMEOUT=5\n"),
        ("GRUB_TIMEOUT=0 command\n", "GRUB_TIMEOUT=0 command\nGRUB_TIMEOUT=5\n"),
    ],
)
def test_one_value_is_replaced_in_place_or_a_line_added(before: str, after: str) -> None:
    assert shellvars.with_value(before, "GRUB_TIMEOUT", "5") == after


def test_nothing_is_added_behind_an_open_quote() -> None:
    with pytest.raises(FormatError):
        shellvars.with_value('X="a\n', "GRUB_TIMEOUT", "5")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('L=""', 'L="w"'),
        ("L=", 'L="w"'),
        ("L='quiet'", "L='quiet w'"),
        ('L="a \\"b c\\" "', 'L="a \\"b c\\" w"'),
        ("L=quiet", 'L="quiet w"'),
        ("L=a\\ b", 'L=a\\ b" w"'),
        ('L+=" x"', 'L+=" x w"'),
        ('L="$L x"', 'L="$L x w"'),
        ('L="$(echo "a b")"', 'L="$(echo "a b") w"'),
        ('L="a \\\n  b"', 'L="a \\\n  b w"'),
        ("if x; then L=a; fi", 'if x; then L=a; fi\nL="w"\n'),
        ("if x; then\nL=a\nfi\n", 'if x; then\nL=a\nfi\nL="$L w"\n'),
    ],
)
def test_a_word_joins_a_list_within_its_quotes(before: str, after: str) -> None:
    assert shellvars.with_word(before, "L", "w") == after


@pytest.mark.parametrize(
    "text", ["A=1\n" * 80_000, "(" * 300_000, "A='" * 100_001, '"$(' * 100_000, "a " * 150_000]
)
def test_the_time_grows_with_the_size_only(text: str) -> None:
    start = time.process_time()
    assert shellvars.unparse(shellvars.parse(text)) == text
    assert time.process_time() - start < 5


def test_words_are_changed_and_taken_out_where_they_stand() -> None:
    text = "L='root=/dev/sda1 quiet resume=/dev/sda5'\nM=\"resume=/dev/sda5\"\nN=x # resume=/dev/sda5\n"
    changes = {"root=/dev/sda1": "root=UUID=1", "resume=/dev/sda5": None}
    after = shellvars.with_words_mapped(text, lambda _, word: changes.get(word, word))
    assert after == "L='root=UUID=1 quiet'\nM=\"\"\nN=x # resume=/dev/sda5\n"


def test_a_drop_in_builds_on_what_was_there() -> None:
    first = shellvars.values(shellvars.parse('L="a"\nM=`x`\n'))
    second = shellvars.values(shellvars.parse('L="$L b"\nM="${M} b"\n'), first)
    assert second == {"L": "a b", "M": None}
