"""GRUB's `test` and `[`: strings, numbers and files (grub-core/commands/test.c)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgpatch.guest import Kind
from imgpatch.inspection.grub_files import GrubFiles

_BINARY: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "-eq": lambda a, b: _number(a) == _number(b),
    "-ge": lambda a, b: _number(a) >= _number(b),
    "-gt": lambda a, b: _number(a) > _number(b),
    "-le": lambda a, b: _number(a) <= _number(b),
    "-lt": lambda a, b: _number(a) < _number(b),
    "-ne": lambda a, b: _number(a) != _number(b),
}
_FILES = frozenset({"-d", "-e", "-f", "-s"})
_MAX_DEPTH = 50


def evaluate(words: Sequence[str], files: GrubFiles, root: str) -> bool:
    """What the test says; `-o` binds less than `-a`, and nothing at all is false."""
    return _Test(list(words), files, root).either(0)


class _Test:
    def __init__(self, words: list[str], files: GrubFiles, root: str) -> None:
        self._words = words
        self._pos = 0
        self._files = files
        self._root = root

    def either(self, depth: int) -> bool:
        result = self._both(depth)
        while self._take("-o"):
            result = self._both(depth) or result
        return result

    def _both(self, depth: int) -> bool:
        result = self._single(depth)
        while True:
            if self._take("-a"):
                result = self._single(depth) and result
            elif self._pos < len(self._words) and self._words[self._pos] not in ("-o", ")"):
                result = self._single(depth) and result  # terms side by side are joined by -a
            else:
                return result

    def _single(self, depth: int) -> bool:
        words, pos = self._words, self._pos
        if pos >= len(words) or depth > _MAX_DEPTH:
            self._pos = len(words)
            return False
        if pos + 2 < len(words) and words[pos + 1] in _BINARY:
            self._pos += 3
            return _BINARY[words[pos + 1]](words[pos], words[pos + 2])
        if self._take("!"):
            return not self._single(depth + 1)
        if self._take("("):
            result = self.either(depth + 1)
            self._take(")")
            return result
        if pos + 1 < len(words) and words[pos] in (*_FILES, "-n", "-z"):
            self._pos += 2
            return self._unary(words[pos], words[pos + 1])
        self._pos += 1
        return words[pos] != ""

    def _unary(self, operator: str, operand: str) -> bool:
        if operator in ("-n", "-z"):
            return (operand == "") is (operator == "-z")
        if not operand:
            return False
        stat = self._files.stat(self._files.locate(operand, self._root))
        if stat is None or operator == "-e":
            return stat is not None
        if operator == "-d":
            return stat.kind is Kind.DIRECTORY
        return stat.kind is Kind.FILE and (operator == "-f" or stat.size > 0)

    def _take(self, word: str) -> bool:
        found = self._pos < len(self._words) and self._words[self._pos] == word
        self._pos += found
        return found


def _number(text: str) -> int:
    body = text.strip()[:18]
    sign = -1 if body.startswith("-") else 1
    digits = body.lstrip("-")
    return sign * int(digits) if digits.isascii() and digits.isdigit() else 0
