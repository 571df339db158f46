"""fstab(5), lossless: each line is the pieces it was cut into, and an edit replaces one of them.

The two readers of a guest differ, and both are kept in mind:

- libmount (mount -a, findmnt) wants fs_spec, fs_file and fs_vfstype; fs_freq and fs_passno must be
  whole numbers where given, what follows them is passed over;
- getmntent(3) of the C library (systemd-fstab-generator) takes what it can and never refuses a line.

A comment starts a line, after blanks if there are any. `#` elsewhere is an ordinary character
(`sshfs#user@host:`), so a "comment" after an entry is text after the sixth field, or a mistake.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_BLANKS = " \t"
_WORD = re.compile(r"[^ \t]+")
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_OPTION = re.compile(r'(?:"[^"]*"|[^,])+')
_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline.

    Attributes:
        indent: the blanks before the first field.
        words: the fields as written, at most six; none of a comment or a blank line.
        gaps: the blanks between them, one fewer than words.
        tail: a whole comment, or what stands after the last field; a carriage return with it.
    """

    indent: str = ""
    words: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    tail: str = ""

    @property
    def text(self) -> str:
        rest = (gap + word for gap, word in zip(self.gaps, self.words[1:], strict=True))
        return "".join((self.indent, *self.words[:1], *rest, self.tail))

    @property
    def is_entry(self) -> bool:
        """Whether it is no comment and not blank; it may still be malformed."""
        return bool(self.words)

    @property
    def fs_spec(self) -> str:
        return self._field(0)

    @property
    def fs_file(self) -> str:
        return self._field(1)

    @property
    def fs_vfstype(self) -> str:
        """Empty where missing, like the other fields."""
        return self._field(2)

    @property
    def fs_mntops(self) -> str:
        return self._field(3)

    @property
    def options(self) -> tuple[str, ...]:
        """The options one by one; commas in double quotes part nothing (`context="a,b"`)."""
        return tuple(_OPTION.findall(self.fs_mntops))

    @property
    def numbers_hold(self) -> bool:
        """Whether fs_freq and fs_passno are whole numbers where given, which libmount insists on."""
        return all(_NUMBER.fullmatch(word) for word in self.words[4:])

    def with_spec(self, spec: str) -> Line:
        """The same with another fs_spec."""
        return replace(self, words=(encode(spec), *self.words[1:]))

    def with_option(self, option: str) -> Line:
        """The same with one more option at the end; fs_mntops is made where it is missing.

        Raises:
            ValueError: there is no fs_vfstype for it to stand after.
        """
        if len(self.words) < 3:
            raise ValueError(f"no place for an option in {self.text!r}")
        if option in self.options:
            return self
        if len(self.words) == 3:
            gap = "\t" if "\t" in self.gaps[-1] else " "
            return replace(self, words=(*self.words, encode(option)), gaps=(*self.gaps, gap))
        mntops = f"{self.words[3].rstrip(',')},{encode(option)}".removeprefix(",")
        return replace(self, words=(*self.words[:3], mntops, *self.words[4:]))

    @property
    def is_checked(self) -> bool:
        """Whether `fsck -A` checks it: fs_passno is there and not 0."""
        return self._field(5).strip("0") != ""

    def without_check(self) -> Line:
        """The same with the fs_passno 0."""
        return replace(self, words=(*self.words[:5], "0")) if self.is_checked else self

    def commented_out(self, remark: str) -> Line:
        """The whole line as a comment that begins with the remark, so that deleting it brings it back."""
        return Line(tail=f"# {remark}: {self.text}")

    def _field(self, index: int) -> str:
        return decode(self.words[index]) if index < len(self.words) else ""


def parse(text: str) -> tuple[Line, ...]:
    """Cuts any text into lines; there is none that it refuses."""
    return tuple(_parse_line(line) for line in text.split("\n"))


def unparse(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def entries(text: str) -> Iterator[Line]:
    """The lines that are neither blank nor comments, malformed ones too."""
    return (line for line in parse(text) if line.is_entry)


def decode(word: str) -> str:
    r"""Undoes the escapes of a field: a backslash and three octal digits, as `\040` for a blank."""
    raw = word.encode("utf-8", "surrogateescape")
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), raw).decode("utf-8", "surrogateescape")


def encode(value: str) -> str:
    """Escapes what would end a field, begin a comment or be taken for an escape."""
    escaped = "".join(f"\\{ord(char):03o}" if char in " \t\n\r\\" else char for char in value)
    return f"\\043{escaped[1:]}" if escaped.startswith("#") else escaped


def _parse_line(line: str) -> Line:
    body = line.removesuffix("\r")  # as libmount has it: only the last one, and also without a newline
    stripped = body.lstrip(_BLANKS)
    if not stripped or stripped.startswith("#"):
        return Line(tail=line)
    found = list(_WORD.finditer(body))[:_FIELDS]
    gaps = tuple(body[a.end() : b.start()] for a, b in itertools.pairwise(found))
    return Line(
        indent=body[: found[0].start()],
        words=tuple(word[0] for word in found),
        gaps=gaps,
        tail=line[found[-1].end() :],
    )
