"""INF files: what a line says, and that no text is too much."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import inf

SECTIONS = b"""; ENA\r
[Version]\r
Signature = "$WINDOWS NT$"\r
Class=Net ; x\r
class=Other\r
[Strings]\r
Class="no"\r
Ena="A ""fast"" one; of EC2"\r
[More]\r
%Ena% = a b , "c, d" ,, \\\r
  %12%\\x.sys,100%%\r
CopyFiles=@x.sys\r
only\r
[version]\r
Provider = %ena%\r
"""


def test_settings() -> None:
    read = inf.parse(SECTIONS)
    wanted = {"signature": "$WINDOWS NT$", "class": "Net", "provider": 'A "fast" one; of EC2'}
    assert read.settings("Version") == wanted
    assert inf.parse(b"").settings("Version") == {}


def test_rows() -> None:
    rows = list(inf.parse(SECTIONS).rows("MORE"))
    assert rows[0] == inf.Row('A "fast" one; of EC2', ("a b", "c, d", "", "%12%\\x.sys", "100%"))
    assert rows[1] == inf.Row("CopyFiles", ("@x.sys",))
    assert rows[2] == inf.Row("", ("only",))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_encodings(encoding: str) -> None:
    assert inf.parse("[version]\nCLASS = SCSIAdapter\n".encode(encoding)).settings("VERSION") == {
        "class": "SCSIAdapter"
    }


def test_strings_do_not_multiply() -> None:
    data = b"[strings]\na=" + b"x" * 4000 + b"\n[s]\nn=" + b"%a%" * 100_000
    with pytest.raises(FormatError, match="characters that Windows takes"):
        list(inf.parse(data).rows("s"))
    with pytest.raises(FormatError, match="larger than"):
        inf.parse(bytes(inf.LARGEST + 1))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet='[]=,;%"\\\n abS'))
def test_any_text_is_read(text: str) -> None:
    read = inf.parse(f"[Strings]\na=b\n{text}".encode())
    for name in read.sections:
        assert all(isinstance(row, inf.Row) for row in read.rows(name))
