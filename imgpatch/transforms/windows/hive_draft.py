"""Edits of one hive gathered with their reasons, and the files they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from imgpatch.errors import FormatError
from imgpatch.formats.hive import DropKey, DropValue, RegistryEdit, SetValue, edited, obstacle
from imgpatch.formats.registry import Key, Type, Value
from imgpatch.inspection.windows.hives import Hive
from imgpatch.plan import OWN_RULE, Edit, Note, NoteKind, Reason

_TEXTS = (Type.SZ, Type.EXPAND_SZ, Type.MULTI_SZ)


@dataclass(slots=True)
class HiveDraft:
    """A hive and what is to become of it; what is so already is not asked for."""

    hive: Hive
    wanted: list[RegistryEdit] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    hindered: list[Note] = field(default_factory=list)

    @property
    def root(self) -> Key:
        return self.hive.root

    def value(self, path: str, name: str) -> Value | None:
        """As it will be."""
        for edit in reversed(self.wanted):
            if isinstance(edit, SetValue) and _same(edit.path, path) and _same(edit.value.name, name):
                return edit.value
        key = self.root.at(path)
        return None if key is None else key.value(name)

    def set_number(self, key: Key, name: str, number: int, reason: Reason) -> None:
        value = key.value(name)
        if value is None or value.number != number or value.type in _TEXTS:
            wide_one = value is not None and value.type == Type.QWORD
            kind = Type.QWORD if wide_one else Type.DWORD  # what Windows takes for a number
            data = number.to_bytes(8 if wide_one else 4, "little")
            self._want(SetValue(key.path, Value(name, kind, data)), reason)

    def set_text(self, key: Key, name: str, text: str, reason: Reason) -> None:
        value = key.value(name)
        if value is None or value.text != text:
            kind = Type.SZ if value is None else value.type
            self._want(SetValue(key.path, Value(name, kind, wide(text))), reason)

    def set_value(self, path: str, value: Value, reason: Reason) -> None:
        key = self.root.at(path)
        known = None if key is None else key.value(value.name)
        if known is None or (known.type, known.data) != (value.type, value.data):
            self._want(SetValue(path, value), reason)

    def drop_value(self, key: Key, name: str, reason: Reason) -> None:
        if key.value(name) is not None:
            self._want(DropValue(key.path, name), reason)

    def drop_key(self, key: Key, reason: Reason) -> None:
        self._want(DropKey(key.path), reason)

    def _want(self, edit: RegistryEdit, reason: Reason) -> None:
        if (why := obstacle(self.root, edit)) is not None:
            text = f"{self.hive.path}: what {reason.rule} asks for is not done in one key: {why}"
            note = Note(NoteKind.WARNING, reason.rule, text)
            self.hindered += [note] if note not in self.hindered else []
            return
        self.wanted.append(edit)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def edits(self) -> Iterator[Edit | Note]:
        """The hive, and its logs emptied: what they held is in it, and they must not be replayed over it."""
        yield from self.hindered
        if not self.wanted:
            return
        try:
            after = edited(self.hive.data, self.wanted)
        except FormatError as error:
            rules = ", ".join(dict.fromkeys(reason.rule for reason in self.reasons))
            text = f"{self.hive.path} is left as it is, without what {rules} asks for: {error}"
            yield Note(NoteKind.WARNING, self.reasons[0].rule, text)
            return
        replayed = (Reason(OWN_RULE, self.hive.unfinished),) if self.hive.unfinished else ()
        yield Edit(self.hive.path, after, (*replayed, *self.reasons))
        for log in self.hive.logs:
            text = "the hive has all that this log holds, and Windows must not replay it over the changes"
            yield Edit(log, b"", (Reason(OWN_RULE, text),))


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def wide(text: str) -> bytes:
    """As REG_SZ keeps it."""
    return text.encode("utf-16-le", "surrogatepass") + b"\0\0"


def wide_list(texts: Iterable[str]) -> bytes:
    """As REG_MULTI_SZ keeps it."""
    return b"".join(wide(text) for text in texts) + b"\0\0"
