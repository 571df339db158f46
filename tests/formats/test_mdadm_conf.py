"""ARRAY lines as mdadm.conf(5) has them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats.mdadm_conf import ArrayLine, arrays

UUID = "3aaa0122:29827cfa:5331ad66:ca767371"
PLAIN = "3aaa012229827cfa5331ad66ca767371"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"ARRAY /dev/md0 UUID={UUID}\n", ("/dev/md0", PLAIN, None)),
        (
            f"ARRAY /dev/md/root metadata=1.2 UUID={UUID.upper()} name=host:root",
            ("/dev/md/root", PLAIN, "host:root"),
        ),
        (f"array root level=raid1\n   num-devices=2\n\tuuid={UUID}\n", ("/dev/md/root", PLAIN, None)),
        (f'ARR "/dev/md/a b" UUID={UUID} # a remark', ("/dev/md/a b", PLAIN, None)),
        ("ARRAY /dev/md1 devices=/dev/sda1,/dev/sdb1", ("/dev/md1", None, None)),
        (f"ARRAY <ignore> UUID={UUID}", (None, PLAIN, None)),
    ],
)
def test_an_array_line(text: str, expected: tuple[str | None, str | None, str | None]) -> None:
    assert list(arrays(text)) == [ArrayLine(*expected)]


def test_other_lines_are_none() -> None:
    text = "# ARRAY /dev/md0\nDEVICE partitions\nHOMEHOST <system>\nMAILADDR root\nAR /dev/md0\nARRAY 'open\n"
    assert list(arrays(text)) == []


@settings(derandomize=True, max_examples=200)
@given(st.text("aArRyY \t\n/=\"'#<>:\\"))
def test_no_text_is_refused(text: str) -> None:
    list(arrays(text))
