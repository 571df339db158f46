"""Puts the programs that `scripts/judges` unpacked behind those of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.debians import Guest
from fixtures.recipes import Recipe

JUDGES = Path(__file__).parent.parent / ".venv/judges"
PROGRAMS = ("bin", "root/sbin", "root/usr/sbin", "root/bin", "root/usr/bin")


def pytest_configure() -> None:
    """Before any test module asks which programs there are."""
    if not (JUDGES / "complete").exists():
        return
    folders = [str(JUDGES / folder) for folder in PROGRAMS]
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin", *folders])
    libraries = sorted({str(path.parent) for path in (JUDGES / "root").rglob("lib*.so.*")})
    known = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [known, *libraries]))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker a built guest: what one test has built, patched or read serves the next."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        params = () if callspec is None else callspec.params.values()
        for guest in (value for value in params if isinstance(value, Recipe | Guest)):
            item.add_marker(pytest.mark.xdist_group(guest.name))


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """A shell starts what it puts in the background with SIGINT ignored, and imgpatch leaves that so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
