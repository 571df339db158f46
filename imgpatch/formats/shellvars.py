"""Files of shell assignments that a shell sources: /etc/default/grub, /etc/default/grub.d, /etc/sysconfig.

The text is cut into assignments and whatever stands between them; joining the pieces gives the text
back. Quotes and substitutions nest, so words are found with a stack and not with a regular
expression: linear in the size of the file, and as deep as the file likes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from imgpatch.errors import FormatError

_RUN = re.compile(r"[^\\'\"`$(){} \t\r\n;&|<>]+")
_BLANKS = re.compile(r"(?:[ \t\r]|\\\n)+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=)")
_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_ANSI_QUOTED = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL)
_SAFE_BARE = re.compile(r"[A-Za-z0-9_./:=,+@%^-]*")
_CLOSED_BY = {"if": "fi", "case": "esac", "for": "done", "while": "done", "until": "done", "{": "}", "(": ")"}
_SEPARATORS = frozenset("\n;&|<>()")


@dataclass(frozen=True, slots=True)
class Other:
    """Text between assignments: comments, blank lines, commands, what is outside the grammar."""

    text: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `NAME=value`.

    Attributes:
        operator: `=` or bash's `+=`.
        raw: the value as written, quotes and all.
        certain: whether it is always carried out (not within `if`, a loop or a function).
    """

    name: str
    operator: str
    raw: str
    certain: bool = True

    @property
    def text(self) -> str:
        return f"{self.name}{self.operator}{self.raw}"


Piece = Other | Assignment


def parse(text: str) -> tuple[Piece, ...]:
    """Cuts the text; a quote that is never closed makes everything from its command on `Other`."""
    pieces: list[Piece] = []
    done = 0
    for words, certain in _scanned(text).commands:
        for start, end in _assignment_words(text, words):
            match = _ASSIGNMENT.match(text, start)
            if match is None:
                continue
            pieces.append(Other(text[done:start]))
            pieces.append(Assignment(match[1], match[2], text[match.end() : end], certain))
            done = end
    pieces.append(Other(text[done:]))
    return tuple(piece for piece in pieces if piece.text)


def unparse(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def is_sound(text: str) -> bool:
    """Whether every quote and construct is closed, so that a line added at the end is always carried out."""
    return _scanned(text).closed and not text.endswith(("\\", "\\\n", "\\\r\n"))


def values(pieces: Sequence[Piece], before: Mapping[str, str | None] | None = None) -> dict[str, str | None]:
    """What each variable holds in the end, as a shell would have it; None where only a shell can tell.

    `before` is what the variables held before this file was sourced.
    """
    found: dict[str, str | None] = dict(before or {})
    for piece in pieces:
        if not isinstance(piece, Assignment):
            continue
        value = decode(piece.raw, found)
        if piece.operator == "+=" and value is not None:
            old = found.get(piece.name, "")
            value = None if old is None else old + value
        found[piece.name] = value if piece.certain else None
    return found


def last_index(pieces: Sequence[Piece], name: str) -> int | None:
    """Where the assignment stands that wins; None where there is none, or only an uncertain one."""
    for index in range(len(pieces) - 1, -1, -1):
        piece = pieces[index]
        if isinstance(piece, Assignment) and piece.name == name:
            return index if piece.certain else None
    return None


def with_value(text: str, name: str, value: str) -> str:
    """The text with the winning assignment of `name` holding `value`, or a line more at its end.

    Raises:
        FormatError: a quote is open at the end, so no line can be added.
    """
    return _edited(text, name, lambda raw: requoted(raw, value), encode(value), ("=",))


def with_word(text: str, name: str, word: str) -> str:
    """The text with one word more at the end of a list held by `name` (GRUB_CMDLINE_LINUX).

    Raises:
        FormatError: as `with_value`.
    """
    pieces = parse(text)
    known = any(isinstance(piece, Assignment) and piece.name == name for piece in pieces)
    fresh = f'"${name} {word}"' if known else encode(word, quoted=True)
    return _edited(text, name, lambda raw: _with_word(raw, word), fresh, ("=", "+="))


def with_words_mapped(text: str, change: Callable[[str, str], str | None]) -> str:
    """The text with `change(name, word)` for every word of every value; None takes the word out.

    Words are what blanks separate in the value as written; the value's own quotes are not part of them.
    """
    pieces: list[Piece] = []
    for piece in parse(text):
        if isinstance(piece, Assignment):
            raw = _mapped(piece.raw, lambda word, name=piece.name: change(name, word))  # type: ignore[misc]
            piece = piece if raw == piece.raw else replace(piece, raw=raw)
        pieces.append(piece)
    return unparse(pieces)


def encode(value: str, *, quoted: bool = False) -> str:
    """The value as a shell word, in double quotes where it needs any."""
    if not quoted and value and _SAFE_BARE.fullmatch(value):
        return value
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def requoted(raw: str, value: str) -> str:
    """The value as a shell word, in the quotes that `raw` has where they can hold it."""
    if _single_quoted(raw) and "'" not in value:
        return f"'{value}'"
    return encode(value, quoted=_double_quoted(raw))


def decode(raw: str, variables: Mapping[str, str | None] | None = None) -> str | None:
    """The value a shell makes of a word; None where that takes running something."""
    known = variables or {}
    out: list[str] = []
    pos = 0
    quoted = False
    while pos < len(raw):
        char = raw[pos]
        if char == '"':
            quoted = not quoted
            pos += 1
        elif char == "'" and not quoted:
            end = raw.index("'", pos + 1)
            out.append(raw[pos + 1 : end])
            pos = end + 1
        elif char == "\\":
            out.append(_unescaped(raw[pos : pos + 2], quoted=quoted))
            pos += 2
        elif char == "$":
            match = _REFERENCE.match(raw, pos)
            value = None if match is None else known.get(match[1] or match[2], "")
            if match is None or value is None:
                return None
            out.append(value)
            pos = match.end()
        elif char == "`" or (char in "()" and not quoted):
            return None
        else:
            out.append(char)
            pos += 1
    return "".join(out)


def _unescaped(pair: str, *, quoted: bool) -> str:
    if pair == "\\\n":
        return ""
    return pair[1:] if not quoted or pair[1:] in '$`"\\' else pair


def _edited(
    text: str, name: str, change: Callable[[str], str], fresh: str, operators: tuple[str, ...]
) -> str:
    """The winning assignment changed where it has one of the operators; else a line `name=fresh` more."""
    pieces = list(parse(text))
    index = last_index(pieces, name)
    if index is not None:
        piece = pieces[index]
        if isinstance(piece, Assignment) and piece.operator in operators:
            pieces[index] = replace(piece, raw=change(piece.raw))
            return unparse(pieces)
    if not is_sound(text):
        raise FormatError("a quote or construct is still open at the end of the file: nothing can be added")
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = newline if text and not text.endswith("\n") else ""
    return f"{text}{gap}{name}={fresh}{newline}"


def _with_word(raw: str, word: str) -> str:
    if _double_quoted(raw) or _single_quoted(raw):
        inner = raw[1:-1]
        gap = " " if inner and not inner[-1].isspace() else ""
        return f"{raw[0]}{inner}{gap}{word}{raw[-1]}"
    if _SAFE_BARE.fullmatch(raw):
        return f'"{raw} {word}"' if raw else f'"{word}"'
    return f'{raw}" {word}"'  # quotes within the word: a shell joins what touches


def _mapped(raw: str, change: Callable[[str], str | None]) -> str:
    cuts = re.split(r"(\s+)", raw)
    out: list[str] = []
    for index, cut in enumerate(cuts):
        if index % 2 or not cut:
            out.append(cut)
            continue
        head = cut[0] if cut[0] in "\"'" else ""
        body = cut[len(head) :]
        tail = body[-1] if body and body[-1] in "\"'" and not body.endswith(("\\'", '\\"')) else ""
        body = body[: len(body) - len(tail)]
        quoting = any(char in body for char in "\"'\\$`")
        new = change(body) if body and not quoting else body
        if new is None and not head and out:
            out.pop()  # the blank before it goes with the word
        out.append(head + (new or "") + tail)
    return "".join(out)


def _double_quoted(raw: str) -> bool:
    return len(raw) >= 2 and raw[0] == '"' and _word_end(raw, 1, ['"'], once=True) == len(raw)


def _single_quoted(raw: str) -> bool:
    return len(raw) >= 2 and raw[0] == "'" and raw.find("'", 1) == len(raw) - 1


def _line_end(text: str, pos: int) -> int:
    end = text.find("\n", pos)
    return len(text) if end < 0 else end


@dataclass(frozen=True, slots=True)
class _Scan:
    """The simple commands of a text, each with whether it is always carried out.

    Attributes:
        closed: whether nothing is open at the end.
    """

    commands: list[tuple[list[tuple[int, int]], bool]]
    closed: bool


def _scanned(text: str) -> _Scan:
    commands: list[tuple[list[tuple[int, int]], bool]] = []
    inside: list[str] = []
    pos = 0
    while pos < len(text):
        char = text[pos]
        if char == "#":
            pos = _line_end(text, pos)
        elif char in " \t\r" or char in _SEPARATORS or text.startswith("\\\n", pos):
            _nest(inside, char)
            pos += 2 if char == "\\" else 1
        else:
            words = _command(text, pos)
            if words is None:
                return _Scan(commands, closed=False)
            commands.append((words, not inside))
            _nest(inside, text[words[0][0] : words[0][1]])
            if len(words) > 1 and text[words[-1][0] : words[-1][1]] == "{":
                inside.append("{")
            pos = words[-1][1]
    return _Scan(commands, closed=not inside)


def _nest(inside: list[str], word: str) -> None:
    """Opens or closes what a word at the beginning of a command opens or closes."""
    if word in _CLOSED_BY:
        inside.append(word)
    elif inside and word == _CLOSED_BY[inside[-1]]:
        inside.pop()


def _command(text: str, pos: int) -> list[tuple[int, int]] | None:
    """The words of one simple command; None where a quote in it is never closed."""
    words = []
    while pos < len(text):
        blanks = _BLANKS.match(text, pos)
        if blanks is not None:
            pos = blanks.end()
            continue
        if text[pos] in _SEPARATORS or text[pos] == "#":
            break
        end = _word_end(text, pos, [])
        if end is None or end == pos:
            return None
        words.append((pos, end))
        pos = end
    return words


def _assignment_words(text: str, words: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Those words that set a variable: `A=1 command` sets none, `export A=1 B` sets A."""
    first = text[words[0][0] : words[0][1]]
    if first == "export":
        return words[1:]
    return words if all(_ASSIGNMENT.match(text, start, end) for start, end in words) else ()


def _word_end(text: str, pos: int, inside: list[str], *, once: bool = False) -> int | None:
    """Where the word ends that starts at `pos`; None where something in it is never closed.

    `inside` holds what is open: `"`, `` ` ``, `)` for `$(`, `}` for `${`. With `once` the walk stops as
    soon as nothing is open any more.
    """
    while pos < len(text):
        run = _RUN.match(text, pos)
        if run is not None:
            pos = run.end()
            continue
        char = text[pos]
        top = inside[-1] if inside else ""
        if not inside and (char in " \t\r" or char in _SEPARATORS) and not text.startswith("\\\n", pos):
            return pos
        if char == "\\":
            pos += 2
        elif top != '"' and text.startswith("$'", pos):
            ansi = _ANSI_QUOTED.match(text, pos)
            if ansi is None:
                return None
            pos = ansi.end()
        elif char == "'" and top != '"':
            end = text.find("'", pos + 1)
            if end < 0:
                return None
            pos = end + 1
        else:
            pos += _turned(text, pos, inside)
            if once and not inside:
                return pos
    return None if inside else min(pos, len(text))


def _turned(text: str, pos: int, inside: list[str]) -> int:
    """Opens or closes what the character at `pos` opens or closes; how many characters that took."""
    char = text[pos]
    if inside and char == inside[-1]:
        inside.pop()
    elif char == "$" and text[pos + 1 : pos + 2] in ("(", "{"):
        inside.append(")" if text[pos + 1] == "(" else "}")
        return 2
    elif char in '"`':
        inside.append(char)
    elif char == "(" and inside and inside[-1] == ")":
        inside.append(")")
    return 1
