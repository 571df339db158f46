"""Each Debian with each initramfs tool and each way to configure the network boots on EC2's hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.build import BuiltGuest, build, built, disk_at, forget
from fixtures.debians import GUESTS, ORDINARY, TRIED_THOROUGHLY, Guest
from fixtures.machines import boot, boot_source, nvme_machine
from tests.boot.running import EC2_ADDRESS, imgpatch, is_at_home, up

pytestmark = pytest.mark.boot


OTHERS = [
    pytest.param(each, id=each.name, marks=() if each in ORDINARY else pytest.mark.all_boots)
    for each in GUESTS
    if each not in TRIED_THOROUGHLY
]
"""Those that test_guests.py does not boot."""


@pytest.fixture(scope="module", params=OTHERS)
def made(request: pytest.FixtureRequest) -> Iterator[BuiltGuest]:
    """The guest; one that is no recipe's own is forgotten again: half a gigabyte that takes half a minute."""
    guest: Guest = request.param
    keep = built(guest) or guest.network == guest.recipe.network
    yield build(guest)
    if not keep:
        forget(guest)


def test_a_patched_guest_comes_up_and_gets_an_address(made: BuiltGuest, tmp_path: Path) -> None:
    image = tmp_path / f"patched.{made.disk.format}"
    imgpatch("apply", made.disk.path, "--output", image)
    there = up(boot([disk_at(image)], nvme_machine(made.recipe.firmware)))
    image.unlink()
    assert there.addresses == (EC2_ADDRESS,)
    assert there.failed <= {*made.recipe.fails_at_home}


@pytest.mark.all_boots
def test_the_original_is_well_at_home(made: BuiltGuest) -> None:
    home = up(boot_source(made))
    assert is_at_home(home, made.recipe.interface), home
    assert home.failed == {*made.recipe.fails_at_home}
