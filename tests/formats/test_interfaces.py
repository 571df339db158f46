"""interfaces(5): the laws of a lossless format, and agreement with ifupdown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import interfaces as fmt
from tests.networks import corpus, mutations

LAW = settings(max_examples=150, derandomize=True, deadline=None)
FILES = corpus("interfaces")
PIECES = [
    "iface",
    "eth0",
    "inet",
    "static",
    "auto",
    "address",
    "1.2.3.4",
    "#",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\\\n",
    "\\",
    "é",
]
LIKE = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
TEXTS = st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape"))


@LAW
@given(st.one_of(TEXTS, LIKE))
def test_any_text_comes_back(text: str) -> None:
    assert fmt.unparse(fmt.parse(text)) == text


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
def test_the_corpus_comes_back_spoiled_or_not() -> None:
    for path in FILES:
        for data in (path.read_bytes(), *mutations(path.read_bytes(), path.name, cuts=6)):
            text = data.decode("utf-8", "surrogateescape")
            lines = fmt.parse(text)
            assert fmt.unparse(lines) == text, path
            assert all(lines[i].words for stanza in fmt.stanzas(lines) for i in stanza.options), path


@LAW
@given(LIKE, st.integers(0, 100), st.integers(0, 100))
def test_a_word_that_was_set_is_read_back_and_no_other_line_changes(text: str, pick: int, word: int) -> None:
    lines = fmt.parse(text)
    places = [i for i, line in enumerate(lines) if line.words]
    if not places:
        return
    at = places[pick % len(places)]
    index = word % len(lines[at].words)
    new = [*lines]
    new[at] = lines[at].with_word(index, "wanted")
    again = fmt.parse(fmt.unparse(new))
    assert again[at].words == (*lines[at].words[:index], "wanted", *lines[at].words[index + 1 :])
    assert [line.text for i, line in enumerate(again) if i != at] == [
        line.text for i, line in enumerate(lines) if i != at
    ]


@LAW
@given(LIKE)
def test_a_line_commented_out_says_nothing_any_more(text: str) -> None:
    lines = [line.commented_out() for line in fmt.parse(text)]
    assert not any(line.words for line in fmt.parse(fmt.unparse(lines)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("address \\\n  1.2.3.4\n", ("address", "1.2.3.4")),
        ("addr\\\ness 1\n", ("address", "1")),
        ("  # no \\\n", ()),
        ("up echo a#b\n", ("up", "echo", "a#b")),
        ("auto eth0\r\n", ("auto", "eth0")),
    ],
)
def test_words_are_those_of_ifupdown(text: str, words: tuple[str, ...]) -> None:
    assert fmt.parse(text)[0].words == words


def test_a_comment_is_not_continued() -> None:
    assert [line.words for line in fmt.parse("# x \\\nauto lo\n")] == [(), ("auto", "lo")]


def test_options_belong_to_the_stanza_above() -> None:
    lines = fmt.parse("auto a\niface a inet static\n\n# c\n address 1\nallow-hotplug b\n mtu 3\n")
    assert [(s.kind, s.head, s.options) for s in fmt.stanzas(lines)] == [
        ("auto", 0, ()),
        ("iface", 1, (4,)),
        ("allow", 5, ()),
    ]


@pytest.mark.skipif(not FILES or not shutil.which("ifquery"), reason="the corpora or ifupdown are not here")
def test_ifquery_reads_the_same_names_in_auto(tmp_path: Path) -> None:
    agreed = 0
    for path in FILES:
        lines = fmt.parse(path.read_bytes().decode("utf-8", "surrogateescape"))
        stanzas = fmt.stanzas(lines)
        if any(s.kind in {"source", "source-directory", "mapping"} for s in stanzas):
            continue
        command = ["ifquery", "-i", str(path), "--state-dir", str(tmp_path), "--list", "-a"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode or answer.stderr:
            continue
        mine = dict.fromkeys(
            word
            for s in stanzas
            for word in lines[s.head].words[1:]
            if s.kind == "auto" and lines[s.head].words[0] in {"auto", "allow-auto"}
        )
        plain = {word for word in mine if not word.startswith("/")}  # patterns are for interfaces that exist
        assert set(answer.stdout.split()) == {*plain, "lo"}, path
        agreed += 1
    assert agreed > 60
