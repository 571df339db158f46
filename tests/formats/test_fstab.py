"""fstab(5): the laws of a lossless format, and agreement with libmount."""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import fstab

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpora" / "config" / "fstab"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())

LAW = settings(max_examples=150, derandomize=True, deadline=None)
TEXTS = st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape"))
PIECES = ["/dev/sda1", "/", "UUID=1", "a\\040b", "defaults", "0", "2", "#", " ", "\t", "\n", "\r\n", ","]
LIKE_FSTAB = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
VALUES = st.text(min_size=1, max_size=20).filter(lambda value: "\0" not in value)


def decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def mutations(data: bytes, seed: str) -> list[bytes]:
    """What the corpora's README names."""
    chance = random.Random(seed)
    cuts = [data[: chance.randrange(len(data) + 1)] for _ in range(20)]
    return [
        data,
        data.replace(b"\n", b"\r\n"),
        data.rstrip(b"\n"),
        b"\xef\xbb\xbf" + data,
        data + b"# caf\xe9\n",
        data.replace(b"\n", b" \t\n"),
        data + data,
        *cuts,
    ]


@LAW
@given(st.one_of(TEXTS, LIKE_FSTAB))
def test_any_text_comes_back(text: str) -> None:
    assert fstab.unparse(fstab.parse(text)) == text


@LAW
@given(st.binary(max_size=200))
def test_any_bytes_come_back(data: bytes) -> None:
    assert fstab.unparse(fstab.parse(decoded(data))).encode("utf-8", "surrogateescape") == data


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
def test_the_corpus_comes_back_mutated_or_not() -> None:
    for path in FILES:
        for data in mutations(path.read_bytes(), path.name):
            assert fstab.unparse(fstab.parse(decoded(data))).encode("utf-8", "surrogateescape") == data, path


@LAW
@given(LIKE_FSTAB, VALUES, st.integers(0, 50))
def test_a_spec_that_was_set_is_read_back_and_no_other_line_changes(text: str, value: str, pick: int) -> None:
    lines = fstab.parse(text)
    places = [index for index, line in enumerate(lines) if line.is_entry]
    if not places:
        return
    place = places[pick % len(places)]
    edited = list(lines)
    edited[place] = lines[place].with_spec(value)
    again = fstab.parse(fstab.unparse(edited))
    assert again[place].fs_spec == value
    assert again[place].words[1:] == lines[place].words[1:]
    assert [a.text for i, a in enumerate(again) if i != place] == [
        b.text for i, b in enumerate(lines) if i != place
    ]


@LAW
@given(LIKE_FSTAB)
def test_an_option_that_was_added_is_read_back_once(text: str) -> None:
    for line in fstab.entries(text):
        if len(line.words) < 3:
            with pytest.raises(ValueError, match="no place"):
                line.with_option("nofail")
            continue
        [again] = fstab.parse(line.with_option("nofail").text)
        assert "nofail" in again.options
        assert again.with_option("nofail") == again
        assert again.words[:3] == line.words[:3]
        assert again.words[4:] == line.words[4:]


@LAW
@given(VALUES)
def test_what_was_encoded_is_decoded(value: str) -> None:
    assert fstab.decode(fstab.encode(value)) == value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/dev/sda1 / ext4 defaults 0 1", "/dev/sda1 / ext4 defaults,nofail 0 1"),
        ("/dev/sda1 / ext4 defaults, 0 1", "/dev/sda1 / ext4 defaults,nofail 0 1"),
        ("/dev/sda1\t/ ext4", "/dev/sda1\t/ ext4 nofail"),
        ("/dev/sda1\t/\text4 \r", "/dev/sda1\t/\text4\tnofail \r"),
        ("/dev/sda1 / ext4 ,", "/dev/sda1 / ext4 nofail"),
        ("/dev/sda1 / ext4 nofail,ro 0 1 # x", "/dev/sda1 / ext4 nofail,ro 0 1 # x"),
        ('/dev/sda1 / ext4 context="nofail,a"', '/dev/sda1 / ext4 context="nofail,a",nofail'),
        ("/dev/sda1 /nofail ext4 x-nofail", "/dev/sda1 /nofail ext4 x-nofail,nofail"),
    ],
)
def test_an_option_joins_the_others_as_a_token(before: str, after: str) -> None:
    [line] = fstab.parse(before)
    assert line.with_option("nofail").text == after


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('UUID="a" /a\\040b ext4', ('UUID="a"', "/a b", "ext4", "")),
        ("sshfs#user@host: /a fuse x", ("sshfs#user@host:", "/a", "fuse", "x")),
        ("/dev/sda1 /caf\\303\\251 auto a,b", ("/dev/sda1", "/café", "auto", "a,b")),
        ("/dev/sda1 /a\\134040b auto", ("/dev/sda1", "/a\\040b", "auto", "")),
        ("bug\r", ("bug", "", "", "")),
    ],
)
def test_fields_are_decoded_on_demand(text: str, fields: tuple[str, ...]) -> None:
    [line] = fstab.parse(text)
    assert (line.fs_spec, line.fs_file, line.fs_vfstype, line.fs_mntops) == fields


@pytest.mark.parametrize("text", ["", "  ", "# x", " \t# x", "\r", "#"])
def test_comments_and_blank_lines_are_no_entries(text: str) -> None:
    assert not any(line.is_entry for line in fstab.parse(text))


def test_a_commented_line_brings_the_whole_line_back() -> None:
    [line] = fstab.parse("  //server/a\t/a cifs  x 0 0\r")
    [comment] = fstab.parse(line.commented_out("why").text)
    assert not comment.is_entry
    assert comment.text == "# why:   //server/a\t/a cifs  x 0 0\r"


def _findmnt(path: Path) -> list[tuple[str, ...]]:
    columns = ("SOURCE", "TARGET", "FSTYPE", "OPTIONS")
    result = subprocess.run(
        ["findmnt", "--tab-file", str(path), "--fstab", "-P", "-o", ",".join(columns)],
        capture_output=True,
        check=False,
    )
    rows = []
    for line in result.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        pairs = dict(word.partition("=")[::2] for word in shlex.split(line))
        rows.append(tuple(_unhex(pairs[name]) for name in columns))
    return rows


def _unhex(text: str) -> str:
    """Undoes how findmnt -P writes quotes, dollars and the like (a backslash, `x22`)."""
    return text.encode("utf-8", "surrogateescape").decode("unicode_escape") if "\\x" in text else text


@pytest.mark.skipif(not FILES or not shutil.which("findmnt"), reason="no corpora or no findmnt")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_libmount_reads_the_same_entries(path: Path) -> None:
    lines = [
        line for line in fstab.entries(decoded(path.read_bytes())) if line.numbers_hold and line.fs_vfstype
    ]
    # libmount gives bind mounts the type none and drops a trailing slash of the target: no matter here
    expected = [(line.fs_spec, line.fs_file.rstrip("/") or "/", line.fs_mntops) for line in lines]
    found = [(source, target.rstrip("/") or "/", options) for source, target, _, options in _findmnt(path)]
    assert found == expected
