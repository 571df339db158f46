"""Edits of registry hives: bytes in, bytes out, made by hivex and read back by two other readers.

hivex is C code over bytes that may be hostile, and it opens a hive that is not clean without a word: it gets
only hives that `regf.check` went through, in a process of its own with limits. What comes back must differ
from what went in by the edits and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgpatch.errors import FormatError, VerifyError
from imgpatch.formats import regf, registry
from imgpatch.formats.registry import Key, Type, Value

SECONDS = 60
"""That an edit may take; a hive of 100 MB takes one."""

MEMORY = 4 << 30
"""Bytes of address space of the process that has hivex in it."""


@dataclass(frozen=True, slots=True)
class SetValue:
    """A value as it is to be; the keys of its path are made where there are none."""

    path: str
    value: Value


@dataclass(frozen=True, slots=True)
class DropValue:
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class DropKey:
    """The key and all below it."""

    path: str


RegistryEdit = SetValue | DropValue | DropKey

Model = dict[str, Mapping[str, Value]]
"""Every key's path and values, both by small letters."""


def edited(data: bytes, edits: Sequence[RegistryEdit]) -> bytes:
    """The hive after the edits, in order; the same bytes where they change nothing.

    Raises:
        FormatError: the hive is damaged or dirty, or hivex cannot make such an edit soundly.
        VerifyError: what hivex wrote is not what was asked for.
    """
    base = regf.base_block(data)
    if base is not None and base.dirty:
        raise FormatError("the hive is not clean: its logs must be replayed before it is edited")
    root = registry.read(data)
    before = model(root)
    wanted = dict(before)
    for dropping, group in itertools.groupby(edits, lambda edit: isinstance(edit, DropKey)):
        if dropping:
            _model_drop(wanted, [edit.path.lower() for edit in group])
        else:
            for edit in group:
                _model_edit(wanted, edit)
    if wanted == before:
        return data
    for edit in edits:
        if (reason := obstacle(root, edit)) is not None:
            raise FormatError(reason)
    after = _through_hivex(data, edits)
    found = registry.read(after)
    if (made := model(found)) != wanted:
        raise VerifyError(f"the edited hive differs from what was asked for: {_difference(wanted, made)}")
    _agrees_with_regipy(after, [edit for edit in edits if isinstance(edit, SetValue)], found)
    return after


def model(root: Key) -> Model:
    return {key.path.lower(): key.values for key in root.walk()}


def _model_drop(wanted: Model, paths: Sequence[str]) -> None:
    """All at once, since it goes over every key there is."""
    names, prefixes = frozenset(paths), tuple(f"{path}\\" for path in paths)
    for path in [p for p in wanted if p in names or p.startswith(prefixes)]:
        del wanted[path]


def _model_edit(wanted: Model, edit: RegistryEdit) -> None:
    path = edit.path.lower()
    if isinstance(edit, DropValue):
        if path in wanted:
            wanted[path] = {n: value for n, value in wanted[path].items() if n != edit.name.lower()}
    elif isinstance(edit, SetValue):
        names = path.split("\\")
        for i in range(1, len(names) + 1):
            wanted.setdefault("\\".join(names[:i]), {})
        known = wanted[path].get(edit.value.name.lower(), edit.value)
        name = edit.value.name.lower()
        wanted[path] = {**wanted[path], name: replace(edit.value, name=known.name)}


def obstacle(root: Key, edit: RegistryEdit) -> str | None:
    """What hivex would do wrong: it rewrites all values of a key, and long ones without their segments."""
    key = root.at(edit.path)
    if key is None:
        return None
    if isinstance(edit, DropKey):
        named = next((k for k in key.walk() if k.has_class), None)
        return None if named is None else f"{named.path} has a class name, which belongs to what made the key"
    long = next((v for v in key.values.values() if len(v.data) > regf.SEGMENT), None)
    if long is None:
        return None
    return f"{edit.path} holds {long.name!r} of {len(long.data)} bytes, which hivex cannot keep"


def _difference(wanted: Model, found: Model) -> str:
    paths = sorted(p for p in wanted.keys() | found.keys() if wanted.get(p) != found.get(p))
    return ", ".join(paths[:5])


def _agrees_with_regipy(data: bytes, edits: Sequence[SetValue], root: Key) -> None:
    """A reader that shares no code with the others finds each value that was set and is still there."""
    from regipy import registry as regipy  # slow to import, and seldom needed

    with tempfile.NamedTemporaryFile(prefix="imgpatch-hive-") as file:
        file.write(data)
        file.flush()
        hive: Any = regipy.RegistryHive(file.name)  # type: ignore[no-untyped-call]
        for edit in edits:
            ours = None if (key := root.at(edit.path)) is None else key.value(edit.value.name)
            if ours is None:
                continue
            values = hive.get_key(f"\\{edit.path}").iter_values(trim_values=False)
            name = edit.value.name or "(default)"
            theirs = next((v.value for v in values if v.name.lower() == name.lower()), None)
            if _as_regipy(ours) != theirs:
                raise VerifyError(f"{edit.path}: regipy reads {name} as {theirs!r}, not {_as_regipy(ours)!r}")


def _as_regipy(value: Value) -> Any:
    match value.type:
        case Type.DWORD | Type.QWORD:
            return value.number
        case Type.SZ | Type.EXPAND_SZ:
            return value.text
        case Type.MULTI_SZ:
            return list(value.texts)
        case _:
            return value.data


# --- the process with hivex in it --------------------------------------------------------------------


def _through_hivex(data: bytes, edits: Sequence[RegistryEdit]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="imgpatch-hive-") as folder:
        path = Path(folder) / "hive"
        path.write_bytes(data)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "imgpatch.formats.hive", str(path)],
                input=json.dumps([_row(edit) for edit in edits]),
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise FormatError(f"hivex did not end within {SECONDS} s") from error
        if done.returncode != 0:
            said = done.stderr.strip().split("\n")[-1]
            raise FormatError(f"hivex cannot edit the hive: {said or f'exit {done.returncode}'}")
        return path.read_bytes()


def _row(edit: RegistryEdit) -> list[str | int]:
    if isinstance(edit, DropKey):
        return ["drop key", edit.path]
    if isinstance(edit, DropValue):
        return ["drop value", edit.path, edit.name]
    value = edit.value
    return ["set", edit.path, value.name, value.type, base64.b64encode(value.data).decode()]


def _main(path: str) -> None:
    import resource

    import hivex

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hive = hivex.Hivex(path, write=True)
    for action, key, *rest in json.load(sys.stdin):
        _edit_one(hive, action, key, rest)
    hive.commit(path)


def _edit_one(hive: Any, action: str, path: str, rest: list[Any]) -> None:
    node = hive.root()
    for name in filter(None, path.split("\\")):
        child = hive.node_get_child(node, name)
        if child is None and action != "set":
            return
        node = hive.node_add_child(node, name) if child is None else child
    if action == "drop key":
        hive.node_delete_child(node)
    elif action == "drop value":
        kept = [v for v in hive.node_values(node) if hive.value_key(v).lower() != rest[0].lower()]
        hive.node_set_values(node, [_hivex_value(hive, value) for value in kept])
    else:
        name, kind, data = rest
        known = (hive.value_key(value) for value in hive.node_values(node))
        name = next((k for k in known if k.lower() == name.lower()), name)
        hive.node_set_value(node, {"key": name, "t": kind, "value": binascii.a2b_base64(data)})


def _hivex_value(hive: Any, value: int) -> dict[str, Any]:
    kind, data = hive.value_value(value)
    return {"key": hive.value_key(value), "t": kind, "value": data}


if __name__ == "__main__":
    _main(sys.argv[1])
