"""The service's errors as rows of data (catalogue.toml), and which row a message means."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Any

_PLACE = re.compile(r"<([A-Za-z][A-Za-z ]*)>")
_PREFIX = re.compile(r"^(?:(?:CLIENT_ERROR|SERVER_ERROR)\s*:\s*)?(?:ServerError\s*:\s*)?", re.IGNORECASE)
_CLOSE = 0.55
"""How alike a row must be to be worth showing; below it stand those with two words in common by chance."""


class Offline(StrEnum):
    """Whether disk files alone show an error."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Row:
    """One error of the service.

    Attributes:
        id: `E-01` to `E-28` as in the User Guide; `A..` for what was only ever seen.
        text: as the guide prints it; `<name>` is a place for a value.
        seen: as the service was seen to print it, where that differs.
        also: older wordings and shorter ones.
        operation: the call that gives it.
        look: what to look at.
        editions: of the guide in which it stands.
        checks: the modules of imgpatch.checks that predict it.
        sources: where it was seen outside the guide.
    """

    id: str
    text: str
    operation: str
    cause: str
    remedy: str
    look: str
    offline: Offline
    editions: tuple[str, ...]
    seen: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def wordings(self) -> tuple[str, ...]:
        """Everything it was ever called."""
        return (self.text, *self.seen, *self.also)

    def words(self, values: Mapping[str, str]) -> str:
        """The status message as the service prints it, with the values in their places."""
        texts = (*self.seen, self.text, *self.also)
        best = next((t for t in texts if set(_PLACE.findall(t)) <= values.keys()), self.text)
        return _PLACE.sub(lambda place: values.get(place[1], place[0]), best)


@dataclass(frozen=True, slots=True)
class Match:
    """A row that a message means, with the values that stood in it."""

    row: Row
    values: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def rows() -> Mapping[str, Row]:
    """All rows by id, in the order in which the service meets them."""
    text = (resources.files("imgpatch") / "catalogue.toml").read_text(encoding="utf-8")
    return {row_id: _row(row_id, data) for row_id, data in tomllib.loads(text).items()}


def in_edition(name: str) -> frozenset[str]:
    """The ids of the errors that an edition of the guide has."""
    return frozenset(row.id for row in rows().values() if name in row.editions)


def find(message: str) -> tuple[Match, ...]:
    """What a status message or an id means: the rows whose words it holds, those with most words.

    Several where they have the same words (E-01 and E-07).
    """
    row = rows().get(message.strip().upper())
    if row is not None:
        return (Match(row),)
    found = list(_matches(_plain(message)))
    longest = max((length for length, _ in found), default=0)
    return tuple(match for length, match in found if length == longest)


def nearest(message: str, count: int = 3) -> tuple[Row, ...]:
    """The rows that are most alike, the nearest first; perhaps none."""
    wanted = _plain(message)
    alike = [(max(_likeness(wanted, _plain(text)) for text in row.wordings), row) for row in rows().values()]
    alike.sort(key=lambda pair: -pair[0])
    return tuple(row for likeness, row in alike[:count] if likeness >= _CLOSE)


def _matches(message: str) -> Iterator[tuple[int, Match]]:
    """The rows whose words the message holds, each with how many letters of it they explain."""
    for row in rows().values():
        found = [(text, _pattern(text).search(message)) for text in row.wordings]
        hits = [(len(_PLACE.sub("", text)) + bool(m.groups()), m) for text, m in found if m is not None]
        if hits:
            length, match = max(hits, key=lambda hit: hit[0])
            yield length, Match(row, {k: v for k, v in _named(row, match).items() if v})


def _named(row: Row, match: re.Match[str]) -> dict[str, str]:
    """The values by the names of their places; a place that stands twice has its second value last."""
    text = next(t for t in row.wordings if _pattern(t).pattern == match.re.pattern)
    return dict(zip(_PLACE.findall(text), match.groups(), strict=True))


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """A message with values in it; blanks and the last full stop are as they come."""
    pattern = ""
    for number, piece in enumerate(_PLACE.split(text)):
        pattern += r"([^\s\"',]+(?: [^\s\"',]+)*?)" if number % 2 else _literal(piece)
    return re.compile(pattern.removesuffix(re.escape(".")) + r"(?=[\s.\"',\]]|$)", re.IGNORECASE)


def _literal(text: str) -> str:
    """Words with any blanks between them; `ClientError:` at the beginning may be absent."""
    head, colon, rest = text.partition("ClientError:")
    if not head and colon:
        return rf"(?:ClientError:\s*)?{_blanks(rest.lstrip())}"
    return _blanks(text)


def _blanks(text: str) -> str:
    return re.sub(r"(?:\\ )+", r"\\s+", re.escape(text))


def _plain(message: str) -> str:
    return _PREFIX.sub("", " ".join(message.split()).strip("\"'"))


def _likeness(one: str, two: str) -> float:
    """By words and by letters, whichever is higher: pieces of a message, and misspelt ones."""
    a, b = one.lower(), two.lower()
    words = set(re.findall(r"\w{3,}", a))
    shared = len(words & set(re.findall(r"\w{3,}", b))) / max(len(words), 1)
    return max(shared if len(words) > 1 else 0.0, difflib.SequenceMatcher(None, a, b).ratio())


def _row(row_id: str, data: Mapping[str, Any]) -> Row:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    fields["offline"] = Offline(data["offline"])
    return Row(id=row_id, **fields)


@functools.cache
def requirements() -> Mapping[str, str]:
    """What the documents require, in short, by the rule's id."""
    text = (resources.files("imgpatch") / "requirements.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
