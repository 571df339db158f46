"""The registry hives of a guest, as they are once their logs are replayed."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from imgpatch.errors import FormatError, RefusedError
from imgpatch.formats import regf, registry, reglog
from imgpatch.formats.registry import Key
from imgpatch.guest import Guest

VOLUME = "/C:"
"""Where the volume with Windows is mounted, whatever letter it has there."""

SYSTEM_PARTITION = "/S:"
"""Where the partition that the firmware starts from is mounted, if that is another one."""

FOLDERS = ("Windows", "WINNT")
LOGS = (".LOG1", ".LOG2", ".LOG")


@dataclass(frozen=True, slots=True)
class Hive:
    """One hive, clean.

    Attributes:
        path: of the file, its true case.
        data: the whole file with its logs replayed: the file itself where it was clean.
        replayed: how many unfinished writes its logs held.
        forced: it is dirty, its logs are of no use, and it was asked for as it stands.
        logs: the files of logs that are not empty.
    """

    path: str
    data: bytes = field(repr=False)
    replayed: int = 0
    forced: bool = False
    logs: tuple[str, ...] = ()

    @property
    def root(self) -> Key:
        return registry.read(self.data)

    @property
    def unfinished(self) -> str:
        """How it was left and what it is taken for; empty for one that was clean."""
        if self.forced:
            said = "its logs hold nothing that can be replayed" if self.logs else "it has no logs"
            return f"it was being written, and {said}: it is taken as it stands, as asked for"
        if self.replayed:
            writes = "1 unfinished write" if self.replayed == 1 else f"{self.replayed} unfinished writes"
            return f"it was being written: {writes} in its logs counted in, as Windows does when it starts"
        return ""


def windows_folder(guest: Guest) -> str | None:
    """The folder of Windows; None where there is none with a SYSTEM hive."""
    if not guest.exists(VOLUME):
        return None
    return next(
        (path for name in FOLDERS if guest.exists(_config(path := f"{VOLUME}/{name}", "SYSTEM"))), None
    )


def open_hive(guest: Guest, name: str, *, force: bool = False) -> Hive:
    """A hive of the folder System32/config: `SYSTEM`, `SOFTWARE`, ...

    Raises:
        RefusedError: it is not there, damaged, or dirty and its logs are of no use.
    """
    folder = windows_folder(guest)
    if folder is None:
        raise RefusedError("no Windows with a registry was found")
    return open_hive_file(guest, _config(folder, name), force=force)


def open_hive_file(guest: Guest, path: str, *, force: bool = False) -> Hive:
    """Any hive by its path, the boot store too.

    Args:
        guest: the machine.
        path: of the file.
        force: take a dirty hive without usable logs as it stands; what the logs would have added is lost.

    Raises:
        RefusedError: it is not there, damaged, or dirty and its logs are of no use.
    """
    real = guest.resolve(path)
    data = guest.read(real)
    if data is None:
        raise RefusedError(f"{path}: the hive is not there")
    logs = {log: contents for suffix in LOGS if (contents := guest.read(log := guest.resolve(real + suffix)))}
    base = regf.base_block(data)
    if base is not None and not base.dirty:
        return _checked(Hive(real, data, logs=tuple(logs)))
    done = reglog.replay(data, list(logs.values()))
    if done.data is not None:
        return _checked(Hive(real, done.data, replayed=done.entries, logs=tuple(logs)))
    if force and base is not None and base.intact:
        return _checked(
            Hive(real, regf.with_base(data, sequence=base.primary), forced=True, logs=tuple(logs))
        )
    said = "its logs hold nothing that can be replayed" if logs else "it has no logs"
    raise RefusedError(
        f"{real}: the hive was being written when the machine stopped, and {said}",
        hint="start Windows once more and shut it down with `shutdown /s /t 0`"
        "; or take the hive as it stands with --force-dirty-hives",
    )


def _checked(hive: Hive) -> Hive:
    try:
        registry.read(hive.data)
    except FormatError as error:
        raise RefusedError(
            f"{hive.path}: the hive is damaged: {error}",
            hint="let Windows repair it (it keeps older ones in config\\RegBack), then try again",
        ) from error
    return hive


def _config(folder: str, name: str) -> str:
    return posixpath.join(folder, "System32/config", name)
