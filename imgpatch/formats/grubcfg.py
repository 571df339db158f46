"""GRUB script (grub.cfg): commands with their place in the text, blocks, conditions and functions.

The grammar is GRUB's own (grub-core/script/yylex.l and parser.y). Nodes hold offsets into the text, which
is kept whole: `Script.replaced` cuts pieces out of it and puts others in, and touches nothing else. Words
are cut by small patterns tried at one place and blocks nest on a stack, so that a file of any size and
depth takes linear time; a general grammar would not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from imgpatch.formats.grubwords import PART
from imgpatch.formats.grubwords import PartKind as PartKind
from imgpatch.formats.grubwords import Word as Word
from imgpatch.formats.grubwords import quoted as quoted

MAX_DEPTH = 100
"""Blocks deeper than this are read as empty: no generated file comes near it."""

_BLANKS = re.compile(r"(?:[ \t\r]|\\\r?\n)+")


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command, perhaps with a block (`menuentry`, `submenu`).

    Attributes:
        end: after its last word, or after the `}` of its block.
        body: the commands of its block; None where it has none.
    """

    words: tuple[Word, ...]
    end: int
    body: tuple[Node, ...] | None = None

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def name(self) -> str | None:
        return self.words[0].literal


@dataclass(frozen=True, slots=True)
class Branch:
    condition: tuple[Node, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class If:
    start: int
    branches: tuple[Branch, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`for` (with the words after it), `while` or `until` (with a condition)."""

    start: int
    kind: str
    words: tuple[Word, ...]
    condition: tuple[Node, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Function:
    start: int
    name: str
    body: tuple[Node, ...]


Node = Command | If | Loop | Function


@dataclass(frozen=True, slots=True)
class Script:
    """A parsed script.

    Attributes:
        problems: what GRUB would not take, each as offset and words; such text is kept but not in `nodes`.
    """

    text: str
    nodes: tuple[Node, ...]
    problems: tuple[tuple[int, str], ...] = ()

    def replaced(self, pieces: Iterable[tuple[int, int, str]]) -> str:
        """The text with each (start, end, new) put in, in this order at one place; none may overlap."""
        out: list[str] = []
        done = 0
        for start, end, new in sorted(pieces, key=lambda piece: piece[:2]):
            out += (self.text[done:start], new)
            done = end
        return "".join(out) + self.text[done:]


def unparse(script: Script) -> str:
    return script.text


Under = tuple[tuple[str, ...], ...]
"""The words of each condition that a command stands under, outermost first; `function` and `loop` too."""


def walk(nodes: Sequence[Node]) -> Iterator[tuple[Command, Under]]:
    """Every command in the order of the text, with the conditions it stands under.

    Commands of conditions come too, under their own words; a block's commands follow the one it belongs to.
    """
    todo: list[tuple[Node, Under]] = [(node, ()) for node in reversed(nodes)]
    while todo:
        node, under = todo.pop()
        todo += reversed([(child, (*under, words)) for child, words in _children(node)])
        if isinstance(node, Command):
            yield node, under


def blocks(nodes: Sequence[Node]) -> Iterator[tuple[Command, ...]]:
    """For the top and for each menu entry: the commands that belong to it, conditional ones too."""
    todo: list[Sequence[Node]] = [nodes]
    while todo:
        found: list[Command] = []
        inner: list[Node] = list(reversed(todo.pop()))
        while inner:
            node = inner.pop()
            if isinstance(node, Command):
                found.append(node)
                if node.body is not None:
                    todo.append(node.body)
            else:
                inner += reversed([child for child, _ in _children(node)])
        yield tuple(found)


def _children(node: Node) -> list[tuple[Node, tuple[str, ...]]]:
    if isinstance(node, Command):
        return [(child, ()) for child in node.body or ()]
    if isinstance(node, Function):
        return [(child, ("function",)) for child in node.body]
    if isinstance(node, Loop):
        return [(child, ("loop",)) for child in (*node.condition, *node.body)]
    found: list[tuple[Node, tuple[str, ...]]] = []
    every: list[str] = []
    for branch in node.branches:
        words = _words(branch.condition)
        every += words
        found += [(child, words) for child in (*branch.condition, *branch.body)]
    denied = tuple(every)
    return found + [(child, denied) for child in node.otherwise]


def _words(condition: Sequence[Node]) -> tuple[str, ...]:
    return tuple(word.raw for node in condition if isinstance(node, Command) for word in node.words)


def assignment(command: Command) -> tuple[str, Word] | None:
    """The variable a `set x=y` or `x=y` sets and its value; None where it is something else."""
    word = command.words[0]
    if word.raw == "set" and len(command.words) > 1:  # GRUB looks at the first argument only
        word = command.words[1]
    name, equals, raw = word.raw.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return None
    return name, Word(word.start + len(name) + 1, raw)


# --- reading -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Frame:
    """A block being read.

    Attributes:
        kind: `top`, `{`, `if`, `loop` or `function`.
        part: which list of nodes is being filled: `condition`, `body`, `otherwise`.
    """

    kind: str
    start: int
    words: tuple[Word, ...] = ()
    part: str = "body"
    condition: list[Node] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)

    def add(self, node: Node) -> None:
        (self.condition if self.part == "condition" else self.body).append(node)

    def finish_branch(self) -> None:
        self.branches.append(Branch(tuple(self.condition), tuple(self.body)))
        self.condition, self.body = [], []


@functools.lru_cache(maxsize=4)  # one plan reads the same few scripts over and over
def parse(text: str) -> Script:
    """Reads a script; never fails, however wrong the text is."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._frames = [_Frame("top", 0)]
        self._words: list[Word] = []
        self._problems: list[tuple[int, str]] = []

    def read(self) -> Script:
        pos = 0
        while pos < len(self._text):
            pos = self._step(pos)
        self._end_command()
        while len(self._frames) > 1:
            self._problem(self._frames[-1].start, "is never closed")
            self._close(len(self._text))
        return Script(self._text, tuple(self._frames[0].body), tuple(self._problems))

    def _step(self, pos: int) -> int:
        text = self._text
        blanks = _BLANKS.match(text, pos)
        if blanks is not None:
            return blanks.end()
        char = text[pos]
        if char == "#":
            comment_end = text.find("\n", pos)
            return len(text) if comment_end < 0 else comment_end
        if char in "\n;|&<>":
            self._end_command()
            return pos + 1
        if char == "{":
            self._open_brace(pos)
            return pos + 1
        if char == "}":
            self._close_brace(pos)
            return pos + 1
        end = self._word_end(pos)
        if end is None:
            self._problem(pos, "a quote is never closed")
            return len(text)
        self._word(Word(pos, text[pos:end]))
        return end

    def _word_end(self, pos: int) -> int | None:
        start = pos
        while pos < len(self._text):
            match = PART.match(self._text, pos)
            if match is None:
                break
            pos = match.end()
        return None if self._text[pos : pos + 1] in ("'", '"') or pos == start else pos

    def _word(self, word: Word) -> None:
        if self._words or not self._keyword(word):
            self._words.append(word)

    def _keyword(self, word: Word) -> bool:
        """Whether the first word of a command was a reserved one, and what it starts or ends is done."""
        frame = self._frames[-1]
        match word.raw:
            case "if":
                self._frames.append(_Frame("if", word.start, part="condition"))
            case "while" | "until":
                self._frames.append(_Frame("loop", word.start, (word,), "condition"))
            case "then" | "do" if frame.part == "condition":
                frame.part = "body"
            case "elif" if frame.kind == "if" and frame.part == "body":
                frame.finish_branch()
                frame.part = "condition"
            case "else" if frame.kind == "if" and frame.part == "body":
                frame.finish_branch()
                frame.part = "otherwise"
            case "fi" if frame.kind == "if":
                self._close(word.end)
            case "done" if frame.kind == "loop":
                self._close(word.end)
            case "then" | "do" | "elif" | "else" | "fi" | "done":
                self._problem(word.start, f"`{word.raw}` where nothing asks for it")
            case _:
                return False
        return True

    def _end_command(self) -> None:
        words, self._words = tuple(self._words), []
        if not words:
            return
        if words[0].raw == "for":
            self._frames.append(_Frame("loop", words[0].start, words, "condition"))
        elif words[0].raw == "function" and len(words) == 2:
            self._words = list(words)  # its brace may stand on a line of its own
        else:
            self._frames[-1].add(Command(words, words[-1].end))

    def _open_brace(self, pos: int) -> None:
        words, self._words = tuple(self._words), []
        if not words:
            self._problem(pos, "`{` without a command")
        kind = "function" if words and words[0].raw == "function" else "{"
        self._frames.append(_Frame(kind, words[0].start if words else pos, words))

    def _close_brace(self, pos: int) -> None:
        self._end_command()
        if not any(frame.kind in ("{", "function") for frame in self._frames):
            self._problem(pos, "`}` without `{`")
            return
        while self._frames[-1].kind not in ("{", "function"):
            self._problem(self._frames[-1].start, "is never closed")
            self._close(pos)
        self._close(pos + 1)

    def _close(self, end: int) -> None:
        frame = self._frames.pop()
        body = tuple(frame.body) if len(self._frames) < MAX_DEPTH else ()
        node: Node | None = None
        if frame.kind == "if":
            if frame.part != "otherwise":
                frame.finish_branch()
                body = ()
            kept = len(self._frames) < MAX_DEPTH
            node = If(frame.start, tuple(frame.branches) if kept else (), body)
        elif frame.kind == "loop":
            node = Loop(frame.start, frame.words[0].raw, frame.words, tuple(frame.condition), body)
        elif frame.kind == "function":
            node = Function(frame.start, frame.words[1].raw if len(frame.words) > 1 else "", body)
        elif frame.words:
            node = Command(frame.words, end, body)
        if node is not None:
            self._frames[-1].add(node)

    def _problem(self, pos: int, what: str) -> None:
        self._problems.append((pos, what))
