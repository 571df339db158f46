r"""GRUB's environment block: `name=value` lines in a file of fixed size, filled up with `#`.

GRUB writes it by disk blocks, without the file system's help, so its size must never change
(GRUB manual, "The GRUB environment block"). A backslash or newline in a value has a backslash before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgpatch.errors import FormatError

SIGNATURE = b"# GRUB Environment Block\n"
SIZE = 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its newline; `name` is None for a comment, the filling, or anything else."""

    raw: bytes
    name: str | None = None
    value: str = ""


def is_block(data: bytes) -> bool:
    """Whether GRUB takes it for an environment block."""
    return data.startswith(SIGNATURE)


def parse(data: bytes) -> tuple[Line, ...]:
    lines = []
    pos = 0
    while pos < len(data):
        end = _line_end(data, pos)
        lines.append(_line(data[pos:end]))
        pos = end
    return tuple(lines)


def unparse(lines: tuple[Line, ...]) -> bytes:
    return b"".join(line.raw for line in lines)


def values(data: bytes) -> dict[str, str]:
    """What `load_env` sets; nothing where the signature is not there."""
    if not is_block(data):
        return {}
    return {line.name: line.value for line in parse(data) if line.name is not None}


def created(settings: Mapping[str, str]) -> bytes:
    """A new block."""
    return with_values(SIGNATURE.ljust(SIZE, b"#"), settings)


def with_values(data: bytes, settings: Mapping[str, str | None]) -> bytes:
    """The block with these variables set, or taken out where None, in a file of the same size.

    Raises:
        FormatError: it is no environment block, or there is no room for the values.
    """
    if not is_block(data):
        raise FormatError("the GRUB environment block does not start with its signature line")
    todo = dict(settings)
    out: list[bytes] = []
    last = 1
    for line in parse(data):
        if line.name is not None and line.name in settings:
            value = todo.pop(line.name, None)
            if value is not None:
                out.append(_encoded(line.name, value))
                last = len(out)
            continue
        out.append(line.raw)
        if line.name is not None:
            last = len(out)
    out[last:last] = [_encoded(name, value) for name, value in todo.items() if value is not None]
    after = _fitted(b"".join(out), len(data))
    read_back = values(after)
    if any(read_back.get(name) != value for name, value in settings.items()):
        raise FormatError("the GRUB environment block has a line that takes in what is written after it")
    return after


def describe(before: bytes | None, after: bytes | None) -> list[str] | None:
    """The variables a block gains and loses, without its filling; None: these are no blocks."""
    if not all(data is None or is_block(data) for data in (before, after)):
        return None
    old, new = (values(data or b"") for data in (before, after))
    lines = [f"- {name}={value}" for name, value in old.items() if new.get(name) != value]
    lines += [f"+ {name}={value}" for name, value in new.items() if old.get(name) != value]
    return lines


def _fitted(body: bytes, size: int) -> bytes:
    """The block at its old size; one that was too short for its new values may grow to GRUB's own size."""
    tail = b"\n" if body.endswith(b"#\n") else b""  # an editor's newline after the filling
    content = body[: len(body) - len(tail)].rstrip(b"#")
    if content and not content.endswith(b"\n"):
        raise FormatError("the GRUB environment block has no newline before its filling")
    wanted = size - len(tail)
    if len(content) > wanted and size < SIZE:
        wanted = SIZE
    if len(content) > wanted:
        raise FormatError(
            f"the GRUB environment block has no room: {len(content)} bytes wanted, {wanted} there"
        )
    return content.ljust(wanted, b"#") + tail


def _encoded(name: str, value: str) -> bytes:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\\n")
    return f"{name}={escaped}\n".encode("utf-8", "surrogateescape")


def _line_end(data: bytes, pos: int) -> int:
    """After the newline that ends the line; one behind a backslash does not."""
    while True:
        end = data.find(b"\n", pos)
        if end < 0:
            return len(data)
        slashes = end - len(data[pos:end].rstrip(b"\\")) - pos
        if slashes % 2 == 0:
            return end + 1
        pos = end + 1


def _line(raw: bytes) -> Line:
    text = raw.decode("utf-8", "surrogateescape")
    name, equals, value = text.removesuffix("\n").partition("=")
    if not equals or text.startswith("#") or not text.endswith("\n"):
        return Line(raw)
    out = []
    pos = 0
    while pos < len(value):
        if value[pos] == "\\" and pos + 1 < len(value):
            pos += 1
        out.append(value[pos])
        pos += 1
    return Line(raw, name, "".join(out))
