"""Words of a GRUB command as it gets them: variables put in, options told from the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgpatch.formats.grubcfg import PartKind, Word


def expand(word: Word, variables: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """The words that one word becomes: unquoted variables are split at blanks, empty ones vanish."""
    out: list[str] = []
    current: str | None = None
    for kind, text in word.parts():
        if kind is not PartKind.VARIABLE:
            current = (current or "") + (
                text if kind is PartKind.TEXT else _variable(text, variables, arguments)
            )
            continue
        value = _variable(text, variables, arguments)
        if value[:1].isspace() and current is not None:
            out.append(current)
            current = None
        for index, piece in enumerate(value.split()):
            if index and current is not None:
                out.append(current)
                current = None
            current = (current or "") + piece
    return out if current is None else [*out, current]


def _variable(name: str, variables: Mapping[str, str], arguments: Sequence[str]) -> str:
    if name in ("@", "*"):
        return " ".join(arguments)
    if name == "#":
        return str(len(arguments))
    if name == "?":
        return "0"
    if name.isdigit():
        index = int(name[:6])
        return arguments[index - 1] if 0 < index <= len(arguments) else ""
    return variables.get(name, "")


def options_of(words: Sequence[str], *, with_value: set[str]) -> tuple[dict[str, str], list[str]]:
    """Options as name to value (empty where there is none) and the other words."""
    options: dict[str, str] = {}
    others: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        name, equals, value = word.partition("=")
        if not equals and name in with_value and todo:
            value = todo.pop(0)
        options[name] = value
    return options, others
