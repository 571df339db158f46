"""XML that keeps its text: a tree of elements, each with the place where its tag stands.

The text is looked over before any XML parser sees it: a DTD, and with it every entity of the file's own,
is refused, and so is what makes a parser explode without one: many attributes under a namespace of a
megabyte, elements a million deep. Then defusedxml reads it, and an edit replaces one value in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import XMLParser

from imgpatch.errors import FormatError

MAX_BYTES = 4 << 20
MAX_ELEMENTS = 50_000
MAX_DEPTH = 100
MAX_ATTRIBUTES = 200
MAX_NAMESPACE = 300

_CODECS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii",
           "iso-8859-1": "latin-1", "windows-1252": "cp1252"}  # fmt: skip
_DECLARED = re.compile(rb"""<\?xml[^>]{1,100}?encoding[ \t]*=[ \t]*["']([A-Za-z0-9._-]{1,40})["']""")
_BLANKS = "[ \t\r\n]"
_NAME = r"""[^ \t\r\n<>/='"]{1,200}"""
_START = re.compile(f"<({_NAME})")
_ATTRIBUTE = re.compile(f"""{_BLANKS}+({_NAME}){_BLANKS}*={_BLANKS}*(?:"([^"<]*)"|'([^'<]*)')""")
_CLOSE = re.compile(f"{_BLANKS}*(/?)>")
_REFERENCES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;"),
               ("\t", "&#9;"), ("\n", "&#10;"), ("\r", "&#13;"))  # fmt: skip
_PASSED_OVER = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))


@dataclass(frozen=True, slots=True)
class Span:
    """Where an attribute stands: all of it with the blanks before, and the value within its quotes."""

    start: int
    value_start: int
    value_end: int

    @property
    def end(self) -> int:
        return self.value_end + 1


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes:
        namespace: the URI; empty where there is none.
        name: without prefix.
        attributes: names as `{uri}name`, or `name` for one without prefix.
        spans: where each attribute stands.
        text: all character data that is in it directly.
    """

    namespace: str
    name: str
    attributes: Mapping[str, str]
    spans: Mapping[str, Span]
    text: str
    children: tuple[Element, ...]

    def walk(self) -> Iterator[Element]:
        """Itself and all below it, as they begin in the text."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file.

    Attributes:
        text: what the spans point into.
        codec: what `text` was decoded with.
    """

    text: str
    codec: str
    root: Element

    def edited(self, edits: Iterable[tuple[Span, str | None]]) -> bytes:
        """The file with other values for some attributes; None takes the attribute out."""
        pieces = []
        at = 0
        for span, value in sorted(edits, key=lambda edit: edit[0].start):
            if value is None:
                pieces.append(self.text[at : span.start])
            else:
                pieces += (self.text[at : span.value_start], escaped(value))
            at = span.end if value is None else span.value_end
        pieces.append(self.text[at:])
        return "".join(pieces).encode(self.codec, "xmlcharrefreplace")


def escaped(value: str) -> str:
    """A value as it may stand between quotes of either kind, or between tags."""
    for character, reference in _REFERENCES:
        value = value.replace(character, reference)
    return value


def parse(data: bytes) -> Document:
    """Reads an XML file.

    Raises:
        FormatError: it is no XML, has a DTD, or is larger or deeper than anything sound.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"{len(data)} bytes of XML, and {MAX_BYTES} are the most that is read")
    text, codec = _decode(data)
    tree = _Tree(_tags(text))
    parser = XMLParser(target=tree, forbid_dtd=True)
    try:
        parser.feed(text.removeprefix("\ufeff"))
        parser.close()
    except (ParseError, ValueError) as error:  # ValueError: what defusedxml forbids
        raise FormatError(f"no well-formed XML: {error}") from error
    return Document(text, codec, tree.close())


def _decode(data: bytes) -> tuple[str, str]:
    declared = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf")[:200])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16-le" if data[0] == 0xFF else "utf-16-be"
    else:
        name = declared[1].decode().lower() if declared else "utf-8"
        if name not in _CODECS:
            raise FormatError(f"XML in the encoding {name}, and UTF-8 was wanted")
        codec = _CODECS[name]
    try:
        return data.decode(codec), codec
    except UnicodeDecodeError as error:
        raise FormatError(f"the XML is not in {codec}, as it says: {error.reason}") from error


@dataclass(frozen=True, slots=True)
class _Tag:
    spans: Mapping[str, Span]  # attributes as they are written, in order


def _tags(text: str) -> Sequence[_Tag]:
    """Every start tag, in order."""
    found = []
    depth = 0
    at = text.find("<")
    while at >= 0:
        end = _passed_over(text, at)
        if end is None and text.startswith("</", at):
            depth -= 1
            end = at + 2
        elif end is None:
            tag, end, empty = _start_tag(text, at)
            found.append(tag)
            depth += not empty
            if depth > MAX_DEPTH or len(found) > MAX_ELEMENTS:
                raise FormatError(f"XML of more than {MAX_ELEMENTS} elements or more than {MAX_DEPTH} deep")
        at = text.find("<", end)
    return found


def _passed_over(text: str, at: int) -> int | None:
    """The end of a comment, CDATA section or processing instruction; None for a tag."""
    for start, stop in _PASSED_OVER:
        if text.startswith(start, at):
            end = text.find(stop, at + len(start))
            if end < 0:
                raise FormatError(f"no well-formed XML: no {stop} after {start}")
            return end + len(stop)
    if text.startswith("<!", at):
        raise FormatError("the XML has a DTD, and no file of its kind needs one")
    return None


def _start_tag(text: str, at: int) -> tuple[_Tag, int, bool]:
    begun = _START.match(text, at)
    if begun is None:
        raise FormatError(f"no well-formed XML: no name after the < at character {at}")
    end = begun.end()
    spans = {}
    while (attribute := _ATTRIBUTE.match(text, end)) is not None:
        quoted = 2 if attribute[2] is not None else 3
        if attribute[1].startswith("xmlns") and len(attribute[quoted]) > MAX_NAMESPACE:
            raise FormatError(f"an XML namespace of more than {MAX_NAMESPACE} characters")
        spans[attribute[1]] = Span(attribute.start(), *attribute.span(quoted))
        end = attribute.end()
        if len(spans) > MAX_ATTRIBUTES:
            raise FormatError(f"an XML element of more than {MAX_ATTRIBUTES} attributes")
    closed = _CLOSE.match(text, end)
    if closed is None:
        raise FormatError(f"no well-formed XML: the element {begun[1]} does not end as one")
    return _Tag(spans), closed.end(), bool(closed[1])


@dataclass(slots=True)
class _Open:
    name: str
    attributes: Mapping[str, str]
    spans: Mapping[str, Span]
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)


class _Tree:
    """Makes elements of what the parser tells, in step with the tags found in the text."""

    def __init__(self, tags: Sequence[_Tag]) -> None:
        self._tags = iter(tags)
        self._open = [_Open("", {}, {})]

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = next(self._tags, None)
        written = () if tag is None else [name for name in tag.spans if not _declares(name)]
        if tag is None or len(written) != len(attributes):
            raise FormatError("no well-formed XML: its elements cannot be told apart")
        spans = {full: tag.spans[short] for full, short in zip(attributes, written, strict=True)}
        self._open.append(_Open(name, dict(attributes), spans))

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, _: str) -> None:
        done = self._open.pop()
        namespace, _, name = done.name.rpartition("}")
        element = Element(
            namespace.removeprefix("{"),
            name,
            done.attributes,
            done.spans,
            "".join(done.text),
            tuple(done.children),
        )
        self._open[-1].children.append(element)

    def close(self) -> Element:
        return self._open[0].children[0]


def _declares(name: str) -> bool:
    return name == "xmlns" or name.startswith("xmlns:")
