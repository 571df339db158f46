"""GRUB script: lossless, structured as GRUB parses it, in linear time."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import grubcfg
from imgpatch.formats.grubcfg import Command, Function, If, Loop
from tests import grub_corpus

LAW = settings(max_examples=200, derandomize=True, deadline=None)
CHECK = shutil.which("grub-script-check")
FILES = grub_corpus.files("grub2-cfg")

PIECES = [
    "menuentry 'a'",
    "{",
    "}",
    "if ",
    "then",
    "fi",
    "else",
    "\n",
    ";",
    " ",
    "set default=",
    '"0"',
    "$x",
    "${x}",
]
LIKE_SCRIPT = st.lists(st.sampled_from([*PIECES, "'", '"', "\\", "#", "linux /x root=1", "$"]), max_size=40)
TEXTS = st.one_of(st.binary(max_size=120).map(grub_corpus.text), LIKE_SCRIPT.map("".join))


def accepted(text: str, tmp_path: Path) -> bool:
    """Whether GRUB's own parser takes a script."""
    path = tmp_path / "grub.cfg"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = subprocess.run([str(CHECK), str(path)], capture_output=True, check=False)
    return result.returncode == 0


@LAW
@given(TEXTS)
def test_any_text_is_parsed_and_comes_back(text: str) -> None:
    script = grubcfg.parse(text)
    assert grubcfg.unparse(script) == text
    assert script.replaced([]) == text
    for command, _ in grubcfg.walk(script.nodes):
        for word in command.words:
            assert text[word.start : word.end] == word.raw
            assert word.literal is None or isinstance(word.literal, str)


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
def test_the_corpus_is_parsed_mutated_or_not() -> None:
    for name, data in FILES.items():
        for mutation in grub_corpus.mutations(data, name):
            text = grub_corpus.text(mutation)
            script = grubcfg.parse(text)
            assert grubcfg.unparse(script) == text, name
            for command, _ in grubcfg.walk(script.nodes):
                assert all(text[word.start : word.end] == word.raw for word in command.words)


@pytest.mark.skipif(CHECK is None or not FILES, reason="needs grub-script-check and the corpora")
def test_what_grub_takes_has_no_problems(tmp_path: Path) -> None:
    for name, data in FILES.items():
        text = grub_corpus.text(data)
        if accepted(text, tmp_path):
            assert not grubcfg.parse(text).problems or name in BROKEN_BRACES, name


# GRUB's checker lets a `{` on a line of its own pass in these two.
BROKEN_BRACES = {
    "suse-migration-services__test_data_fake_grub_linuxefi.cfg",
    "suse-migration-services__test_data_fake_grub_with_bootpart.cfg",
    "insights-core__insights_tests_parsers_test_grub_conf.py__L9",
}


@pytest.mark.skipif(CHECK is None or not FILES, reason="needs grub-script-check and the corpora")
def test_an_edited_default_is_still_a_script(tmp_path: Path) -> None:
    for name, data in FILES.items():
        text = grub_corpus.text(data)
        script = grubcfg.parse(text)
        pieces = []
        for command, _ in grubcfg.walk(script.nodes):
            found = grubcfg.assignment(command)
            if found is not None and found[0] == "default":
                pieces.append((found[1].start, found[1].end, grubcfg.quoted("a b>c's \"$x\\", found[1].raw)))
        if pieces and accepted(text, tmp_path):
            assert accepted(script.replaced(pieces), tmp_path), name


def test_menus_conditions_and_functions_nest() -> None:
    text = """
set default="0" # first
function f { echo a; }
if [ "$x" = 1 ]; then a; elif b; then c; else d; fi
for i in 1 2; do echo $i; done
submenu 'S' --id s {
  menuentry "T t" $opt 'i'{
    linux /vmlinuz root=/dev/sda1
  }
}
"""
    script = grubcfg.parse(text)
    kinds = [type(node) for node in script.nodes]
    assert kinds == [Command, Function, If, Loop, Command]
    assert script.problems == ()
    submenu = script.nodes[-1]
    assert isinstance(submenu, Command)
    assert [word.literal for word in submenu.words] == ["submenu", "S", "--id", "s"]
    entry = (submenu.body or ())[0]
    assert isinstance(entry, Command)
    assert text[entry.start : entry.end].endswith("root=/dev/sda1\n  }")
    names = [command.name for command, _ in grubcfg.walk(script.nodes)]
    assert names == ["set", "echo", "[", "a", "b", "c", "d", "echo", "submenu", "menuentry", "linux"]


@pytest.mark.parametrize(
    ("word", "literal"),
    [
        ("'a b'c", "a bc"),
        ('"a \\"b\\" \\$c \\n"', 'a "b" $c \\n'),
        ("a\\ b", "a b"),
        ("a'\\'b", "a\\b"),
        ("$x", None),
        ('"a ${x}"', None),
        ("--id='q'", "--id=q"),
        ("a\\\nb", "ab"),
    ],
)
def test_quotes_are_read_as_grub_reads_them(word: str, literal: str | None) -> None:
    (command, _), *_ = grubcfg.walk(grubcfg.parse(f"c {word}\n").nodes)
    assert command.words[1].literal == literal


@LAW
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), max_size=15), st.sampled_from("'\"x")
)
def test_a_quoted_value_reads_back(value: str, like: str) -> None:
    (command, _), *_ = grubcfg.walk(grubcfg.parse(f"set default={grubcfg.quoted(value, like)}\n").nodes)
    found = grubcfg.assignment(command)
    assert found is not None
    assert found[1].literal == value


def test_commands_know_their_conditions() -> None:
    text = "if keystatus --shift; then set timeout=-1; else set timeout=0; fi\nset timeout=5\n"
    under = [words for c, words in grubcfg.walk(grubcfg.parse(text).nodes) if c.name == "set"]
    assert under == [(("keystatus", "--shift"),), (("keystatus", "--shift"),), ()]


@pytest.mark.parametrize(
    "text",
    [
        "if a; then\n" * 20_000,
        "menuentry a { linux /x root=b; }\n" * 8_000,
        "if a; then b; " + "elif c; then d; " * 20_000,
        "if " + "a " * 60_000 + "; then " + "b;" * 60_000 + " fi\n",
        "{" * 100_000,
        '"\\" ' * 80_000,
        "'" * 333_333,
        "a\\\n" * 100_000,
    ],
    ids=["open ifs", "entries", "elifs", "wide condition", "braces", "open quote", "quotes", "joined lines"],
)
def test_the_time_grows_with_the_size_only(text: str) -> None:
    start = time.process_time()
    script = grubcfg.parse(text)
    for _ in grubcfg.walk(script.nodes):
        pass
    for _ in grubcfg.blocks(script.nodes):
        pass
    assert time.process_time() - start < 5
