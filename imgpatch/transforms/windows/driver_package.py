"""What an INF says of a driver that Windows shall start from: read as Windows' own set-up would.

A driver is taken only where nothing of its installation is left to guess: one service that starts at boot,
one file that is there, and lines of the registry that stand below the service or the device.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from imgpatch.errors import FormatError
from imgpatch.formats import inf, pe
from imgpatch.formats.inf import Inf, Row
from imgpatch.formats.registry import Type, Value
from imgpatch.inspection.windows.release import Release
from imgpatch.transforms.windows.hive_draft import wide, wide_list

STORAGE_CLASSES = frozenset({"scsiadapter", "hdc", "diskdrive"})
DISKS = ("pci\\ven_1d0f&", "pci\\cc_0108")
"""How the hardware ids of EC2's NVMe disks begin: those of Amazon, and those of any NVMe controller."""
EBS = "pci\\ven_1d0f&dev_8061"
"""The disk that EC2 boots from, where an INF installs other disks by other sections."""

_ARCHITECTURES = {"i386": "x86", "x86_64": "amd64", "aarch64": "arm64", "ia64": "ia64"}
_PRODUCTS = {"WinNT": 1, "LanmanNT": 2}
_SERVER = 3
_ASSOCIATED = 0x2
_KERNEL_DRIVER, _BOOT_START = 1, 0
_DRIVERS_FOLDER = "%12%\\"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEVICE = re.compile(r"PCI\\[A-Za-z0-9_&.-]{1,200}", re.IGNORECASE)
_GUID = re.compile(r"\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}")
"""What becomes the name of a key or a file is plain: hivex sorts no other names as Windows does."""

_TYPE_BITS = 0xFFFF0001
_KINDS = {0: Type.SZ, 1: Type.BINARY, 0x10000: Type.MULTI_SZ, 0x10001: Type.DWORD, 0x20000: Type.EXPAND_SZ}
_NO_CLOBBER, _KEY_ONLY = 0x2, 0x10


@dataclass(frozen=True, slots=True)
class RegistryLine:
    """A value below the key of a service or a device."""

    path: str
    value: Value


@dataclass(frozen=True, slots=True)
class BootDriver:
    r"""A driver that can be bound.

    Attributes:
        inf: the path of its INF within the folder given.
        file: the name of the driver's file, which goes to System32\drivers.
        class_guid: in braces.
        devices: hardware ids, `PCI\VEN_1D0F&DEV_8061`, of those that EC2's disks have.
        service_values, device_values: what its installation adds to both.
    """

    inf: str
    service: str
    file: str
    data: bytes = field(repr=False)
    class_guid: str
    devices: tuple[str, ...]
    group: str
    error_control: int
    tag: int | None
    service_values: tuple[RegistryLine, ...]
    device_values: tuple[RegistryLine, ...]


def device_class(data: bytes) -> str:
    """`Net`, `SCSIAdapter`, ...; empty where the file names none."""
    try:
        return inf.parse(data).settings("Version").get("class", "")
    except FormatError:
        return ""


def boot_driver(path: str, files: Sequence[tuple[str, bytes]], release: Release) -> BootDriver | None:
    """The driver of EC2's disks in a package; None where it is for no disk of EC2.

    Args:
        path: of the INF.
        files: all that were given.
        release: of the Windows it shall start.

    Raises:
        FormatError: it is for one, and cannot be bound; says why.
    """
    read = inf.parse(dict(files)[path])
    if not any(_of_ec2(row) for rows in map(read.rows, read.sections) for row in rows):
        return None
    devices, section = _model(read, release)
    service, install = _service(read, section)
    if not _NAME.fullmatch(service) or not all(map(_DEVICE.fullmatch, devices)):
        raise FormatError(f"{service!r} for {', '.join(devices)} are no plain names")
    settings = read.settings(install)
    file = _file_name(settings, install)
    return BootDriver(
        inf=path,
        service=service,
        file=file,
        data=_file(path, file, files, release),
        class_guid=_class_guid(read),
        devices=devices,
        group=settings.get("loadordergroup", ""),
        error_control=_number(settings, "errorcontrol"),
        tag=_number(settings, "tag") if "tag" in settings else None,
        service_values=tuple(_added(read, install)),
        device_values=tuple(_added(read, f"{section}.HW")),
    )


def _of_ec2(row: Row) -> bool:
    return any(field.lower().startswith(DISKS) for field in row.fields[1:])


def _class_guid(read: Inf) -> str:
    guid = read.settings("Version").get("classguid", "")
    if not _GUID.fullmatch(guid):
        raise FormatError("it names no class of devices (ClassGuid)")
    return guid


# --- which of its sections are for this Windows -----------------------------------------------------


def _model(read: Inf, release: Release) -> tuple[tuple[str, ...], str]:
    """The hardware ids of EC2's disks, and the section that installs them."""
    found: dict[str, list[str]] = {}
    for row in read.rows("Manufacturer"):
        targets = [(rank, t) for t in ("", *row.fields[1:]) if (rank := _rank(t, release)) is not None]
        if not targets:
            continue
        _, target = max(targets)
        name = f"{row.field(0)}.{target}" if target else row.field(0)
        for model in filter(_of_ec2, read.rows(name)):
            ids = [i for i in model.fields[1:] if i.lower().startswith(DISKS)]
            found.setdefault(model.field(0), []).extend(ids)
    if len(found) > 1:
        found = {name: ids for name, ids in found.items() if any(i.lower().startswith(EBS) for i in ids)}
    if len(found) != 1:
        raise FormatError(
            f"{len(found) or 'none'} of its sections install EC2's disk on {release.generation} "
            f"({release.architecture}), and one was wanted"
        )
    ((name, devices),) = found.items()
    return tuple(dict.fromkeys(devices)), _decorated(read, name, release)


def _rank(target: str, release: Release) -> tuple[int, ...] | None:
    """How well `NTamd64.6.1.3` fits, more is better; None: not at all (INF Manufacturer section)."""
    kind, *numbers = target.lower().split(".")
    architecture = _ARCHITECTURES.get(release.architecture or "", "")
    if kind not in {f"nt{architecture}", *(("", "nt") if architecture == "x86" else ())}:
        return None
    if not all(number.isdecimal() and len(number) < 8 for number in filter(None, numbers)):
        return None
    major, minor, product, _suite, build = (*(int(n or 0) for n in numbers), 0, 0, 0, 0, 0)[:5]
    if (major, minor) > release.version or ((major, minor) == release.version and build > release.build):
        return None
    if product not in (0, _PRODUCTS.get(release.role, _SERVER)):
        return None
    return major, minor, build, product, len(kind)


def _decorated(read: Inf, name: str, release: Release) -> str:
    """The section that installs: the one for the processor before the one for all (INF DDInstall section)."""
    architecture = _ARCHITECTURES.get(release.architecture or "", "")
    for end in (f".nt{architecture}", ".nt", ""):
        if f"{name}{end}.services".lower() in read.sections:
            return f"{name}{end}"
    raise FormatError(f"[{name}] installs no service")


def _service(read: Inf, section: str) -> tuple[str, str]:
    """Its name and the section that makes it."""
    rows = list(read.rows(f"{section}.Services"))
    if others := [row.name for row in rows if row.name.lower() not in ("addservice", "delservice")]:
        raise FormatError(f"[{section}.Services] has {others[0] or 'a line'} too")
    added = [row for row in rows if row.name.lower() == "addservice" and row.field(0)]
    if len(added) != 1 or not _integer(added[0].field(1)) & _ASSOCIATED:
        raise FormatError(
            f"[{section}.Services] adds {len(added)} services, and one for the device was wanted"
        )
    return added[0].field(0), added[0].field(2)


def _file_name(settings: dict[str, str], install: str) -> str:
    """Of the driver that a service is, which must start at boot and lie with the others."""
    if (_number(settings, "servicetype"), _number(settings, "starttype")) != (_KERNEL_DRIVER, _BOOT_START):
        raise FormatError(f"[{install}] makes no driver that starts at boot")
    binary = settings.get("servicebinary", "")
    file = binary[len(_DRIVERS_FOLDER) :]
    if not binary.startswith(_DRIVERS_FOLDER) or not _NAME.fullmatch(file):
        raise FormatError(f"its file is {binary or 'not named'}, and %12%\\NAME.sys was wanted")
    return file


# --- what it adds ------------------------------------------------------------------------------------


def _file(path: str, name: str, files: Sequence[tuple[str, bytes]], release: Release) -> bytes:
    """The one file of that name below the INF's folder that is made for the processor."""
    folder = posixpath.dirname(path)
    named = [
        data
        for other, data in files
        if posixpath.basename(other).lower() == name.lower()
        and (not folder or other.startswith(f"{folder}/"))
    ]
    fitting = {data for data in named if pe.machine(data) == release.architecture}
    if len(fitting) != 1:
        raise FormatError(
            f"of {len(named)} files {name} beside it {len(fitting)} are made for {release.architecture}"
        )
    return fitting.pop()


def _added(read: Inf, section: str) -> Iterator[RegistryLine]:
    """By the AddReg lines of a section."""
    for row in read.rows(section):
        for name in row.fields if row.name.lower() == "addreg" else ():
            for line in read.rows(name):
                yield from _line(line, name)


def _line(row: Row, section: str) -> Iterator[RegistryLine]:
    """`HKR, subkey, name, flags, data...` (INF AddReg directive)."""
    root, path, name, flags = row.field(0), row.field(1), row.field(2), _integer(row.field(3))
    kind = _KINDS.get(flags & _TYPE_BITS)
    if root.upper() != "HKR" or kind is None or flags & ~(_TYPE_BITS | _NO_CLOBBER | _KEY_ONLY):
        raise FormatError(
            f"[{section}] has a line for the registry that is not known: {', '.join(row.fields)}"
        )
    if not (path + name).isascii():
        raise FormatError(f"[{section}] has a name that is not plain: {path}\\{name}")
    if not flags & _KEY_ONLY and len(row.fields) > 2:
        yield RegistryLine(path.strip("\\"), Value(name, kind, _data(kind, row.fields[4:], section)))


def _data(kind: Type, fields: tuple[str, ...], section: str) -> bytes:
    match kind:
        case Type.DWORD if len(fields) == 1:
            return (_integer(fields[0]) & 0xFFFFFFFF).to_bytes(4, "little")
        case Type.BINARY | Type.DWORD:
            try:
                return bytes(int(text, 16) for text in fields)
            except ValueError as error:
                raise FormatError(f"[{section}] has bytes that are none: {', '.join(fields)}") from error
        case Type.MULTI_SZ:
            return wide_list(fields)
        case _:
            return wide(",".join(fields[:1]))


def _number(settings: dict[str, str], name: str) -> int:
    return _integer(settings.get(name, ""))


def _integer(text: str) -> int:
    """In C's forms, as an INF has them; 0 where nothing is written."""
    try:
        return int(text, 0) if text else 0
    except ValueError as error:
        raise FormatError(f"{text!r} stands where a number was wanted") from error
