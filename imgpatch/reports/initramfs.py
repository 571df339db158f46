"""What an initramfs gains, loses and changes, in words."""

from __future__ import annotations

from imgpatch.errors import FormatError
from imgpatch.formats.cpio import Entry
from imgpatch.formats.initramfs import Initramfs, read


def describe(before: bytes | None, after: bytes | None) -> list[str]:
    """What an initramfs gains, loses and changes, as lines for people; `+`, `-` and `~` lead them."""
    old, new = _described(before), _described(after)
    if isinstance(old, str) or isinstance(new, str):
        return [line for line in (old, new) if isinstance(line, str)]
    old_files = old.files if old else {}
    new_files = new.files if new else {}
    lines = [f"{_summary(before, old)} -> {_summary(after, new)}"]
    for path in sorted({*old_files, *new_files}):
        was, now = old_files.get(path), new_files.get(path)
        if was is None and now is not None:
            lines.append(f"+ {path}{_size(now)}")
        elif now is None and was is not None:
            lines.append(f"- {path}{_size(was)}")
        elif was is not None and now is not None and _differ(was, now):
            lines.append(f"~ {path} ({was.size} -> {now.size} bytes)")
    return lines


def _described(data: bytes | None) -> Initramfs | str | None:
    if data is None:
        return None
    try:
        return read(data)
    except FormatError as error:
        return f"cannot be read: {error}"


def _summary(data: bytes | None, archive: Initramfs | None) -> str:
    if data is None or archive is None:
        return "nothing"
    parts = " + ".join(segment.compression for segment in archive.segments)
    return f"{parts}, {len(data)} bytes, {len(archive.files)} entries"


def _size(entry: Entry) -> str:
    return "/" if entry.is_directory else f" ({entry.size} bytes)"


def _differ(was: Entry, now: Entry) -> bool:
    return (was.mode, was.size, was.crc) != (now.mode, now.size, now.crc)
