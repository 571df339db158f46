"""Carries out a GRUB script over a guest's files, as GRUB would when the machine starts.

Only what decides the menu is done: variables, conditions, functions, `search`, `source`, `load_env`,
`menuentry`, `submenu`, `blscfg`. Every other command does nothing and succeeds. A script that loops
is stopped after a number of steps.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgpatch.formats import bls, grubcfg, grubenv
from imgpatch.formats.grubcfg import Command, Function, If, Loop, Node, Script, Word
from imgpatch.inspection.grub_files import GUEST, GrubFiles
from imgpatch.inspection.grub_menu import MenuItem
from imgpatch.inspection.grub_test import evaluate
from imgpatch.inspection.grub_words import expand, options_of
from imgpatch.inspection.loader_entries import (
    LOADER_ENTRIES,
    expanded,
    loader_entries,
    sorted_entries,
)

MAX_STEPS = 100_000
MAX_SOURCES = 8
MAX_CALLS = 40
MAX_DEPTH = 120
"""Of conditions, loops and functions within each other."""

_FEATURES = ("menuentry_id", "menuentry_options", "platform_search_hint", "timeout_style")
_MORE_FEATURES = ("default_font_path", "all_video_module", "chainloader_bpb", "ntldr", "net_do_bootp")
_FAILING = frozenset({"false", "cmostest", "keystatus", "background_image"})
_LINUX = frozenset({"linux", "linux16", "linuxefi", "kernel"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})


@dataclass(frozen=True, slots=True)
class Setter:
    """The command that set a variable last, and the file of the guest it stands in."""

    path: str
    script: Script
    command: Command


@dataclass(slots=True)
class State:
    """What a script has done so far.

    Attributes:
        boot: what the commands of an entry loaded: `linux`, `initrds`, `cmdline`, `hypervisor`.
        sources: every file that was read as a script, in order.
        environment_block: the file `load_env` read, or would have read if there were one.
    """

    variables: dict[str, str]
    setters: dict[str, Setter] = field(default_factory=dict)
    functions: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    items: list[MenuItem] = field(default_factory=list)
    bodies: list[tuple[Node, ...]] = field(default_factory=list)
    arguments: tuple[str, ...] = ()
    kernel: str | None = None
    initrds: tuple[str, ...] = ()
    cmdline: str = ""
    hypervisor: str | None = None
    sources: list[str] = field(default_factory=list)
    environment_block: str | None = None
    uses_bls: bool = False


@dataclass(frozen=True, slots=True)
class Menu:
    """The outcome: the menu, the variables and what set them."""

    items: tuple[MenuItem, ...]
    variables: Mapping[str, str]
    setters: Mapping[str, Setter]
    sources: tuple[str, ...]
    environment_block: str | None
    uses_bls: bool


def run(files: GrubFiles, path: str, *, platform: str, without: Sequence[str] = ()) -> Menu:
    """Carries out the script at a path of the guest.

    `platform` is GRUB's word: `pc` or `efi`. Variables in `without` are not taken from the environment
    block.
    """
    interpreter = _Interpreter(files, frozenset(without))
    folder = posixpath.dirname(path)
    variables = {f"feature_{name}": "y" for name in (*_FEATURES, *_MORE_FEATURES)}
    variables |= {
        "grub_platform": platform,
        "grub_cpu": "x86_64",
        "root": GUEST,
        "prefix": f"({GUEST}){folder}",
    }
    variables |= {"config_directory": f"({GUEST}){folder}", "config_file": f"({GUEST}){path}"}
    state = State(variables)
    interpreter.source(state, f"({GUEST}){path}")
    return Menu(
        interpreter.opened(state, 0),
        state.variables,
        state.setters,
        tuple(state.sources),
        state.environment_block,
        state.uses_bls,
    )


class _Interpreter:
    def __init__(self, files: GrubFiles, without: frozenset[str]) -> None:
        self._files = files
        self._without = without
        self._steps = 0
        self._calls = 0
        self._depth = 0
        self._current: list[tuple[str, Script]] = []
        self._scripts: dict[str, Script] = {}
        self._commands: dict[str, Callable[[State, Command, list[str]], bool]] = {
            "set": self._set,
            "unset": self._unset,
            "load_env": self._load_env,
            "[": self._test,
            "test": self._test,
            "source": self._source,
            ".": self._source,
            "configfile": self._source,
            "search": self._search,
            "search.fs_uuid": self._search,
            "search.fs_label": self._search,
            "search.file": self._search,
            "menuentry": self._menuentry,
            "submenu": self._menuentry,
            "blscfg": self._blscfg,
            "bls_import": self._blscfg,
            "multiboot": self._multiboot,
            "multiboot2": self._multiboot,
            "module": self._module,
            "module2": self._module,
        }
        self._commands |= dict.fromkeys(_LINUX, self._linux) | dict.fromkeys(_INITRD, self._initrd)

    # --- nodes ---

    def source(self, state: State, path: str) -> bool:
        real = self._files.locate(path, state.variables.get("root", GUEST))
        data = self._files.read(real)
        if data is None or len(self._current) >= MAX_SOURCES:
            return False
        real = self._files.guest.resolve(real)
        if real not in self._scripts:
            self._scripts[real] = grubcfg.parse(data.decode("utf-8", "surrogateescape"))
        state.sources.append(real)
        self._current.append((real, self._scripts[real]))
        self._run(state, self._scripts[real].nodes)
        self._current.pop()
        return True

    def opened(self, state: State, depth: int) -> tuple[MenuItem, ...]:
        """The menu with what each entry boots and each submenu holds."""
        return tuple(
            self._opened(state, item, body, depth)
            for item, body in zip(state.items, state.bodies, strict=True)
        )

    def _opened(self, state: State, item: MenuItem, body: tuple[Node, ...], depth: int) -> MenuItem:
        if not body or depth > MAX_SOURCES:
            return item
        inner = State(dict(state.variables), functions=state.functions, arguments=(item.title,))
        self._current.append((item.source, grubcfg.Script("", ())))
        self._run(inner, body)
        self._current.pop()
        if item.items is not None:
            return replace(item, items=self.opened(inner, depth + 1))
        return replace(
            item,
            kernel=inner.kernel,
            initrds=inner.initrds,
            cmdline=inner.cmdline,
            hypervisor=inner.hypervisor,
        )

    def _run(self, state: State, nodes: Sequence[Node]) -> bool:
        if self._depth >= MAX_DEPTH:
            return False
        self._depth += 1
        result = self._run_each(state, nodes)
        self._depth -= 1
        return result

    def _run_each(self, state: State, nodes: Sequence[Node]) -> bool:
        result = True
        for node in nodes:
            self._steps += 1
            if self._steps > MAX_STEPS:
                return False
            if isinstance(node, Command):
                result = self._command(state, node)
            elif isinstance(node, If):
                result = self._if(state, node)
            elif isinstance(node, Function):
                state.functions[node.name] = node.body
            elif isinstance(node, Loop):
                result = self._loop(state, node)
        return result

    def _if(self, state: State, node: If) -> bool:
        for branch in node.branches:
            if self._run(state, branch.condition):
                return self._run(state, branch.body)
        return self._run(state, node.otherwise)

    def _loop(self, state: State, node: Loop) -> bool:
        if node.kind == "for":
            values = self._expanded(state, node.words[3:])
            for value in values:
                state.variables[node.words[1].raw] = value
                self._run(state, node.body)
            return True
        while self._steps <= MAX_STEPS and self._run(state, node.condition) is (node.kind == "while"):
            self._steps += 1
            self._run(state, node.body)
        return True

    def _command(self, state: State, command: Command) -> bool:
        found = grubcfg.assignment(command)
        if found is not None:
            name, word = found
            value = " ".join(self._expanded(state, (word,))) if word.raw else ""
            return self._assign(state, name, value, command)
        words = self._expanded(state, command.words)
        if not words:
            return True
        if words[0] in self._commands:
            return self._commands[words[0]](state, command, words[1:])
        if words[0] in state.functions:
            return self._call(state, words)
        return words[0] not in _FAILING

    def _call(self, state: State, words: list[str]) -> bool:
        if self._calls >= MAX_CALLS:
            return False
        self._calls += 1
        outer, state.arguments = state.arguments, tuple(words[1:])
        result = self._run(state, state.functions[words[0]])
        state.arguments = outer
        self._calls -= 1
        return result

    # --- words ---

    def _expanded(self, state: State, words: Sequence[Word]) -> list[str]:
        out: list[str] = []
        for word in words:
            out += expand(word, state.variables, state.arguments)
        return out

    def _assign(self, state: State, name: str, value: str, command: Command) -> bool:
        state.variables[name] = value
        if self._current:
            state.setters[name] = Setter(*self._current[-1], command)
        return True

    # --- commands ---

    def _set(self, state: State, command: Command, words: list[str]) -> bool:
        if words:
            name, equals, value = words[0].partition("=")
            return bool(equals) and self._assign(state, name, value, command)
        return True

    def _unset(self, state: State, _: Command, words: list[str]) -> bool:
        for name in words:
            state.variables.pop(name, None)
            state.setters.pop(name, None)
        return True

    def _load_env(self, state: State, _: Command, words: list[str]) -> bool:
        options, names = options_of(words, with_value={"-f", "--file"})
        path = options.get("-f") or options.get("--file") or f"{state.variables.get('prefix', '')}/grubenv"
        real = self._files.locate(path, state.variables.get("root", GUEST))
        if state.environment_block is None:
            state.environment_block = self._files.guest.resolve(real)
        data = self._files.seen(real)
        if data is None:
            return False
        for name, value in grubenv.values(data).items():
            if name not in self._without and (not names or name in names):
                state.variables[name] = value
                state.setters.pop(name, None)
        return True

    def _test(self, state: State, _: Command, words: list[str]) -> bool:
        if words and words[-1] == "]":
            words = words[:-1]
        return evaluate(words, self._files, state.variables.get("root", GUEST))

    def _source(self, state: State, _: Command, words: list[str]) -> bool:
        return bool(words) and self.source(state, words[0])

    def _search(self, state: State, command: Command, words: list[str]) -> bool:
        kind = (command.name or "search").partition(".")[2]
        with_value = {"--set", "--hint", "--hint-bios", "--hint-efi", "--hint-baremetal", "--hint-ieee1275"}
        options, values = options_of(words, with_value=with_value - {"--set"})
        if not values:
            return False
        variable = options.get("--set") or (values[1] if kind and len(values) > 1 else "root")
        wanted = values[0]
        if "--set" in words and len(values) > 1 and not kind:  # `--set name` in two words
            variable, wanted = values[0], values[1]
        storage = self._files.guest.storage
        if kind == "fs_uuid" or {"--fs-uuid", "-u"} & options.keys():
            device = storage.by_uuid(wanted)
        elif kind == "fs_label" or {"--label", "--fs-label", "-l"} & options.keys():
            device = storage.by_label(wanted)
        else:
            device = next((d for d in storage.devices if self._files.holds(d, wanted)), None)
        if device is None:
            return False
        return self._assign(state, variable, self._files.name_of(device), command)

    def _menuentry(self, state: State, command: Command, words: list[str]) -> bool:
        named = {"--class", "--users", "--hotkey", "--id", "--source"}
        options, values = options_of(words, with_value=named)
        if not values:
            return False
        source = self._current[-1][0] if self._current else ""
        items = () if command.name == "submenu" else None
        locked = "--unrestricted" not in options or "--users" in options
        item = MenuItem(values[0], options.get("--id") or values[0], source, items, locked=locked)
        state.items.append(item)
        state.bodies.append(command.body or ())
        return True

    def _linux(self, state: State, _: Command, words: list[str]) -> bool:
        if words:
            state.kernel = self._path(state, words[0])
            state.cmdline = " ".join(words[1:])
        return True

    def _initrd(self, state: State, _: Command, words: list[str]) -> bool:
        state.initrds = tuple(self._path(state, word) for word in words if not word.startswith("-"))
        return True

    def _multiboot(self, state: State, _: Command, words: list[str]) -> bool:
        if words:
            state.hypervisor = self._path(state, words[0])
        return True

    def _module(self, state: State, _: Command, words: list[str]) -> bool:
        words = [word for word in words if not word.startswith("--")]
        if words and state.kernel is None:
            state.kernel = self._path(state, words[0])
            state.cmdline = " ".join(words[1:]).removeprefix("placeholder ")
        elif words:
            state.initrds = (*state.initrds, self._path(state, words[0]))
        return True

    def _blscfg(self, state: State, _: Command, words: list[str]) -> bool:
        if words:  # only the default, or all but it: the menu as a whole stays the same
            return True
        state.uses_bls = True
        folder = state.variables.get("blsdir", LOADER_ENTRIES)
        for entry in sorted_entries(loader_entries(self._files, folder)):
            kernel = bls.first(entry.lines, "linux")
            if kernel is None:
                continue
            options = bls.first(entry.lines, "options") or state.variables.get("default_kernelopts", "")
            initrds = " ".join(bls.values(entry.lines, "initrd"))
            item = MenuItem(
                title=bls.first(entry.lines, "title") or kernel,
                id=entry.id,
                source=entry.path,
                kernel=self._path(state, kernel),
                initrds=tuple(self._path(state, path) for path in expanded(initrds, state.variables).split()),
                cmdline=expanded(options, state.variables),
                locked=bool(expanded(bls.first(entry.lines, "grub_users") or "", state.variables).strip()),
            )
            state.items.append(item)
            state.bodies.append(())
        return True

    def _path(self, state: State, path: str) -> str:
        guest = self._files.guest
        return guest.resolve(self._files.locate(path, state.variables.get("root", GUEST)))
