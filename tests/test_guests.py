"""What imgpatch does to whole guests: read fixtures/guests/<name>/expected/ to see it."""

from __future__ import annotations

import pytest

from fixtures import text_guest
from imgpatch import edition
from imgpatch.inspection import inspect
from imgpatch.plan import Context, make_plan, planned
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS


@pytest.mark.parametrize("name", text_guest.written())
def test_the_whole_effect_is_the_one_written_down(name: str) -> None:
    assert text_guest.result(name) == text_guest.expected(name)


@pytest.mark.parametrize("name", text_guest.names())
def test_the_changed_guest_needs_no_change(name: str) -> None:
    guest = text_guest.load(name)
    after = planned(guest, {change.path: change.after for change in text_guest.plan(name).changes})
    assert make_plan(after, TRANSFORMS, Context(edition.load(), inspect(after, EC2))).changes == ()
