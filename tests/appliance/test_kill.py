"""apply, killed at each step and within steps: no byte of the user's disk is lost and the next run works."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgpatch import edition
from imgpatch.images import qemu
from imgpatch.images.inplace import Recovered
from imgpatch.images.redolog import folder_of
from imgpatch.operations import preview_images, recover_images
from imgpatch.plan import Choices
from imgpatch.progress import Silent
from tests.appliance.machines import small_disk
from tests.appliance.processes import Marked

pytestmark = pytest.mark.appliance

WRITING = "writing into an overlay"
READING = "reading everything back"
MERGING = "merging the changes into the image"
PUBLISHING = "writing new.raw"
TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small disk, to be copied."""
    return small_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def planned(disk: Path) -> str:
    """The digest of the plan for that disk."""
    return preview_images([disk], edition.load(edition.NEWEST), Choices(), Silent()).plan.digest


@pytest.fixture
def marked(tmp_path: Path) -> Marked:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return Marked(temporary)


@pytest.fixture
def image(disk: Path, tmp_path: Path) -> Path:
    """A fresh copy, alone in a folder of its own."""
    folder = tmp_path / "images"
    folder.mkdir()
    return Path(shutil.copy(disk, folder / "disk.raw"))


def apply(marked: Marked, step: str, delay: float, *paths: Path) -> tuple[bool, list[str]]:
    """Runs an apply that kills itself; whether it was killed, and the lines it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.appliance.dying", step, str(delay), *map(str, paths)],
        cwd=TOP,
        env=marked.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, -signal.SIGKILL)
    return ended.returncode != 0, ended.stdout.splitlines()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_done(image: Path) -> bool:
    """Whether the whole change is in the image, so that there is nothing left to plan."""
    return preview_images([image], edition.load(edition.NEWEST), Choices(), Silent()).plan.is_empty


def test_in_place_at_each_step(image: Path, planned: str, marked: Marked) -> None:
    """At once after each kill, the next run finds what is left and must get a step further."""
    before = sha256(image)
    killed_at: list[str] = []
    killed, lines = apply(marked, "1", 0.0, image)
    while killed:
        killed_at.append(lines[-1])
        assert len(lines) == len(killed_at)
        assert sha256(image) == before, lines[-1]
        assert set(image.parent.iterdir()) <= {image, folder_of(image)}, lines[-1]
        killed, lines = apply(marked, str(len(lines) + 1), 0.0, image)
    assert {WRITING, READING, MERGING} <= set(killed_at)
    assert lines[-1] == planned
    assert sha256(image) != before
    assert list(image.parent.iterdir()) == [image]
    assert marked.left() == []


def test_to_a_new_file_while_it_is_made(image: Path, planned: str, marked: Marked) -> None:
    before = sha256(image)
    output = image.with_name("new.raw")
    for step, delay in ((WRITING, 0.0), (PUBLISHING, 0.0), (PUBLISHING, 0.02)):
        killed, lines = apply(marked, step, delay, image, output)
        assert lines[-1] == step
        assert killed
        assert not output.exists(), step
        assert sha256(image) == before, step
    killed, lines = apply(marked, "none", 0.0, image, output)
    assert (killed, lines[-1]) == (False, planned)
    assert sha256(image) == before
    assert sorted(image.parent.iterdir()) == [image, output]
    assert is_done(output)
    assert marked.left() == []


def test_in_place_within_the_writing(image: Path, planned: str, marked: Marked) -> None:
    before = sha256(image)
    chance = random.Random(11)
    for _ in range(2):
        _, lines = apply(marked, WRITING, chance.uniform(0.02, 0.25), image)
        assert lines[-1] == WRITING
        assert sha256(image) == before
    assert recover_images([image]) is Recovered.DISCARDED
    killed, lines = apply(marked, "none", 0.0, image)
    assert (killed, lines[-1]) == (False, planned)
    assert list(image.parent.iterdir()) == [image]
    assert marked.left() == []


@pytest.mark.parametrize("seed", [1, pytest.param(5, marks=pytest.mark.all_boots)])
def test_in_place_within_the_merging(image: Path, marked: Marked, seed: int) -> None:
    """Wholly old or wholly new; which of them, the instant decides."""
    before = sha256(image)
    apply(marked, MERGING, random.Random(seed).uniform(0.002, 0.014), image)
    recovered = recover_images([image])
    assert recovered is Recovered.DISCARDED or sha256(image) != before
    assert (sha256(image) == before) != is_done(image)
    assert list(image.parent.iterdir()) == [image]
    assert marked.left() == []


def test_a_qcow2_in_place_before_and_within_the_merging(image: Path, planned: str, marked: Marked) -> None:
    qcow2 = image.with_suffix(".qcow2")
    qemu.run("convert", "-f", "raw", "-O", "qcow2", image, qcow2)
    image.unlink()
    before = sha256(qcow2)
    killed, _ = apply(marked, MERGING, 0.0, qcow2)
    assert killed
    assert sha256(qcow2) == before
    _, lines = apply(marked, MERGING, 0.008, qcow2)
    assert lines[-1] in (MERGING, planned)
    if recover_images([qcow2]) is Recovered.DISCARDED:
        assert sha256(qcow2) == before
    else:
        assert is_done(qcow2)
    assert list(qcow2.parent.iterdir()) == [qcow2]
    assert marked.left() == []
