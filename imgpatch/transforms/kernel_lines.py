"""Kernel lines within GRUB's menus, edited in place; not a transform, the hands of one."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace

from imgpatch.formats import cmdline, grubcfg, grublegacy
from imgpatch.formats.grubcfg import Command, Word
from imgpatch.transforms.kernel_arguments import Arguments, takes_variable

_LINUX = frozenset({"linux", "linux16", "linuxefi"})
_MODULE = frozenset({"module", "module2"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})
_KERNELS = ("vmlinu", "bzImage", "kernel-", "linux")

Pieces = Iterator[tuple[int, int, str]]


def in_grub_cfg(text: str, arguments: Arguments) -> str:
    """grub.cfg with the arguments of every Linux kernel, and `kernelopts` where it is set, rewritten."""
    script = grubcfg.parse(text)
    pieces: list[tuple[int, int, str]] = []
    for block in grubcfg.blocks(script.nodes):
        names = [command.name for command in block]
        initrd = not _INITRD.isdisjoint(names) or sum(name in _MODULE for name in names) > 1
        for command in block:
            if command.name in _LINUX | _MODULE and len(command.words) > 1:
                pieces += _kernel_pieces(command, arguments, initrd=initrd)
            else:
                pieces += _variable_pieces(command, arguments)
    return script.replaced(pieces)


def _kernel_pieces(command: Command, arguments: Arguments, *, initrd: bool) -> Pieces:
    words = [word for word in command.words[1:] if not word.raw.startswith("--")]
    values = [word.literal for word in words]
    if not words or not _is_linux(values[0] or words[0].raw, [value or "" for value in values[1:]]):
        return
    kept: list[str] = []
    for before, word, value in zip(words, words[1:], values[1:], strict=False):
        new = value if value is None else arguments.word(value, initrd=initrd)
        if value is not None and new is None:
            yield before.end, word.end, ""
        elif new is not None and new != value and (raw := _rewritten(word, new)) is not None:
            yield word.start, word.end, raw
        kept.append(new or "")
    if not any(takes_variable(word.raw) for word in words):
        for missing in arguments.missing(kept):
            yield command.words[-1].end, command.words[-1].end, f" {missing}"


def _rewritten(word: Word, new: str) -> str | None:
    """The new value in the quotes that the whole word has; None where its quoting is of another kind."""
    if word.raw == word.literal:
        return new
    quote = word.raw[0]
    return f"{quote}{new}{quote}" if word.raw == f"{quote}{word.literal}{quote}" else None


def _variable_pieces(command: Command, arguments: Arguments) -> Pieces:
    """`set kernelopts="root=/dev/sda2 ro"`, as RHEL 8 has it for entries without options of their own."""
    found = grubcfg.assignment(command)
    if found is None or not found[0].endswith("kernelopts"):
        return
    word = found[1]
    value = word.literal
    if value is None or not value.strip():
        return
    new = arguments.line(value, initrd=True)
    if new != value:
        yield word.start, word.end, grubcfg.quoted(new, word.raw)


def in_menu_lst(text: str, arguments: Arguments) -> str:
    """GRUB legacy's menu likewise, and Debian's settings from which update-grub makes new lines."""
    lines = grublegacy.parse(text)
    with_initrd = {line.entry for line in lines if line.command == "initrd"}
    modules = [line.entry for line in lines if line.command == "module"]
    with_initrd |= {entry for entry in modules if modules.count(entry) > 1}
    return grublegacy.unparse(
        [_legacy_line(line, arguments, initrd=line.entry in with_initrd) for line in lines]
    )


def _legacy_line(line: grublegacy.Line, arguments: Arguments, *, initrd: bool) -> grublegacy.Line:
    if line.command and line.lead.startswith(
        "#"
    ):  # Debian's settings: what is added to kopt is in every line made of it
        add = line.command.startswith("kopt")
        return replace(line, value=arguments.line(line.value, initrd=True, add=add))
    cut = cmdline.after_first(line.value)
    file, rest = line.value[:cut], line.value[cut:]
    open_quote = line.value.count('"') % 2
    if line.command not in ("kernel", "module") or open_quote:
        return line
    if not _is_linux(file.strip(), cmdline.words(rest)):
        return line
    new = arguments.line(rest, initrd=initrd)
    gap = "" if not new or file.endswith((" ", "\t")) else " "
    return replace(line, value=file + gap + new)


def _is_linux(kernel: str, arguments: Sequence[str]) -> bool:
    """Not memtest, not a hypervisor, not an initramfs given as a module."""
    named = posixpath.basename(kernel).startswith(_KERNELS)
    return named or any(argument.startswith("root=") for argument in arguments)
