"""What `aws ec2 import-image` is asked for: its parameters, and what the service refuses of them.

Pure: the disks are names here, none is looked at (documents 6.1 and 6.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from imgpatch.edition import Edition
from imgpatch.errors import UsageError

FORMATS = ("OVA", "VMDK", "VHD", "VHDX", "RAW")
PLATFORMS = ("Windows", "Linux")
ARCHITECTURES = ("i386", "x86_64")
FIELDS = ("Description", "DeviceName", "Format", "SnapshotId", "Url", "UserBucket")
SCHEME = "file://"

_LOCAL = 'imgpatch reads local files: write {"Format": "raw", "Url": "file:///srv/images/disk.raw"}'
_LIST = 'it is a list of disks: [{"Format": "raw", "Url": "file:///srv/images/disk.raw"}]'
_SHORTHAND = re.compile(r"""([A-Za-z0-9]+)=("[^"]*"|'[^']*'|\{.*\}|[^,]*)(?:,|$)""")


class System(StrEnum):
    """What a licence is for."""

    LINUX = "Linux"
    RHEL = "Red Hat Enterprise Linux"
    SUSE = "SUSE Linux"
    WINDOWS_SERVER = "Windows Server"
    WINDOWS_CLIENT = "a client of Windows"


ON_LINUX = frozenset({System.LINUX, System.RHEL, System.SUSE})
ON_WINDOWS = frozenset({System.WINDOWS_SERVER, System.WINDOWS_CLIENT})
_SERVER = frozenset({System.WINDOWS_SERVER})

OPERATIONS: Mapping[str, frozenset[System]] = {
    "RunInstances": ON_LINUX,
    "RunInstances:0004": ON_LINUX,
    "RunInstances:0100": ON_LINUX,
    "RunInstances:0200": ON_LINUX,
    "RunInstances:0010": frozenset({System.RHEL}),
    "RunInstances:000g": frozenset({System.SUSE}),
    "RunInstances:0002": _SERVER,
    "RunInstances:0006": _SERVER,
    "RunInstances:0102": _SERVER,
    "RunInstances:0202": _SERVER,
    "RunInstances:0800": _SERVER,
}
"""The systems that each usage operation is for (documents 6.3)."""

LICENCES: Mapping[str, frozenset[System]] = {
    "AWS": _SERVER,
    "BYOL": ON_LINUX | ON_WINDOWS,
    "Auto": ON_LINUX | ON_WINDOWS,
}
"""Linux and the clients of Windows bring their own licence."""


@dataclass(frozen=True, slots=True)
class AskedDisk:
    """One disk container.

    Attributes:
        path: of the file, as it was written, without `file://`.
        format: in capitals; None where none was declared.
    """

    path: str
    format: str | None = None
    description: str | None = None
    device_name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A task as it was asked for; None is what was left to the service."""

    disks: tuple[AskedDisk, ...]
    boot_mode: str | None = None
    license_type: str | None = None
    usage_operation: str | None = None
    platform: str | None = None
    architecture: str | None = None
    description: str | None = None
    encrypted: bool = False
    kms_key_id: str | None = None

    @property
    def licensed(self) -> frozenset[System]:
        """The systems that the licence it asks for is for; all where none was asked for."""
        if self.usage_operation is not None:
            return OPERATIONS[self.usage_operation]
        return LICENCES[self.license_type or "BYOL"]

    @property
    def licence(self) -> str:
        """The option with the licence, as it is written; empty where there is none."""
        if self.usage_operation is not None:
            return f"--usage-operation {self.usage_operation}"
        return f"--license-type {self.license_type}" if self.license_type else ""


def checked(request: ImportRequest, edition: Edition) -> ImportRequest:
    """The request, its licence type spelt as the documents do.

    Raises:
        UsageError: the service refuses such a call.
    """
    if not request.disks:
        raise UsageError("--disk-containers names no disk", hint=_LIST)
    if request.license_type is not None and request.usage_operation is not None:
        raise UsageError(
            "--license-type and --usage-operation are both given, and the service takes one of them",
            hint="keep --usage-operation where the licence of SQL Server matters, else --license-type",
        )
    licence = _one_of("--license-type", request.license_type, edition.license_types, any_case=True)
    _offered("--usage-operation", request.usage_operation, edition.usage_operations, edition)
    _offered("--boot-mode", request.boot_mode, edition.boot_modes, edition)
    _one_of("--platform", request.platform, PLATFORMS)
    _one_of("--architecture", request.architecture, ARCHITECTURES)
    asked = replace(request, license_type=licence)
    on_platform = {"Linux": ON_LINUX, "Windows": ON_WINDOWS}.get(asked.platform or "")
    if on_platform is not None and not on_platform & asked.licensed:
        raise UsageError(
            f"{asked.licence} is for {_names(asked.licensed)}, and --platform is {asked.platform}",
            hint="Linux and the clients of Windows bring their own licence: BYOL, and for Linux RunInstances",
        )
    return asked


def parse_disks(text: str) -> tuple[AskedDisk, ...]:
    """The value of `--disk-containers`: JSON, or `Format=raw,Url=file:///srv/disk.raw`.

    Raises:
        UsageError: it is neither, or names a place that is no local file.
    """
    rows = _json(text) if text.lstrip()[:1] in ("[", "{") else [_shorthand(text)]
    return tuple(_disk(number, row) for number, row in enumerate(rows, 1))


def _json(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--disk-containers is no JSON: {error}", hint=_LIST) from error
    if not isinstance(rows, list):
        raise UsageError("--disk-containers is one object, and a list was wanted", hint=_LIST)
    return rows


def _shorthand(text: str) -> Mapping[str, str]:
    text = text.strip()
    found, end = {}, 0
    while end < len(text):
        match = _SHORTHAND.match(text, end)
        if match is None:
            raise UsageError(f"--disk-containers {text}: cannot be read from {text[end:]!r} on", hint=_LIST)
        value = match[2]
        found[match[1]] = value[1:-1] if value[:1] in ("'", '"') else value
        end = match.end()
    return found


def _disk(number: int, row: object) -> AskedDisk:
    if not isinstance(row, dict):
        raise UsageError(f"--disk-containers: disk {number} is no object", hint=_LIST)
    if unknown := [str(key) for key in row if key not in FIELDS]:
        raise UsageError(
            f"--disk-containers: disk {number} has {', '.join(unknown)}",
            hint=f"a disk has {', '.join(FIELDS)}, with these capitals",
        )
    for key in ("UserBucket", "SnapshotId"):
        if key in row:
            raise UsageError(f"--disk-containers: disk {number} comes from a {key}", hint=_LOCAL)
    if wrong := [key for key, value in row.items() if not isinstance(value, str)]:
        raise UsageError(f"--disk-containers: {wrong[0]} of disk {number} is no text", hint=_LIST)
    return AskedDisk(
        _path(number, row.get("Url", "")),
        _format(number, row.get("Format")),
        row.get("Description"),
        row.get("DeviceName"),
    )


def _path(number: int, url: str) -> str:
    """As the AWS CLI reads `file://`: what follows it is the path, nothing in it is decoded."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if scheme is not None and scheme[1].lower() != "file":
        raise UsageError(f"--disk-containers: disk {number} comes from {scheme[1]}://", hint=_LOCAL)
    path = url if scheme is None else url[len(SCHEME) :]
    if not path:
        raise UsageError(f"--disk-containers: disk {number} has no Url", hint=_LOCAL)
    return path


def _format(number: int, value: str | None) -> str | None:
    if value is None or value.upper() in FORMATS:
        return None if value is None else value.upper()
    raise UsageError(
        f"--disk-containers: disk {number} has the Format {value}",
        hint=f"the service takes {', '.join(FORMATS)}; qemu-img convert -O raw makes a raw disk of others",
    )


def _offered(option: str, value: str | None, values: Sequence[str], edition: Edition) -> None:
    if value is not None and not values:
        raise UsageError(f"{option}: the edition {edition.name} has no such option", hint="leave it out")
    _one_of(option, value, values)


def _one_of(option: str, value: str | None, values: Sequence[str], *, any_case: bool = False) -> str | None:
    for other in values:
        if value == other or (any_case and value is not None and value.lower() == other.lower()):
            return other
    if value is not None:
        raise UsageError(f"{option} {value}: not known", hint=f"it may be {', '.join(values)}")
    return None


def _names(systems: Iterable[System]) -> str:
    return ", ".join(system for system in System if system in set(systems))
