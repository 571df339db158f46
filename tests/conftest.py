"""Puts the programs that `scripts/judges` unpacked behind those of this machine."""

from __future__ import annotations

import os
from pathlib import Path

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
