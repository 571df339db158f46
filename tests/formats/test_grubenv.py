"""GRUB's environment block keeps its size, whatever is set in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import grubenv
from tests import grub_corpus

LAW = settings(max_examples=150, derandomize=True, deadline=None)
EDITENV = shutil.which("grub-editenv")
FILES = grub_corpus.files("grubenv")
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@LAW
@given(st.one_of(st.binary(max_size=150), st.binary(max_size=150).map(lambda data: grubenv.SIGNATURE + data)))
def test_any_bytes_come_back(data: bytes) -> None:
    assert grubenv.unparse(grubenv.parse(data)) == data


def test_the_corpus_comes_back_mutated_or_not() -> None:
    for name, data in FILES.items():
        for mutation in grub_corpus.mutations(data, name):
            assert grubenv.unparse(grubenv.parse(mutation)) == mutation


@LAW
@given(VALUES, VALUES)
def test_what_was_set_is_read_back_in_1024_bytes(one: str, two: str) -> None:
    block = grubenv.created({"saved_entry": one, "kernelopts": two})
    assert len(block) == grubenv.SIZE
    assert grubenv.values(block) == {"saved_entry": one, "kernelopts": two}
    changed = grubenv.with_values(block, {"saved_entry": two, "kernelopts": None})
    assert len(changed) == grubenv.SIZE
    assert grubenv.values(changed) == {"saved_entry": two}
    assert grubenv.with_values(changed, {"saved_entry": two}) == changed


@pytest.mark.skipif(EDITENV is None, reason="needs grub-editenv")
def test_grub_editenv_agrees(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    subprocess.run([str(EDITENV), str(path), "create"], check=True)
    empty = path.read_bytes()
    subprocess.run([str(EDITENV), str(path), "set", "saved_entry=a>b c", "x=back\\slash"], check=True)
    assert grubenv.values(path.read_bytes()) == {"saved_entry": "a>b c", "x": "back\\slash"}
    path.write_bytes(grubenv.with_values(empty, {"saved_entry": "1>2", "y": "q\\r"}))
    listed = subprocess.run([str(EDITENV), str(path), "list"], check=True, capture_output=True, text=True)
    assert listed.stdout == "saved_entry=1>2\ny=q\\r\n"


def test_comments_and_the_order_stay() -> None:
    text = b"# GRUB Environment Block\n# WARNING: no\na=1\nsaved_entry=0\nb=2\n"
    after = grubenv.with_values(text.ljust(1024, b"#"), {"saved_entry": "x"})
    assert after == text.replace(b"=0", b"=x").ljust(1024, b"#")


def test_no_room_is_refused() -> None:
    block = grubenv.created({"kernelopts": "x" * 900})
    with pytest.raises(FormatError, match="no room"):
        grubenv.with_values(block, {"saved_entry": "y" * 100})


@pytest.mark.parametrize("data", [b"", b"#" * 1024, b"saved_entry=0\n"])
def test_another_file_is_refused(data: bytes) -> None:
    assert grubenv.values(data) == {}
    with pytest.raises(FormatError, match="signature"):
        grubenv.with_values(data, {"saved_entry": "0"})


def test_a_change_is_described_by_its_variables() -> None:
    before = grubenv.created({"saved_entry": "0", "next_entry": "1", "kept": "x"})
    after = grubenv.with_values(before, {"saved_entry": "menu>entry", "next_entry": None})
    assert grubenv.describe(before, after) == [
        "- saved_entry=0",
        "- next_entry=1",
        "+ saved_entry=menu>entry",
    ]
    assert grubenv.describe(None, after) == ["+ saved_entry=menu>entry", "+ kept=x"]
    assert grubenv.describe(b"no block", after) is None
