"""Small cpio archives for tests."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence

from imgpatch.formats import cpio


def archive(
    files: Mapping[str, bytes],
    *,
    directories: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
    checked: bool = False,
    padding: int = 512,
) -> bytes:
    """Directories, links and files in this order, a trailer, and NULs as GNU cpio pads."""
    rows = [
        *((name, b"", stat.S_IFDIR | 0o755) for name in directories),
        *((name, target.encode(), stat.S_IFLNK | 0o777) for name, target in (links or {}).items()),
        *((name, data, stat.S_IFREG | 0o644) for name, data in files.items()),
    ]
    body = b"".join(
        cpio.make_entry(name, data, mode=mode, mtime=1_700_000_000, ino=number, checked=checked)
        for number, (name, data, mode) in enumerate(rows, 1)
    )
    body += cpio.trailer(checked=checked)
    return body + b"\0" * (-len(body) % padding)
