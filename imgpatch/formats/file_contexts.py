"""file_contexts(5): which SELinux label a policy gives to a path. Read only; nothing of it is ever written.

As libselinux's label_file.c reads it: the rules of file_contexts, then of its `.homedirs` and `.local`; of
those that match the last one counts, and a path that is written out counts before any expression. What the
rules mean by one path may stand for another (`/lib64 /usr/lib`, file_contexts.subs and .subs_dist).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.errors import FormatError
from imgpatch.formats.path_pattern import literal_start, matches
from imgpatch.guest import Kind

NONE = "<<none>>"
"""Instead of a context: the policy leaves the label as it is."""

_KINDS = {"--": Kind.FILE, "-d": Kind.DIRECTORY, "-l": Kind.LINK}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line.

    Attributes:
        kind: `--`, `-d`, `-l`, or of devices, sockets and pipes (`-c`, `-b`, `-s`, `-p`); None for any.
        start: what every path begins with that the pattern matches.
        exact: the pattern is a path that is written out: `start`.
    """

    pattern: str
    kind: str | None
    context: str
    start: str
    exact: bool

    def fits(self, path: str, kind: Kind) -> bool:
        """Whether the rule is for this path; never where its expression cannot be understood."""
        if self.kind is not None and _KINDS.get(self.kind) is not kind:
            return False
        if self.exact or not path.startswith(self.start):
            return self.exact and path == self.start
        try:
            return matches(self.pattern, path)
        except FormatError:
            return False


@dataclass(frozen=True, slots=True)
class FileContexts:
    """The rules of a policy, last first and written-out paths before expressions; and its substitutions.

    Attributes:
        substitutions: pairs of a path and what is looked up for it, the lists one after the other applied.
    """

    rules: tuple[Rule, ...]
    substitutions: tuple[tuple[tuple[str, str], ...], ...] = ()

    def context(self, path: str, kind: Kind) -> str | None:
        """The label; None where the policy has none for this path, or leaves what is there (`<<none>>`)."""
        for pairs in self.substitutions:
            path = _substituted(path, pairs)
        found = next((rule.context for rule in self.rules if rule.fits(path, kind)), NONE)
        return None if found == NONE else found


def build(texts: Sequence[str], substitutions: Sequence[str] = ()) -> FileContexts:
    """Puts a policy's files together.

    Args:
        texts: file_contexts, .homedirs and .local, in this order; empty for one that is not there.
        substitutions: .subs, then .subs_dist.
    """
    rules = [rule for text in texts for rule in _rules(text)]
    rules.sort(key=lambda rule: rule.exact)
    pairs = tuple(tuple(_pairs(text))[::-1] for text in substitutions)
    return FileContexts(tuple(rules[::-1]), pairs)


def _rules(text: str) -> Iterator[Rule]:
    for words in _words(text):
        if len(words) in (2, 3):
            kind = words[1] if len(words) == 3 else None
            yield Rule(words[0], kind, words[-1], *literal_start(words[0]))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for words in _words(text):
        if len(words) == 2:
            yield words[0], words[1]


def _words(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words


def _substituted(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """The last line of a list that names the path or a folder above it counts, and once."""
    for old, new in pairs:
        if path == old or path.startswith(f"{old}/"):
            rest = path[len(old) :]
            return rest if new == "/" and rest else new + rest
    return path
