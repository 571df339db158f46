"""Debian's own SELinux policy, from the package that scripts/judges unpacks: its rules for files, as text."""

from __future__ import annotations

import bz2
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

from imgpatch.formats.path_pattern import literal_start
from tests.conftest import JUDGES

MODULES = JUDGES / "root/usr/share/selinux/default"
SUBSTITUTIONS = JUDGES / "root/etc/selinux/default/contexts/files/file_contexts.subs_dist"

_FILE_CONTEXTS = 0xF97CFF90
"""Begins the section of a policy module package in which its file contexts stand (libsepol, module.h)."""


def file_contexts() -> str:
    """The rules of all modules, the general before the special, as building a policy would sort them.

    Those for home folders are left out: they are templates.
    """
    lines = [line for path in sorted(MODULES.glob("*.pp.bz2")) for line in _rules(path)]
    lines = [line for line in lines if "HOME_" not in line and "ROLE" not in line and "USER" not in line]
    lines.sort(key=lambda line: len(literal_start(line.split()[0])[0]))
    return "\n".join(lines) + "\n"


def _rules(path: Path) -> Iterator[str]:
    data = bz2.decompress(path.read_bytes())
    _, _, count = struct.unpack_from("<3I", data)
    starts = [*struct.unpack_from(f"<{count}I", data, 12), len(data)]
    for start, end in itertools.pairwise(starts):
        if struct.unpack_from("<I", data, start)[0] == _FILE_CONTEXTS:
            lines = data[start + 4 : end].decode().split("\n")
            yield from (line for line in lines if line.strip() and not line.startswith("#"))
