"""Three readers of registry hives that share no code with imgpatch's: regipy, hivex and libregf."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from imgpatch.formats import registry

Values = dict[str, tuple[int, bytes]]
"""Name in small letters -> type and bytes; the one without a name has none."""

Reader = Callable[[bytes, str], Values | None]
"""A hive and the path of a key -> its values; None: no such key."""


def by_hivex(data: bytes, path: str) -> Values | None:
    import hivex

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        hive: Any = hivex.Hivex(file.name)
        node = hive.root()
        for name in filter(None, path.split("\\")):
            node = hive.node_get_child(node, name)
            if node is None:
                return None
        rows = ((hive.value_key(v), hive.value_value(v)) for v in hive.node_values(node))
        return {name.lower(): (kind, bytes(body)) for name, (kind, body) in rows}


def by_libregf(data: bytes, path: str) -> Values | None:
    import pyregf

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        hive: Any = pyregf.file()
        hive.open(file.name)
        try:
            key = hive.get_root_key()
            for name in filter(None, path.split("\\")):
                key = next((k for k in key.sub_keys if k.name.lower() == name.lower()), None)
                if key is None:
                    return None
            return {(v.name or "").lower(): (v.type, bytes(v.data or b"")) for v in key.values}
        finally:
            hive.close()


def by_regipy(data: bytes, path: str) -> Values | None:
    """It shows values decoded, so they are encoded again."""
    from regipy.exceptions import RegistryKeyNotFoundException
    from regipy.registry import RegistryHive

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        hive: Any = RegistryHive(file.name)  # type: ignore[no-untyped-call]
        try:
            key = hive.get_key(f"\\{path}")
        except RegistryKeyNotFoundException:
            return None
        return {
            _regipy_name(v.name): (_TYPES[v.value_type], _raw(v)) for v in key.iter_values(trim_values=False)
        }


_TYPES = {f"REG_{kind.name}": int(kind) for kind in registry.Type}


def _regipy_name(name: str) -> str:
    return "" if name == "(default)" else name.lower()


def _raw(value: Any) -> bytes:
    kind = _TYPES[value.value_type]
    if kind in (4, 11):
        return int(value.value).to_bytes(4 if kind == 4 else 8, "little")
    if kind in (1, 2):
        return f"{value.value}\0".encode("utf-16-le")
    if kind == 7:
        return b"".join((text + "\0").encode("utf-16-le") for text in value.value) + b"\0\0"
    return bytes(value.value)
