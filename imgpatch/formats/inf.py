"""The set-up information files of Windows drivers (INF), as far as `[Version]` says what they are for."""

from __future__ import annotations

import codecs


def version(data: bytes) -> dict[str, str]:
    """The settings of the section Version, names in small letters, without their quotes."""
    section = ""
    found: dict[str, str] = {}
    for line in _text(data).split("\n"):
        line = line.partition(";")[0].strip()
        if line.startswith("["):
            section = line[1:].partition("]")[0].strip().lower()
        elif section == "version" and "=" in line:
            name, _, value = line.partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _text(data: bytes) -> str:
    """UTF-16 where it says so; else bytes, of which those of interest are ASCII."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("latin-1")
