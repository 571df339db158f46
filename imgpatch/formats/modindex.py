"""The indexes of a kernel's modules: `modules.dep` and its kind, as text and as the tries modprobe reads.

The text says everything the tries say (depmod(8) writes both from the same list), so that an index of
some of the modules can be cut out of the text of all, and no module has to be read. The trie:
kmod's libkmod-index.h; it is the same from module-init-tools 3.4 to kmod 34.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgpatch.errors import FormatError

TEXTS = ("modules.dep", "modules.alias", "modules.softdep", "modules.symbols", "modules.devname")
"""What depmod writes as text and this module reads."""

FILES = (*TEXTS, "modules.dep.bin", "modules.alias.bin", "modules.symbols.bin")
"""What this module writes. Indexes of what is built in do not depend on which modules there are."""

SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")

MAX_KEY = 4096

_WILDCARD = re.compile(r"[*?\[]")

_HEADERS = {
    "modules.alias": "# Aliases extracted from modules themselves.\n",
    "modules.softdep": "# Soft dependencies extracted from modules themselves.\n",
    "modules.symbols": "# Aliases for symbols, used by symbol_request().\n",
    "modules.devname": "# Device nodes to trigger on-demand module loading.\n",
}


def module_name(name: str) -> str:
    """The name modprobe knows a module by, from its file or from how people spell it: `nvme_core`."""
    return posixpath.basename(name).split(".")[0].replace("-", "_")


def is_module(path: str) -> bool:
    return path.endswith(SUFFIXES)


@dataclass(frozen=True, slots=True)
class Line:
    """A line about one module; `text` is the whole line."""

    module: str
    text: str


class _AliasTable:
    """Aliases by what they match; nearly all that a softdep names have no wildcard."""

    def __init__(self, aliases: Iterable[tuple[str, str]]) -> None:
        self._literal: dict[str, list[str]] = {}
        self._patterns: list[tuple[str, str, str]] = []
        for pattern, module in aliases:
            literal = _WILDCARD.split(pattern, maxsplit=1)[0]
            if literal == pattern:
                self._literal.setdefault(normalize_alias(pattern), []).append(module)
            else:
                self._patterns.append((normalize_alias(literal), pattern, module))

    def find(self, name: str) -> list[str]:
        wanted = normalize_alias(name)
        return self._literal.get(wanted, []) + [
            module
            for literal, pattern, module in self._patterns
            if wanted.startswith(literal) and fnmatch.fnmatchcase(wanted, normalize_alias(pattern))
        ]


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """What the text indexes of one kernel say.

    Attributes:
        paths: module -> its file, from the folder of the release; in depmod's order, which is the
            priority of a module in the tries.
        needs: module -> the modules it needs, all of them, the ones to load last first.
        aliases: pattern and module.
        symbols: `symbol:name` and module.
    """

    paths: Mapping[str, str]
    needs: Mapping[str, tuple[str, ...]]
    aliases: tuple[tuple[str, str], ...] = ()
    symbols: tuple[tuple[str, str], ...] = ()
    softdeps: tuple[Line, ...] = ()
    devnames: tuple[Line, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def soft_needs(self, module: str) -> tuple[str, ...]:
        """The names, of modules or aliases, to load before this module: modprobe.d(5), softdep pre."""
        names: list[str] = []
        for line in self.softdeps:
            if line.module != module:
                continue
            wanted = False
            for word in line.text.split()[2:]:
                if word in ("pre:", "post:"):
                    wanted = word == "pre:"
                elif wanted:
                    names.append(word)
        return tuple(names)

    def hard_closure(self, modules: Iterable[str]) -> tuple[str, ...]:
        """The modules with those without which the kernel refuses to load them, in depmod's order."""
        found = {module for module in modules if module in self.paths}
        found |= {need for module in found for need in self.needs.get(module, ()) if need in self.paths}
        return tuple(module for module in self.paths if module in found)

    def closure(self, modules: Iterable[str]) -> tuple[str, ...]:
        """The modules with all that modprobe loads before them: modules.dep and softdeps."""
        aliases = _AliasTable(self.aliases)
        todo = [module for module in modules if module in self.paths]
        found: set[str] = set()
        while todo:
            module = todo.pop()
            if module in found:
                continue
            found.add(module)
            named = (need for name in self.soft_needs(module) for need in self._named(name, aliases))
            todo += [need for need in (*self.needs.get(module, ()), *named) if need in self.paths]
        return tuple(module for module in self.paths if module in found)

    def _named(self, name: str, aliases: _AliasTable) -> Sequence[str]:
        """The modules modprobe would load for the name of a module or an alias of some."""
        module = name.replace("-", "_")
        return (module,) if module in self.paths else aliases.find(name)

    def only(self, paths: Mapping[str, str]) -> ModuleIndex:
        """The index of some of the modules, whose files may be called otherwise: module -> file."""
        keep = [module for module in self.paths if module in paths]
        return replace(
            self,
            paths={module: paths[module] for module in keep},
            needs={module: tuple(n for n in self.needs.get(module, ()) if n in paths) for module in keep},
            aliases=tuple(row for row in self.aliases if row[1] in paths),
            symbols=tuple(row for row in self.symbols if row[1] in paths),
            softdeps=tuple(line for line in self.softdeps if line.module in paths),
            devnames=tuple(line for line in self.devnames if line.module in paths),
        )

    def joined(self, other: ModuleIndex) -> ModuleIndex:
        """This index with what `other` says of modules that this one does not know."""
        new = {module for module in other.paths if module not in self.paths}
        return replace(
            self,
            paths={**self.paths, **{module: other.paths[module] for module in other.paths if module in new}},
            needs={**self.needs, **{m: needs for m, needs in other.needs.items() if m in new}},
            aliases=self.aliases + tuple(row for row in other.aliases if row[1] in new),
            symbols=self.symbols + tuple(row for row in other.symbols if row[1] in new),
            softdeps=self.softdeps + tuple(line for line in other.softdeps if line.module in new),
            devnames=self.devnames + tuple(line for line in other.devnames if line.module in new),
            headers=self.headers or other.headers,
        )


def parse(texts: Mapping[str, str], folder: str = "") -> ModuleIndex:
    """Reads the text indexes.

    Args:
        texts: file name (`modules.dep`) -> contents; what is missing says nothing.
        folder: of the release, where `modules.dep` names files by whole paths (before 2008).
    """
    paths: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for line in texts.get("modules.dep", "").split("\n"):
        file, colon, rest = line.partition(":")
        if colon:
            paths[module_name(file)] = _relative(file, folder)
            needs[module_name(file)] = tuple(module_name(need) for need in rest.split())
    return ModuleIndex(
        paths=paths,
        needs=needs,
        aliases=_aliases(texts.get("modules.alias", "")),
        symbols=_aliases(texts.get("modules.symbols", "")),
        softdeps=_lines(texts.get("modules.softdep", ""), word=1),
        devnames=_lines(texts.get("modules.devname", ""), word=0),
        headers={name: _header(text) for name, text in texts.items()},
    )


def _relative(file: str, folder: str) -> str:
    marker = f"{folder.rstrip('/')}/"
    return file.removeprefix(marker) if file.startswith("/") and folder else file.strip()


def _aliases(text: str) -> tuple[tuple[str, str], ...]:
    rows = (line.split() for line in text.split("\n"))
    return tuple((row[1], row[2].replace("-", "_")) for row in rows if len(row) == 3 and row[0] == "alias")


def _lines(text: str, word: int) -> tuple[Line, ...]:
    found = []
    for line in text.split("\n"):
        words = line.split()
        if len(words) > word and not line.startswith("#"):
            found.append(Line(words[word].replace("-", "_"), line))
    return tuple(found)


def _header(text: str) -> str:
    lines = text.split("\n")
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(f"{line}\n" for line in lines[:end])


def normalize_alias(alias: str) -> str:
    """'-' to '_' but inside `[...]`, as kmod's alias_normalize."""
    if "-" not in alias:
        return alias
    parts = alias.split("[")
    done = [parts[0].replace("-", "_")]
    for part in parts[1:]:
        inside, bracket, outside = part.partition("]")
        done.append(inside + bracket + outside.replace("-", "_"))
    return "[".join(done)


def render(index: ModuleIndex) -> dict[str, bytes]:
    """All of `FILES`, byte for byte as depmod of kmod 30 writes them for the same modules."""
    ranks = {module: rank for rank, module in enumerate(index.paths)}
    dependencies = {module: _dependency_line(index, module) for module in index.paths}
    texts = {
        "modules.dep": "".join(f"{line}\n" for line in dependencies.values()),
        "modules.alias": "".join(f"alias {pattern} {module}\n" for pattern, module in index.aliases),
        "modules.symbols": "".join(f"alias {symbol} {module}\n" for symbol, module in index.symbols),
        "modules.softdep": "".join(f"{line.text}\n" for line in index.softdeps),
        "modules.devname": "".join(f"{line.text}\n" for line in index.devnames),
    }
    files = {}
    for name, text in texts.items():
        header = index.headers.get(name) or _HEADERS.get(name, "")
        files[name] = (("" if name == "modules.devname" and not text else header) + text).encode(
            "utf-8", "surrogateescape"
        )
    rows = ((module, line, ranks[module]) for module, line in dependencies.items())
    files["modules.dep.bin"] = write_trie(rows)
    for name, pairs in (("modules.alias.bin", index.aliases), ("modules.symbols.bin", index.symbols)):
        files[name] = write_trie((normalize_alias(key), m, ranks[m]) for key, m in pairs if m in ranks)
    return files


def _dependency_line(index: ModuleIndex, module: str) -> str:
    needs = (index.paths[need] for need in index.needs.get(module, ()) if need in index.paths)
    return " ".join((f"{index.paths[module]}:", *needs))


_MAGIC = 0xB007F457
_VERSION = 0x00020001
_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000


class _Node:
    __slots__ = ("children", "prefix", "values")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.children: dict[int, _Node] = {}
        self.values: list[tuple[int, bytes]] = []


def write_trie(rows: Iterable[tuple[str, str, int]]) -> bytes:
    """The index of key, value and priority.

    Raises:
        FormatError: a key or value is longer or has other characters than depmod takes.
    """
    root = _Node(b"")
    for key, value, priority in rows:
        _insert(root, _plain(key), _plain(value), priority)
    return _serialize(root)


def _plain(text: str) -> bytes:
    if not text.isascii() or "\0" in text:
        raise FormatError(f"a module index has {text[:60]!r}, which is not ASCII")
    return text.encode("ascii")


def _insert(root: _Node, key: bytes, value: bytes, priority: int) -> None:
    if len(key) > MAX_KEY:
        raise FormatError(f"a module index has a name of {len(key)} bytes")
    node, at = root, 0
    while True:
        prefix = node.prefix
        if prefix and not key.startswith(prefix, at):
            _split(node, _common(prefix, key, at))
            prefix = node.prefix
        at += len(prefix)
        if at == len(key):
            break
        child = node.children.get(key[at])
        if child is None:
            child = _Node(key[at + 1 :])
            node.children[key[at]] = child
            node = child
            break
        node = child
        at += 1
    values = node.values
    place = next((number for number, (p, _) in enumerate(values) if p >= priority), len(values))
    values.insert(place, (priority, value))


def _common(prefix: bytes, key: bytes, at: int) -> int:
    length = 0
    while at + length < len(key) and prefix[length] == key[at + length]:
        length += 1
    return length


def _split(node: _Node, length: int) -> None:
    """Leaves `length` bytes of the prefix in the node; a new child takes the rest and all else."""
    child = _Node(node.prefix[length + 1 :])
    child.children, child.values = node.children, node.values
    node.children, node.values = {node.prefix[length]: child}, []
    node.prefix = node.prefix[:length]


def _serialize(root: _Node) -> bytes:
    """Children before their parents, in the order of their characters."""
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack += [node.children[char] for char in sorted(node.children)]
    out = bytearray(12)
    offsets: dict[int, int] = {}
    for node in reversed(order):
        offset = len(out)
        if node.prefix:
            out += node.prefix + b"\0"
            offset |= _PREFIX
        if node.children:
            first, last = min(node.children), max(node.children)
            out += bytes((first, last))
            for char in range(first, last + 1):
                child = node.children.get(char)
                out += struct.pack(">I", 0 if child is None else offsets.pop(id(child)))
            offset |= _CHILDREN
        if node.values:
            out += struct.pack(">I", len(node.values))
            for priority, value in node.values:
                out += struct.pack(">I", priority) + value + b"\0"
            offset |= _VALUES
        offsets[id(node)] = offset
    struct.pack_into(">III", out, 0, _MAGIC, _VERSION, offsets[id(root)])
    return bytes(out)


def names_in(text: str) -> set[str]:
    """The module names of `modules.builtin`, which lists files."""
    return {module_name(line) for line in text.split("\n") if line.strip()}
