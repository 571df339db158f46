"""The tables that the catalogue and the editions were made from, where they lie beside the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared/reference"
DOCUMENTS = FOLDER / "documents.md"
FAILURES = FOLDER / "import-failures.md"

needs_documents = pytest.mark.skipif(not DOCUMENTS.exists(), reason="the documents' tables are not here")

_EDITIONS = {"S1": "2019", "S0": "2024", "S2": "2025-07", "S3": "2025-12", "S4": "2026"}


def edition_of(tag: str) -> str:
    return _EDITIONS[tag]


def section(path: Path, begin: str, end: str) -> str:
    """The text from the line that begins so to the next that begins so; empty where the file is not here."""
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8").split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(begin))
    last = next(i for i, line in enumerate(lines[first + 1 :], first + 1) if line.startswith(end))
    return "\n".join(lines[first:last])


def cells(path: Path, begin: str, end: str) -> list[list[str]]:
    """The cells of every row of the tables in a section, without their headings' rules."""
    rows = [line for line in section(path, begin, end).split("\n") if line.startswith("|")]
    split = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [row for row in split if not set(row[0]) <= set("-: ")]
