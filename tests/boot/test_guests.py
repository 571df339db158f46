"""Real Debian guests: they come up at home, hang on an NVMe-only machine, and after `apply` come up there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.build import BuiltGuest, build, disk_at
from fixtures.debians import TRIED_THOROUGHLY, Guest
from fixtures.machines import boot, boot_source, nvme_machine
from fixtures.report import Outcome
from fixtures.snapshot import Entry, snapshot
from tests.boot.running import EC2_ADDRESS, imgpatch, is_at_home, up

pytestmark = pytest.mark.boot

HANGS_IN = {
    "debian-12-bios": Outcome.INITRAMFS_SHELL,
    "debian-13-uefi": Outcome.UEFI_SHELL,
    "debian-11-btrfs": Outcome.INITRAMFS_SHELL,
}
"""How each original ends on EC2's hardware: no driver for the root, or no loader where UEFI looks."""


@dataclass(frozen=True, slots=True)
class Patched:
    """A built guest, and the result of `imgpatch apply` on it."""

    guest: BuiltGuest
    image: Path
    plan: dict[str, Any]


EACH = [
    pytest.param(each, id=each.name, marks=() if each.recipe.suite == "bookworm" else pytest.mark.all_boots)
    for each in TRIED_THOROUGHLY
]
"""Of Debian 11 and 13, an ordinary run boots those with other networks in test_networks.py."""


@pytest.fixture(scope="module", params=EACH)
def patched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patched]:
    which: Guest = request.param
    guest = build(which)
    image = tmp_path_factory.mktemp(which.name) / f"patched.{guest.disk.format}"
    before = guest.disk.path.stat()
    plan = json.loads(imgpatch("apply", guest.disk.path, "--output", image, "--json"))
    assert guest.disk.path.stat().st_mtime_ns == before.st_mtime_ns
    yield Patched(guest, image, plan)
    image.unlink()


@pytest.fixture(scope="module")
def original(patched: Patched) -> dict[str, Entry]:
    return snapshot([patched.guest.disk.path])


def test_preview_and_apply_agree(patched: Patched) -> None:
    shown = json.loads(imgpatch("preview", patched.guest.disk.path, "--json"))
    assert shown["digest"] == patched.plan["digest"]
    assert shown["changes"] == patched.plan["changes"]


def test_what_is_on_disk_is_what_was_planned(patched: Patched, original: dict[str, Entry]) -> None:
    after = snapshot([patched.image])
    changes = {row["path"]: row["after"]["sha256"] for row in patched.plan["changes"]}
    for path, wanted in changes.items():
        assert after[path].content == wanted, path
    folders = {str(p) for path in (*changes, "/var/lib/imgpatch/manifest.json") for p in Path(path).parents}
    for path in original.keys() - changes.keys() - folders:
        assert after[path] == original[path], path


def test_a_second_apply_plans_nothing(patched: Patched) -> None:
    again = json.loads(imgpatch("preview", patched.image, "--json", "--exit-code"))
    assert again["changes"] == []


def test_revert_gives_the_whole_tree_back(
    patched: Patched, original: dict[str, Entry], tmp_path: Path
) -> None:
    reverted = tmp_path / f"reverted.{patched.guest.disk.format}"
    imgpatch("revert", patched.image, "--output", reverted)
    assert snapshot([reverted]) == original


def test_the_original_hangs_on_an_nvme_only_machine(patched: Patched) -> None:
    report = boot([patched.guest.disk], nvme_machine(patched.guest.recipe.firmware))
    assert report.outcome is HANGS_IN[patched.guest.recipe.name], str(report)


def test_the_patched_one_comes_up_with_dhcp_and_all_its_file_systems(patched: Patched) -> None:
    recipe = patched.guest.recipe
    home = up(boot_source(patched.guest))
    assert is_at_home(home, recipe.interface), home
    assert home.failed == {*recipe.fails_at_home}
    there = up(boot([disk_at(patched.image)], nvme_machine(recipe.firmware)))
    assert there.addresses == (EC2_ADDRESS,)
    assert there.failed <= home.failed
    missing = home.mounts.keys() - there.mounts.keys()
    assert missing <= ({"/srv/data"} if recipe.data_disk else set())
    assert len(there.swaps) == len(home.swaps)
