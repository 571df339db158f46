"""Programs of Windows: what they are linked to and signed with, and that none crashes the reader."""

from __future__ import annotations

import contextlib

import pytest

from imgpatch.errors import FormatError
from imgpatch.formats import pe
from tests.transforms.windows.driver_files import SHA1, SHA256, driver


@pytest.mark.parametrize("architecture", ["i386", "x86_64"])
@pytest.mark.parametrize(
    ("signature", "digest"),
    [(SHA1, "SHA-1"), (SHA256 + SHA1, "SHA-256"), (SHA1 + SHA256, "SHA-1"), (b"", ""), (None, None)],
)
def test_a_driver(architecture: str, signature: bytes | None, digest: str | None) -> None:
    data = driver(architecture, ("NTOSKRNL.exe", "Storport.sys"), signature)
    assert pe.machine(data) == architecture
    assert pe.imports(data) == ("ntoskrnl.exe", "storport.sys")
    assert pe.digest(data) == digest


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF" + bytes(200), b"MZ" + bytes(500)])
def test_no_program(data: bytes) -> None:
    assert pe.machine(data) is None
    with pytest.raises(FormatError, match="no program"):
        pe.imports(data)


def test_a_driver_that_breaks_off_anywhere_or_has_a_byte_changed() -> None:
    whole = driver()
    for size in range(len(whole)):
        for data in (whole[:size], whole[:size] + b"\xff" + whole[size + 1 :]):
            with contextlib.suppress(FormatError):
                pe.imports(data)
            with contextlib.suppress(FormatError):
                pe.digest(data)
    with pytest.raises(FormatError, match="outside the file"):
        pe.digest(whole[:-1])
