"""Windows guests changed a little, and what a plan makes of their registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from fixtures import hives, windows
from imgpatch import edition
from imgpatch.formats import registry
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection, inspect
from imgpatch.plan import Choices, Context, Edit, Note, Plan, Transform, make_plan, planned
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS
from imgpatch.transforms.windows import system_hive

Changed = Mapping[str, bytes | None]


def guest(name: str, more: str = "", *, without: str = "", files: Changed | None = None) -> Guest:
    """The guest of a row whose SYSTEM hive has more lines of a `.reg` text, or lacks a piece of it."""
    row = windows.row(name)
    text = windows.system_text(row)
    assert without in text
    data = hives.build(
        text.replace(without, "") + "\n" + more if without else f"{text}\n{more}", name="SYSTEM"
    )
    return windows.guest(row, {system_path(name): data, **(files or {})})


@cache
def system_path(name: str) -> str:
    row = windows.row(name)
    return next(path for path in windows.files(row) if path.lower().endswith("/system32/config/system"))


@dataclass(frozen=True)
class Alone:
    """What one part asks of the SYSTEM hive, by itself."""

    part: system_hive.Part
    __name__: str = "alone"

    def applies(self, inspection: Inspection) -> bool:
        return system_hive.applies(inspection)

    def edits(self, guest: Guest, context: Context) -> Iterator[Edit | Note]:
        return system_hive.asked_by((self.part,), guest, context)


def plan(
    machine: Guest,
    *transforms: Transform | system_hive.Part,
    choices: Choices | None = None,
    edition_name: str = edition.NEWEST,
) -> Plan:
    """By these transforms alone, or by all."""
    chosen = choices or Choices()
    found = inspect(machine, EC2, force_dirty_hives=chosen.force_dirty_hives)
    asked = [Alone(one) if one in system_hive.PARTS else one for one in transforms]
    context = Context(edition.load(edition_name), found, chosen)
    return make_plan(machine, asked or TRANSFORMS, context)  # type: ignore[arg-type]


def after(machine: Guest, made: Plan) -> Guest:
    return planned(machine, {change.path: change.after for change in made.changes})


def system(name: str, machine: Guest, made: Plan) -> registry.Key:
    """The SYSTEM hive as it will be."""
    data = after(machine, made).read(system_path(name))
    assert data is not None
    return registry.read(data)


def value(root: registry.Key, path: str, name: str) -> object:
    """A value as a number, a string or a list; None where there is none."""
    key = root.at(path)
    found = None if key is None else key.value(name)
    if found is None:
        return None
    match found.type:
        case registry.Type.DWORD | registry.Type.QWORD:
            return found.number
        case registry.Type.MULTI_SZ:
            return found.texts
        case registry.Type.SZ | registry.Type.EXPAND_SZ:
            return found.text
        case _:
            return found.data


def notes(made: Plan) -> str:
    return "\n".join(f"{note.kind} {note.rule} {note.text}" for note in made.notes)
