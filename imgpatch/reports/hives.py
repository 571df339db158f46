"""How a registry hive changes: keys and values, with type, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imgpatch.errors import FormatError
from imgpatch.formats import regf, registry
from imgpatch.formats.registry import Key, Type, Value

LONGEST = 32
"""Bytes of binary data that are shown."""

NAMES = {t: f"REG_{t.name}" for t in Type}


def describe(before: bytes, after: bytes) -> Sequence[str] | None:
    """Lines for people; None where these are not two hives."""
    if not (before.startswith(regf.SIGNATURE) and after.startswith(regf.SIGNATURE)):
        return None
    base = regf.base_block(before)
    try:
        old = _keys(before)
        new = _keys(after)
    except FormatError:
        return None
    lines = []
    if base is not None and base.dirty:
        lines.append("! was dirty: what its logs hold is in the new one, and is not shown key by key")
    for path in sorted(old.keys() | new.keys(), key=str.lower):
        lines += _key(path, old.get(path), new.get(path))
    return lines


def _keys(data: bytes) -> dict[str, Key]:
    base = regf.base_block(data)
    if base is not None and not base.intact:
        raise FormatError("a hive whose base block is lost")
    return {key.path: key for key in registry.read(data).walk()}


def _key(path: str, old: Key | None, new: Key | None) -> Iterator[str]:
    before: Mapping[str, Value] = {} if old is None else old.values
    after: Mapping[str, Value] = {} if new is None else new.values
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if old is None or new is None:
        yield f"{'+' if old is None else '-'} [{path}]"
    elif names:
        yield f"  [{path}]"
    for name in names:
        was, now = before.get(name), after.get(name)
        if was is not None:
            yield f"-   {shown(was)}"
        if now is not None:
            yield f"+   {shown(now)}"


def shown(value: Value) -> str:
    """`Start (REG_DWORD) 3`."""
    kind = NAMES.get(Type(value.type), "") if value.type in set(Type) else f"type {value.type:#x}"
    return f"{value.name or '(default)'} ({kind}) {_data(value)}"


def _data(value: Value) -> str:
    match value.type:
        case Type.DWORD | Type.QWORD:
            return str(value.number)
        case Type.SZ | Type.EXPAND_SZ:
            return f'"{value.text}"'
        case Type.MULTI_SZ:
            return ", ".join(f'"{text}"' for text in value.texts) or "(empty list)"
        case _:
            more = f" ... {len(value.data)} bytes" if len(value.data) > LONGEST else ""
            return value.data[:LONGEST].hex(" ") + more
