"""netplan's YAML, edited as text: the parser only says where things stand.

ruamel.yaml composes the nodes and their marks; every edit replaces a span of the text and then proves
by reading it again that nothing else has changed. What cannot be edited that way is refused: several
documents, anchors, a key twice in one mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from imgpatch.errors import FormatError

Value = dict[str, "Value"] | list["Value"] | str | None
Path = tuple[str | int, ...]

TRUE = frozenset({"true", "on", "yes", "y"})  # as netplan has them, in any case


@dataclass(frozen=True, slots=True)
class Document:
    """One file.

    Attributes:
        text: exactly as it stands.
        value: what it says, every scalar as its text; None where it is empty.
    """

    text: str
    value: Value
    _root: Node | None

    def at(self, path: Path) -> Value:
        """What stands at a path; None where there is nothing."""
        here: Value = self.value
        for step in path:
            if isinstance(here, dict) and isinstance(step, str):
                here = here.get(step)
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                return None
        return here

    def mapping(self, path: Path) -> dict[str, Value]:
        """The mapping at a path; empty where there is none."""
        here = self.at(path)
        return here if isinstance(here, dict) else {}

    def rename(self, path: Path, key: str) -> Document:
        """Gives the key at the end of the path another name."""
        node, _ = self._pair(path)
        expected = _changed(self.value, path, lambda d, k: {(key if i == k else i): v for i, v in d.items()})
        return self._with([(node, key)], expected)

    def set_scalar(self, path: Path, scalar: str) -> Document:
        """Replaces a scalar by another, in the quotes it had."""
        node = self._node(path)
        expected = _changed(self.value, path, lambda d, k: {i: scalar if i == k else v for i, v in d.items()})
        return self._with([(node, scalar)], expected)

    def insert(self, path: Path, scalar: str) -> Document:
        """Adds a key with a scalar as the first of its mapping; the mapping may be empty."""
        parent, key = path[:-1], str(path[-1])
        node = self._node(parent)
        expected = _changed(self.value, path, lambda d, k: {**d, str(k): scalar})
        entry = f"{key}: {scalar}"
        if isinstance(node, MappingNode) and not node.flow_style and node.value:
            at = node.value[0][0].start_mark.index
            entry = f"{entry}{newline(self.text)}{' ' * node.value[0][0].start_mark.column}"
        elif isinstance(node, MappingNode):
            at = node.start_mark.index + 1
            entry = f"{entry}, " if node.value else entry
        elif isinstance(node, ScalarNode) and not node.value and node.style is None:
            at = self._after_colon(self._pair(parent)[0])
            entry = f" {{{entry}}}"
        else:
            at, entry = self._refuse(parent)
        return self._spliced(at, at, entry, expected)

    def fill(self, path: Path, flow: str) -> Document:
        """Adds a key with a list or mapping in flow style as the first of its mapping."""
        parent: Any = self._node(path[:-1])
        key, value = str(path[-1]), parse(flow).value
        expected = _changed(self.value, path, lambda d, k: {**d, str(k): value})
        if not isinstance(parent, MappingNode) or not parent.value:
            self._refuse(path)
        first = parent.value[0][0].start_mark
        end = ", " if parent.flow_style else f"{newline(self.text)}{' ' * first.column}"
        return self._spliced(first.index, first.index, f"{key}: {flow}{end}", expected)

    def remove_item(self, path: Path) -> Document:
        """Removes an item of a list that has others; comments on lines of their own stay."""
        items: Any = self._node(path[:-1])
        node, place = self._node(path), path[-1]
        expected = _changed(self.value, path, lambda d, k: {i: v for i, v in d.items() if i != k})
        if not isinstance(items, SequenceNode) or len(items.value) < 2 or not isinstance(place, int):
            self._refuse(path)
        if items.flow_style:
            start, end = self._flow_item_span(items.value, int(place))
            return self._spliced(start, end, "", expected)
        start = self.text.rfind("\n", 0, node.start_mark.index) + 1
        if self.text[start : node.start_mark.index].strip(" ") != "-":
            self._refuse(path)
        return self._without_lines(start, self._content_end(node, node), expected)

    def _flow_item_span(self, items: Sequence[Node], place: int) -> tuple[int, int]:
        if place + 1 < len(items):
            return items[place].start_mark.index, items[place + 1].start_mark.index
        return items[place - 1].end_mark.index, items[place].end_mark.index

    def remove(self, path: Path) -> Document:
        """Removes a key with all below it; comments on lines of their own stay."""
        mapping: Any = self._node(path[:-1])
        key, value = self._pair(path)
        expected = _changed(self.value, path, lambda d, k: {i: v for i, v in d.items() if i != k})
        if not isinstance(mapping, MappingNode) or (len(mapping.value) == 1 and not mapping.flow_style):
            self._refuse(path)
        if mapping.flow_style:
            start, end = self._flow_span(mapping, key, value)
            return self._spliced(start, end, "", expected)
        start = self.text.rfind("\n", 0, key.start_mark.index) + 1
        if self.text[start : key.start_mark.index].strip(" ") == "-" and key is mapping.value[0][0]:
            return self._without_first(mapping, expected)
        if self.text[start : key.start_mark.index].strip(" \ufeff"):
            self._refuse(path)
        return self._without_lines(start, self._content_end(key, value), expected)

    def _without_first(self, mapping: MappingNode, expected: Value) -> Document:
        """Less the first key of a list's item, behind the hyphen: the second one takes its place."""
        (key, value), (following, _) = mapping.value[:2]
        if "#" in self.text[self._content_end(key, value) : following.start_mark.index]:
            raise FormatError(f"line {key.start_mark.line + 1}: a comment that would be lost")
        return self._spliced(key.start_mark.index, following.start_mark.index, "", expected)

    def _without_lines(self, start: int, content_end: int, expected: Value) -> Document:
        end = self.text.find("\n", content_end)
        end = len(self.text) if end < 0 else end + 1
        kept = "".join(f"{li}\n" for li in self.text[start:end].split("\n") if li.lstrip().startswith("#"))
        return self._spliced(start, end, kept, expected)

    def _flow_span(self, mapping: MappingNode, key: Node, value: Node) -> tuple[int, int]:
        entries = mapping.value
        place = next(i for i, (k, _) in enumerate(entries) if k is key)
        if place + 1 < len(entries):
            return key.start_mark.index, entries[place + 1][0].start_mark.index
        start = key.start_mark.index
        if place:  # from the comma before it: a blank before that may be all there is of an empty value
            start = self.text.index(",", self._content_end(*entries[place - 1]))
        return start, self._content_end(key, value)

    def _content_end(self, key: Node, value: Node) -> int:
        """Where the last thing written of a value ends: the mark of a block goes on to the next token."""
        if isinstance(value, MappingNode) and not value.flow_style:
            return self._content_end(*value.value[-1])
        if isinstance(value, SequenceNode) and not value.flow_style:
            return self._content_end(key, value.value[-1])
        if isinstance(value, ScalarNode) and not value.value and value.style is None:
            return key.end_mark.index if value is key else self._after_colon(key)
        return len(self.text[: value.end_mark.index].rstrip())

    def _after_colon(self, key: Node) -> int:
        """Where an empty value stands: its own mark is that of the next token."""
        return self.text.index(":", key.end_mark.index) + 1

    def _with(self, changes: Sequence[tuple[Node, str]], expected: Value) -> Document:
        ((node, new),) = changes
        if not isinstance(node, ScalarNode) or node.style in {"|", ">"}:
            raise FormatError(f"line {node.start_mark.line + 1}: a plain or quoted word was wanted")
        quote = node.style or ""
        return self._spliced(node.start_mark.index, node.end_mark.index, f"{quote}{new}{quote}", expected)

    def _spliced(self, start: int, end: int, new: str, expected: Value) -> Document:
        changed = parse(self.text[:start] + new + self.text[end:])
        if changed.value != expected:
            line = self.text.count("\n", 0, start) + 1
            raise FormatError(f"line {line}: the YAML here is written in a way that cannot be edited safely")
        return changed

    def _node(self, path: Path) -> Node:
        return self._pair(path)[1]

    def _pair(self, path: Path) -> tuple[Node, Node]:
        """The key node and the value node at a path; the item twice for a sequence or the root."""
        root = self._root if self._root is not None else self._refuse(path)
        pair: tuple[Node, Node] = (root, root)
        for step in path:
            pair = next(p for s, p in _children(pair[1]) if s == step)
        return pair

    def _refuse(self, path: Path) -> Any:
        raise FormatError(
            f"{'.'.join(map(str, path))}: the YAML here is written in a way that cannot be edited"
        )


def parse(text: str) -> Document:
    """Reads a file.

    Raises:
        FormatError: it is not YAML, or uses what cannot be edited as text.
    """
    offset = text.startswith("\ufeff")
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        value = _plain(root) if root is not None else None
    except (YAMLError, RecursionError, ValueError) as error:
        first = str(error).split("\n", 1)[0]
        raise FormatError(f"not YAML that netplan could read: {first}") from error
    if offset and root is not None:
        raise FormatError("begins with a byte order mark, which cannot be edited safely")
    return Document(text, value, root)


def unparse(document: Document) -> str:
    return document.text


def newline(text: str) -> str:
    """The line end the file uses."""
    return "\r\n" if "\r\n" in text else "\n"


def _children(node: Node) -> Iterator[tuple[str | int, tuple[Node, Node]]]:
    if isinstance(node, MappingNode):
        yield from ((key.value, (key, value)) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((i, (item, item)) for i, item in enumerate(node.value))


def _plain(node: Node) -> Value:
    if getattr(node, "anchor", None) is not None:  # an alias is the very node that has the anchor
        raise FormatError(f"line {node.start_mark.line + 1}: a YAML anchor, which cannot be edited safely")
    if isinstance(node, MappingNode):
        if not all(isinstance(key, ScalarNode) and key.anchor is None for key, _ in node.value):
            raise FormatError(f"line {node.start_mark.line + 1}: a key that is not a plain word")
        plain = {str(key.value): _plain(value) for key, value in node.value}
        if len(plain) != len(node.value):
            raise FormatError(f"line {node.start_mark.line + 1}: a mapping with the same key twice")
        return plain
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    bare = getattr(node, "style", None) is None
    return None if bare and node.value in {"", "~", "null"} else str(node.value)


def _changed(value: Value, path: Path, change: Any) -> Value:
    """The value with the mapping that holds the path's last key changed."""
    step, rest = path[0], path[1:]
    if not rest and isinstance(value, dict | None):
        changed: Value = change(value or {}, step)
        return changed
    if not rest and isinstance(value, list):
        return list(change(dict(enumerate(value)), step).values())
    if isinstance(value, dict) and isinstance(step, str):
        return {k: _changed(v, rest, change) if k == step else v for k, v in value.items()}
    if isinstance(value, list):
        return [_changed(v, rest, change) if i == step else v for i, v in enumerate(value)]
    raise FormatError(f"nothing stands at {path}")
