from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpatch.formats import ova_manifest
from imgpatch.formats.ova_manifest import Sum

ONE = "0" * 40


@pytest.mark.parametrize(
    "line",
    [
        f"SHA1(a b.vmdk)= {ONE}\n",
        f"SHA1 (a b.vmdk) = {ONE}\r\n",
        f"\tsha-1( a b.vmdk )={ONE}  ",
        f"\n\nSHA1(a b.vmdk)={ONE}\0\0",
    ],
)
def test_ways_to_write_a_line(line: str) -> None:
    assert ova_manifest.parse(line.encode()).sums == (Sum("SHA1", "a b.vmdk", ONE),)


def test_what_is_no_sum_is_kept_apart() -> None:
    found = ova_manifest.parse(f"hello\nSHA256(a)= {ONE}\nSHA1(a)= {ONE}\nMD5(a)= 00\n".encode())
    assert found.sums == (Sum("SHA1", "a", ONE),)
    assert found.unread == ("hello", f"SHA256(a)= {ONE}", "MD5(a)= 00")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=30)


@given(st.lists(NAMES.filter(lambda name: name.strip(" \t") == name)))
def test_written_sums_are_read_back_and_of_the_foretold_size(names: list[str]) -> None:
    sums = tuple(Sum("SHA256", name, "a1" * 32) for name in names)
    data = ova_manifest.unparse(sums)
    assert ova_manifest.parse(data).sums == sums
    assert len(data) == ova_manifest.size("SHA256", names)
