"""Ctrl-C and SIGTERM end a run at once, with one line, and nothing of it is left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.appliance.machines import small_disk
from tests.appliance.processes import Marked

pytestmark = [pytest.mark.appliance, pytest.mark.usefixtures("signals_arrive")]

LAUNCHES_WITHIN = 30.0
ENDS_WITHIN = 10.0


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alone in its folder; no run here gets as far as to change it."""
    return small_disk(tmp_path_factory.mktemp("disk"))


@pytest.mark.parametrize("destination", ["--in-place", "--output=new.raw"])
@pytest.mark.parametrize(
    ("number", "to_all"),
    [
        pytest.param(signal.SIGTERM, False, id="SIGTERM"),
        pytest.param(signal.SIGINT, True, id="ctrl-c"),  # a terminal sends it to QEMU, too
        pytest.param(signal.SIGINT, False, id="SIGINT", marks=pytest.mark.all_boots),
    ],
)
def test_an_interrupted_apply_leaves_nothing(
    image: Path, tmp_path: Path, destination: str, number: signal.Signals, *, to_all: bool
) -> None:
    """The launch is where it is hard: libguestfs is in one call for seconds, with callbacks."""
    before = hashlib.sha256(image.read_bytes()).digest()
    marked = Marked(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "imgpatch", "apply", str(image), destination],
        cwd=image.parent,
        env=marked.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        wait_for_qemu(marked)
        start = time.monotonic()
        (os.killpg if to_all else os.kill)(run.pid, number)
        out, err = run.communicate()
    assert time.monotonic() - start < ENDS_WITHIN
    assert (run.returncode, out, err) == (130, "", "imgpatch: interrupted\n")
    assert marked.running() == []
    assert list(tmp_path.iterdir()) == []
    assert list(image.parent.iterdir()) == [image]
    assert hashlib.sha256(image.read_bytes()).digest() == before


def wait_for_qemu(marked: Marked) -> None:
    until = time.monotonic() + LAUNCHES_WITHIN
    while not any("-device" in command for command in marked.running()):
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(0.5)  # into the boot
