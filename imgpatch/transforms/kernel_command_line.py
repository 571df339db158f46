"""Kernel command lines name the root by UUID, and have what the one NIC of EC2 needs.

Wherever a kernel line stands or is made from: grub.cfg, loader entries, `kernelopts` of the grubenv,
menu.lst, /etc/default/grub and its drop-ins, /etc/kernel/cmdline. `root=/dev/sda2` finds no disk on NVMe:
a guest with such a line ends in the initramfs shell. The documents do not mention it; the rule is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from imgpatch.errors import FormatError
from imgpatch.formats import bls, cmdline, grubenv, shellvars
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import GRUB2, Bootloader, menu
from imgpatch.inspection.grub_defaults import GrubDefaults, grub_defaults, sourced
from imgpatch.inspection.grub_files import GrubFiles
from imgpatch.inspection.loader_entries import LOADER_ENTRIES, loader_entries
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.initramfs_tools import Tool, find_tool
from imgpatch.transforms.kernel_arguments import Arguments
from imgpatch.transforms.kernel_lines import in_grub_cfg, in_menu_lst
from imgpatch.transforms.network_arguments import NetworkArguments
from imgpatch.transforms.nic_names import kernel_arguments

KERNEL_CMDLINE = "/etc/kernel/cmdline"
_ALL_KERNELS = "GRUB_CMDLINE_LINUX"
_SUSE_FILE = "/etc/sysconfig/bootloader"
_SUSE_LISTS = ("DEFAULT_APPEND", "FAILSAFE_APPEND", "XEN_KERNEL_APPEND")
_UNIFIED = ("/boot/efi/EFI/Linux/*.efi", "/efi/EFI/Linux/*.efi", "/boot/EFI/Linux/*.efi")
"""Unified kernel images (kernel-install's `layout=uki`); they may be signed as a whole."""
_NEEDED_BY_DRIVERS = ("nvme-core",)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    bootloader = context.inspection.bootloader
    default = None if bootloader is None else bootloader.default
    today = "" if default is None else default.cmdline
    added = kernel_arguments(guest, context)
    drivers = [name for driver in context.target.drivers for name in (driver.module, *driver.old_names)]
    arguments = Arguments(
        guest.storage,
        added,
        today,
        NetworkArguments.of(context),
        (*drivers, *_NEEDED_BY_DRIVERS),
        by_path=find_tool(guest) is Tool.MKINITRD_SUSE,
    )
    if bootloader is None:
        if arguments.added:
            text = f"no GRUB is found: give the kernel {' '.join(arguments.added)} yourself"
            yield Note(NoteKind.WARNING, "R-66", f"{text}, or its network interface is not eth0")
        return
    if bootloader.kind == GRUB2:
        yield from _menus(guest, bootloader, arguments)
        yield from _defaults(guest, arguments)
    else:
        for path in bootloader.configs:
            yield from _edit(guest, path, in_menu_lst(guest.text(path) or "", arguments), arguments)
    yield from _suse_bootloader(guest, arguments)
    if images := [path for pattern in _UNIFIED for path in guest.glob(pattern)]:
        text = f"{', '.join(images)}: a kernel image with a command line of its own, which is left"
        yield Note(NoteKind.WARNING, OWN_RULE, text)
    yield from (Note(NoteKind.WARNING, OWN_RULE, text) for text in arguments.warnings)


def _menus(guest: Guest, bootloader: Bootloader, arguments: Arguments) -> Iterator[Edit | Note]:
    """The menus GRUB reads when the machine starts."""
    scripts: dict[str, None] = {}
    blocks: dict[str, None] = {}
    folders: dict[str, None] = {}
    for config in bootloader.configs:
        outcome = menu(guest, config)
        scripts |= dict.fromkeys((config, *outcome.sources))
        if outcome.environment_block is not None:
            blocks[outcome.environment_block] = None
        folders[outcome.variables.get("blsdir", LOADER_ENTRIES)] = None
    for path in scripts:
        yield from _edit(guest, path, in_grub_cfg(guest.text(path) or "", arguments), arguments)
    for path in blocks:
        yield from _grubenv(guest, path, arguments)
    entries = {entry.path: entry for folder in folders for entry in loader_entries(GrubFiles(guest), folder)}
    for entry in entries.values():  # those that no menu shows today, too: the next grub.cfg may
        yield from _edit(guest, entry.path, _in_loader_entry(entry.lines, arguments), arguments)
    text = guest.text(KERNEL_CMDLINE)
    if text is not None:
        yield from _edit(guest, KERNEL_CMDLINE, _in_cmdline_file(text, arguments), arguments)


def _in_cmdline_file(text: str, arguments: Arguments) -> str:
    """/etc/kernel/cmdline, of which kernel-install(8) makes the next entries; comments stay."""
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    for place in places:
        lines[place] = arguments.line(lines[place], initrd=True, add=False)
    words = [word for place in places for word in cmdline.words(lines[place])]
    for word in arguments.missing(words) if places else ():
        lines[places[-1]] = cmdline.with_word(lines[places[-1]], word)
    return "\n".join(lines)


def _edit(guest: Guest, path: str, text: str, arguments: Arguments) -> Iterator[Edit]:
    """The edit of one file, with the reasons that came up since the last one."""
    reasons = arguments.take_reasons()
    after = text.encode("utf-8", "surrogateescape")
    if guest.read(path) != after:
        yield Edit(path, after, reasons)


def _in_loader_entry(lines: tuple[bls.Line, ...], arguments: Arguments) -> str:
    initrd = bool(bls.values(lines, "initrd"))
    out: list[bls.Line] = []
    add = True
    for line in lines:
        if line.key == "options":  # GRUB takes the first of several
            out.append(replace(line, value=arguments.line(line.value, initrd=initrd, add=add)))
            add = False
        else:
            out.append(line)
    return bls.unparse(out)


def _grubenv(guest: Guest, path: str, arguments: Arguments) -> Iterator[Edit | Note]:
    data = guest.read(path) or b""
    old = {name: value for name, value in grubenv.values(data).items() if name.endswith("kernelopts")}
    new: dict[str, str | None] = {name: arguments.line(value, initrd=True) for name, value in old.items()}
    reasons = arguments.take_reasons()
    if old == new:
        return
    try:
        yield Edit(path, grubenv.with_values(data, new), reasons)
    except FormatError as error:
        yield Note(NoteKind.WARNING, OWN_RULE, f"{path}: {error}; its kernelopts are left as they are")


def _defaults(guest: Guest, arguments: Arguments) -> Iterator[Edit | Note]:
    """/etc/default/grub and its drop-ins, for the grub.cfg that is made next."""
    defaults = grub_defaults(guest)
    texts: dict[str, str] = {}
    reasons: dict[str, tuple[Reason, ...]] = {}
    for path, text in defaults.texts.items():
        texts[path] = _in_lists(text, arguments, lambda name: name.startswith("GRUB_CMDLINE_"))
        reasons[path] = arguments.take_reasons()
    everywhere = defaults.holder(_ALL_KERNELS)
    by_uuid = _disables_uuid(defaults) if arguments.root_has_uuid else None
    try:
        if everywhere is not None:
            for word in arguments.missing(_words(sourced(texts))):
                texts[everywhere] = shellvars.with_word(texts[everywhere], _ALL_KERNELS, word)
            reasons[everywhere] += arguments.take_reasons()
        if by_uuid is not None:
            texts[by_uuid] = shellvars.with_value(texts[by_uuid], "GRUB_DISABLE_LINUX_UUID", "false")
            reasons[by_uuid] += (Reason(OWN_RULE, "the next grub.cfg must name the root by UUID, too"),)
    except FormatError as error:
        yield Note(NoteKind.WARNING, OWN_RULE, f"{everywhere}: {error}")
    for path, text in texts.items():
        if text != defaults.texts[path]:
            yield Edit(path, text.encode("utf-8", "surrogateescape"), reasons[path])


def _disables_uuid(defaults: GrubDefaults) -> str | None:
    """The file to be edited where grub-mkconfig would write root=/dev/...; None where it would not."""
    value = defaults.get("GRUB_DISABLE_LINUX_UUID")
    if value == "true":
        return defaults.holder("GRUB_DISABLE_LINUX_UUID")
    implied = not value and defaults.get("GRUB_DISABLE_UUID") == "true"
    return defaults.holder("GRUB_DISABLE_UUID") if implied else None


def _words(defaults: GrubDefaults) -> tuple[str, ...]:
    """What all entries of the next menu get: of both lists, where it has no entries for recovery."""
    both = defaults.get("GRUB_DISABLE_RECOVERY") == "true"
    names = (_ALL_KERNELS, f"{_ALL_KERNELS}_DEFAULT") if both else (_ALL_KERNELS,)
    return tuple(word for name in names for word in _held(defaults, name))


def _held(defaults: GrubDefaults, name: str) -> tuple[str, ...]:
    """The words of a list; where only a shell could tell, every word anyone puts into it."""
    if name not in defaults.values:
        return ()
    value = defaults.get(name)
    if value is not None:
        return tuple(value.split())
    found: list[str] = []
    for text in defaults.texts.values():
        for piece in shellvars.parse(text):
            if isinstance(piece, shellvars.Assignment) and piece.name == name:
                found += piece.raw.replace('"', " ").replace("'", " ").split()
    return tuple(found)


def _in_lists(text: str, arguments: Arguments, is_list: Callable[[str], bool]) -> str:
    return shellvars.with_words_mapped(
        text, lambda name, word: arguments.word(word, initrd=True) if is_list(name) else word
    )


def _suse_bootloader(guest: Guest, arguments: Arguments) -> Iterator[Edit | Note]:
    """SUSE: what perl-Bootloader gives to the next kernel where it does not know better."""
    text = guest.text(_SUSE_FILE)
    if text is None:
        return
    after = _in_lists(text, arguments, lambda name: name in _SUSE_LISTS)
    try:
        for name in _SUSE_LISTS[:2]:
            value = shellvars.values(shellvars.parse(after)).get(name)
            for word in arguments.missing(value.split()) if value is not None else ():
                after = shellvars.with_word(after, name, word)
    except FormatError as error:
        yield Note(NoteKind.WARNING, OWN_RULE, f"{_SUSE_FILE}: {error}")
    yield from _edit(guest, _SUSE_FILE, after, arguments)
