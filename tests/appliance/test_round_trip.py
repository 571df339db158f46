"""Guests on real disks: what is previewed is what is applied, a second apply is empty, revert is exact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fixtures import rows, snapshot, text_disks, text_guest
from imgpatch import edition
from imgpatch.cli import cli, main
from imgpatch.inspection import inspect
from imgpatch.manifest import MANIFEST_PATH
from imgpatch.plan import Context, Plan, make_plan
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS

pytestmark = pytest.mark.appliance


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)


def document(*arguments: str | Path) -> dict[str, object]:
    result = run(*arguments, "--json")
    loaded: dict[str, object] = json.loads(result.stdout)
    return loaded


def plan_of(name: str) -> Plan:
    """The plan of the text, whose logical volumes have other identifiers than those made for the disks."""
    guest = text_guest.load(name)
    devices = tuple(replace(d, dm_uuid=d.mapper and f"LVM-{d.mapper}") for d in guest.storage.devices)
    mounts = {point: devices[guest.storage.devices.index(d)] for point, d in guest.storage.mounts.items()}
    made = replace(guest, storage=replace(guest.storage, devices=devices, mounts=mounts))
    return make_plan(made, TRANSFORMS, Context(edition.load(), inspect(made, EC2)))


IN_EVERY_RUN = frozenset({"al2023", "sles-12-sp5"})
"""Of those whose plan alone is compared; the others take minutes and differ little."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.all_boots)
        for name in (*text_guest.names(), *rows.on_disk())
    ],
)
def test_a_real_disk_gives_the_plan_of_its_text(name: str, tmp_path: Path) -> None:
    disks = text_disks.make(text_guest.load(name), tmp_path)
    assert document("preview", *disks)["digest"] == plan_of(name).digest


@pytest.mark.parametrize(
    ("name", "image_format"),
    [
        ("debian-12-uefi", "qcow2"),
        pytest.param("debian-12-ifupdown", "raw", marks=pytest.mark.all_boots),
        pytest.param("rhel-9", "qcow2", marks=pytest.mark.all_boots),
        pytest.param("centos-5", "raw", marks=pytest.mark.all_boots),
        pytest.param("ubuntu-20.04", "raw", marks=pytest.mark.all_boots),
    ],
)
def test_preview_apply_apply_again_and_revert(name: str, image_format: str, tmp_path: Path) -> None:
    disks = text_disks.make(text_guest.load(name), tmp_path, image_format=image_format)
    before = snapshot.snapshot(disks)
    originals = [disk.read_bytes() for disk in disks] if image_format == "qcow2" else None
    digest = str(document("preview", *disks)["digest"])

    outputs = [tmp_path / f"out{n}.{image_format}" for n in range(len(disks))]
    applied = document("apply", *disks, *_outputs(outputs), "--plan", digest)
    assert applied["digest"] == digest
    assert applied["written"] == [str(output) for output in outputs]
    if originals is not None:
        assert [disk.read_bytes() for disk in disks] == originals

    after = snapshot.snapshot(outputs)
    planned = {c.path: c for c in plan_of(name).changes}
    kept = {path for path in after if path not in before and path not in planned}
    for path, change in planned.items():
        found = after[path].content if path in after else None
        assert found == (None if change.after is None else _sha256(change.after)), path
    for path in before.keys() - planned.keys() - _parents(planned) - _parents([MANIFEST_PATH]):
        assert after[path] == before[path], path
    assert MANIFEST_PATH in kept
    assert sum(path.endswith(".imgpatch.orig") for path in kept) == sum(
        c.before is not None for c in planned.values()
    )

    again = document("preview", *outputs)
    assert again["changes"] == []
    assert run("revert", *outputs).exit_code == 0
    assert snapshot.snapshot(outputs) == before


def test_in_place_and_a_plan_that_is_not_the_expected_one(tmp_path: Path) -> None:
    disks = text_disks.make(text_guest.load("debian-12-ifupdown"), tmp_path)
    before = snapshot.snapshot(disks)
    assert main(["apply", *map(str, disks), "--in-place", "--plan", "0" * 12]) == 3
    assert snapshot.snapshot(disks) == before
    assert main(["apply", *map(str, disks), "--in-place"]) == 0
    assert snapshot.snapshot(disks) != before
    assert document("preview", *disks)["changes"] == []
    assert main(["revert", *map(str, disks)]) == 0
    assert snapshot.snapshot(disks) == before


def _outputs(paths: Sequence[Path]) -> list[str]:
    return [word for path in paths for word in ("--output", str(path))]


def _parents(paths: object) -> set[str]:
    """The folders above some paths: their own times change when something is put into them."""
    assert isinstance(paths, dict | list)
    return {str(parent) for path in paths for parent in Path(path).parents}


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
