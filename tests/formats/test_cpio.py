"""newc and crc archives: places that join to the same bytes, and hostile ones refused."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.archives import archive
from imgpatch.errors import FormatError
from imgpatch.formats import cpio
from imgpatch.formats.cpio import Limits, Source

NAMES = st.text("abc./-_é", min_size=1, max_size=20).filter(lambda name: name != cpio.TRAILER)
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=6)


def entries(data: bytes, piece: int = 7, **limits: int) -> list[cpio.Entry]:
    pieces = (data[at : at + piece] for at in range(0, len(data), piece))
    return list(cpio.read_archive(Source(pieces, 1 << 20), lambda _name, _size: True, Limits(**limits)))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(FILES, st.booleans(), st.integers(1, 300))
def test_entries_are_the_files_and_their_places_join_to_the_archive(
    files: dict[str, bytes], checked: bool, piece: int
) -> None:
    data = archive(files, checked=checked, padding=4)
    found = entries(data, piece)
    assert {entry.name: entry.data for entry in found[:-1]} == files
    assert b"".join(data[entry.start : entry.end] for entry in found) == data
    assert all(entry.checked is checked for entry in found)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(FILES, st.data())
def test_every_cut_is_refused(files: dict[str, bytes], data: st.DataObject) -> None:
    whole = archive(files, padding=4)
    cut = data.draw(st.integers(0, len(whole) - 4))
    with pytest.raises(FormatError):
        entries(whole[:cut])


@settings(max_examples=100, derandomize=True, deadline=None)
@given(FILES, st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(files: dict[str, bytes], place: int, byte: int) -> None:
    data = bytearray(archive(files))
    data[place % len(data)] = byte
    with suppress(FormatError):
        entries(bytes(data))


@pytest.mark.parametrize("magic", [b"070707", b"\xc7\x71\0\0\0\0", b"070 01"])
def test_older_forms_are_refused_as_the_kernel_does(magic: bytes) -> None:
    with pytest.raises(FormatError, match="newc cpio header"):
        entries(magic + archive({"a": b""})[6:])


def test_sizes_that_lie_are_refused() -> None:
    data = archive({"a": b"1234"})
    with pytest.raises(FormatError, match="more than"):
        entries(data[:54] + b"FFFFFFFF" + data[62:])
    with pytest.raises(FormatError, match="name of"):
        entries(data[:94] + b"FFFFFFFF" + data[102:])
    with pytest.raises(FormatError, match="damaged"):
        entries(data[:54] + b"0x_00004" + data[62:])


def test_limits() -> None:
    files = {str(number): b"x" * 10 for number in range(5)}
    assert len(entries(archive(files), entries=6, kept=50)) == 6
    with pytest.raises(FormatError, match="entries"):
        entries(archive(files), entries=5)
    with pytest.raises(FormatError, match="49 bytes"):
        entries(archive(files), kept=49)


@pytest.mark.parametrize("checked", [False, True])
def test_gnu_cpio_reads_what_is_written(tmp_path: Path, checked: bool) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("needs cpio")
    data = archive(
        {"a/b": b"one", "a/c": b"\xff" * 999}, directories=["a"], links={"l": "a/b"}, checked=checked
    )
    run = subprocess.run(["cpio", "-i", "--quiet"], input=data, cwd=tmp_path, check=True, capture_output=True)
    assert run.stderr == b""
    assert (tmp_path / "l").read_bytes() == b"one"
    assert (tmp_path / "a/c").read_bytes() == b"\xff" * 999
