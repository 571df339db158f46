"""An edition of the VM Import/Export documents as data.

The five editions differ in what the service is said to do; each is a TOML file in `editions/`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from imgpatch.errors import UsageError
from imgpatch.matrix import LinuxRow, WindowsRow, laid_over, parse_linux, parse_windows

NEWEST = "2026"
GIB = 1024**3
MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits of disks in bytes; None where the edition has no such limit.

    Attributes:
        disk: of any disk (R-11: less than this; R-12: not more).
        import_image: of a disk of ImportImage: less than this.
        boot_disk: of the disk it boots from: not more than this (R-12).
        manifest: above this a manifest file is needed.
        volumes: how many disks (R-13).
        windows_root: free bytes that the root volume of Windows needs (R-45).
        linux_root: likewise of Linux (R-47).
    """

    disk: int
    manifest: int
    volumes: int
    windows_root: int
    import_image: int | None = None
    boot_disk: int | None = None
    linux_root: int | None = None


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition.

    Attributes:
        name: `2019`, `2024`, `2025-07`, `2025-12` or `2026`.
        disabled_fstypes: the types M-05 disables, where the edition names them.
        ssm_agent: whether the service installs the Systems Manager client (M-12).
        debian_fallback_loader: whether it makes BOOTX64.EFI of a Debian guest's GRUBX64.EFI (M-21).
        rules: the requirements that this edition has and not every one does (`R-41`, ...).
        linux, windows: the systems that can be imported.
        uefi_linux: whether Linux may boot by UEFI (R-24).
        boot_modes: what `--boot-mode` may be (R-25).
        regions_without_uefi: Regions that have only BIOS.
        license_types: what `--license-type` may be.
        usage_operations: what `--usage-operation` may be; empty where there is no such option.
        i386_stops: the day on which the tasks of 32-bit systems stop (R-64); None where none is named.
        end_of_life: name of a system -> its versions that are discouraged (R-74).
        i386_stopped: name of a system -> its versions whose 32-bit tasks stop (R-64).
        laid_over: whether a table of the user's own is in `linux` or `windows`.
    """

    name: str
    title: str
    disabled_fstypes: frozenset[str]
    ssm_agent: bool
    debian_fallback_loader: bool
    rules: frozenset[str]
    sizes: Sizes
    linux: tuple[LinuxRow, ...] = field(repr=False)
    windows: tuple[WindowsRow, ...] = field(repr=False)
    uefi_linux: bool
    boot_modes: tuple[str, ...]
    regions_without_uefi: tuple[str, ...]
    license_types: tuple[str, ...]
    usage_operations: tuple[str, ...]
    i386_stops: str | None
    end_of_life: Mapping[str, tuple[str, ...]]
    i386_stopped: Mapping[str, tuple[str, ...]]
    laid_over: bool = False

    def has(self, rule: str) -> bool:
        """Whether a requirement that not every edition has stands in this one."""
        return rule in self.rules


def names() -> tuple[str, ...]:
    """The editions there are, oldest first."""
    folder = resources.files("imgpatch") / "editions"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load(name: str = NEWEST) -> Edition:
    """Reads one edition.

    Raises:
        UsageError: there is no such edition.
    """
    if name not in names():
        raise UsageError(
            f"there is no edition {name!r} of the documents", hint=f"choose one of {', '.join(names())}"
        )
    text = (resources.files("imgpatch") / "editions" / f"{name}.toml").read_text(encoding="utf-8")
    return _parse(name, tomllib.loads(text))


def with_matrix(edition: Edition, text: str) -> Edition:
    """The edition with a table of the user's own laid over: the service's list moves on.

    Args:
        edition: what it is laid over.
        text: TOML with `linux` and `windows` tables as in `editions/`; with `replace = true` at its top
            the edition's own rows go.

    Raises:
        UsageError: it is not such a table.
    """
    try:
        data = tomllib.loads(text)
        linux, windows = parse_linux(data.pop("linux", ())), parse_windows(data.pop("windows", ()))
        whole = bool(data.pop("replace", False))
    except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise UsageError(f"the table of systems cannot be read: {error}", hint=_MATRIX_HINT) from error
    if data:
        raise UsageError(f"the table of systems has {', '.join(data)} beside its rows", hint=_MATRIX_HINT)
    others = {row.name for row in windows}
    return replace(
        edition,
        linux=linux if whole else laid_over(edition.linux, linux),
        windows=(
            *(row for row in edition.windows if not whole and row.name not in others),
            *windows,
        ),
        laid_over=True,
    )


_MATRIX_HINT = (
    'a row is: linux = [{ id = "ubuntu", name = "Ubuntu", versions = ["26.04"], kernels = ["7.0.0"] }]'
)


def _parse(name: str, data: Mapping[str, Any]) -> Edition:
    guest, uefi = data["guest"], data["uefi"]
    return Edition(
        name=name,
        title=data["title"],
        disabled_fstypes=frozenset(data["fstab"]["disabled_types"]),
        ssm_agent=guest["ssm_agent"],
        debian_fallback_loader=uefi["debian_fallback_loader"],
        rules=frozenset(data["rules"]),
        sizes=_sizes(data["sizes"], data["space"]),
        linux=parse_linux(data["linux"]),
        windows=parse_windows(data["windows"]),
        uefi_linux=uefi["linux"],
        boot_modes=tuple(uefi["boot_modes"]),
        regions_without_uefi=tuple(uefi.get("regions_without", ())),
        license_types=tuple(guest["license_types"]),
        usage_operations=tuple(guest["usage_operations"]),
        i386_stops=guest.get("i386_stops"),
        end_of_life=_versions(data.get("end_of_life", {})),
        i386_stopped=_versions(data.get("i386_stopped", {})),
    )


def _sizes(sizes: Mapping[str, int], space: Mapping[str, int]) -> Sizes:
    def limit(table: Mapping[str, int], key: str, unit: int) -> int | None:
        return table[key] * unit if key in table else None

    return Sizes(
        disk=sizes["disk_gib"] * GIB,
        manifest=sizes["manifest_gib"] * GIB,
        volumes=sizes["volumes"],
        windows_root=space["windows_root_mib"] * MIB,
        import_image=limit(sizes, "import_image_gib", GIB),
        boot_disk=limit(sizes, "boot_disk_gib", GIB),
        linux_root=limit(space, "linux_root_mib", MIB),
    )


def _versions(table: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(versions) for name, versions in table.items()}
