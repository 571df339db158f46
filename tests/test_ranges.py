from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch import ranges
from imgpatch.ranges import Ranges, Segment, on_disks

numbers = st.integers(0, 60)
pairs = st.lists(st.tuples(numbers, st.integers(1, 10)), max_size=12).map(
    lambda found: sorted((start, start + length) for start, length in found)
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(found=pairs, start=numbers, length=st.integers(0, 20))
def test_what_lies_between_two_offsets_is_what_a_set_of_bytes_says(
    found: list[tuple[int, int]], start: int, length: int
) -> None:
    inside = {n for a, b in found for n in range(a, b)} & set(range(start, start + length))
    kept = Ranges(found)
    assert {n for a, b in kept.within(start, start + length) for n in range(a, b)} == inside
    assert kept.touches(start, start + length) == bool(inside)


def test_too_many_ranges_claim_more_and_never_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "COARSEST", 8)
    kept = Ranges((n * 8192, n * 8192 + 512) for n in range(100))
    assert len(list(kept)) <= 8
    assert all(kept.touches(n * 8192, n * 8192 + 512) for n in range(100))


def test_a_piece_of_a_device_over_two_disks() -> None:
    parts = (Segment(0, 100, 0, 1000), Segment(100, 50, 1, 0))
    assert list(on_disks(parts, 90, 30)) == [(0, 1090, 1100), (1, 0, 20)]
    assert list(on_disks(parts, 140, 30)) == [(1, 40, 50)]
