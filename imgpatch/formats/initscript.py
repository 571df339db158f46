"""Scripts in an initramfs that load modules by themselves, line by line, without udev.

The `init` of Red Hat Enterprise Linux 5 is carried out by nash, which knows `insmod FILE` and no
dependencies: each module comes after what it needs. The one of dracut's squash images is a shell script
that loads what it takes to mount the image. Lossless: lines come in, none changes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from imgpatch.errors import FormatError
from imgpatch.formats.modindex import module_name


def is_nash(text: str) -> bool:
    """Whether nash of mkinitrd carries the script out."""
    first = text.partition("\n")[0]
    return first.startswith("#!") and posixpath.basename(first[2:].split(" ")[0].strip()) == "nash"


def loaded(text: str, command: str) -> tuple[str, ...]:
    """The names of the modules that `command` (`insmod`, `modprobe`) loads, in order."""
    rows = (line.split() for line in text.split("\n"))
    return tuple(module_name(row[1]) for row in rows if len(row) >= 2 and row[0] == command)


def with_insmods(text: str, files: Sequence[str]) -> str:
    """The script of nash with modules of `/lib` loaded after those it loads, before it looks for disks.

    Args:
        text: the script.
        files: names in `/lib`, each after what it needs.

    Raises:
        FormatError: the script has no `mkrootdev`, so that it is not known what it does.
    """
    lines = text.split("\n")
    commands = [line.split()[0] if line.split() else "" for line in lines]
    if "mkrootdev" not in commands:
        raise FormatError("its init has no mkrootdev line, before which drivers would have to be loaded")
    end = commands.index("mkrootdev")
    devices = [at for at in range(end) if commands[at] == "mkblkdevs"]
    end = devices[-1] if devices else end
    loads = [at for at in range(end) if commands[at] == "insmod"]
    place = loads[-1] + 1 if loads else end
    new = [part for file in files for part in (f'echo "Loading {file} module"', f"insmod /lib/{file}")]
    return "\n".join([*lines[:place], *new, *lines[place:]])


def with_modprobes(text: str, modules: Sequence[str]) -> str | None:
    """A shell script with modules loaded before the first one that it loads; None where it loads none.

    Before and not after: dracut 049 asks for the result of each of its own in the next line.
    """
    lines = text.split("\n")
    place = next((at for at, line in enumerate(lines) if line.split()[:1] == ["modprobe"]), None)
    if place is None:
        return None
    return "\n".join([*lines[:place], *(f"modprobe {module}" for module in modules), *lines[place:]])
