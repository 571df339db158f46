"""Which Windows this is, from the SOFTWARE and SYSTEM hives."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.formats import pe
from imgpatch.formats.registry import Key
from imgpatch.guest import Guest

ENVIRONMENT = "PROCESSOR_ARCHITECTURE"
CURRENT_VERSION = "Microsoft\\Windows NT\\CurrentVersion"

_SERVERS = (
    (26100, "Windows Server 2025"),
    (25398, "Windows Server 23H2"),
    (20348, "Windows Server 2022"),
    (17763, "Windows Server 2019"),
    (17134, "Windows Server 1803"),
    (16299, "Windows Server 1709"),
    (14393, "Windows Server 2016"),
    (10240, "Windows Server 2016 Technical Preview"),
    (9600, "Windows Server 2012 R2"),
    (9200, "Windows Server 2012"),
    (7600, "Windows Server 2008 R2"),
    (6000, "Windows Server 2008"),
    (3790, "Windows Server 2003"),
)
_CLIENTS = (
    (22000, "Windows 11"),
    (10240, "Windows 10"),
    (9600, "Windows 8.1"),
    (9200, "Windows 8"),
    (7600, "Windows 7"),
    (6000, "Windows Vista"),
    (2600, "Windows XP"),
)
"""The build each generation began with: the name in the registry still says 10 on Windows 11."""

_VERSIONS = (
    (10240, (10, 0)),
    (9600, (6, 3)),
    (9200, (6, 2)),
    (7600, (6, 1)),
    (6000, (6, 0)),
    (3790, (5, 2)),
    (2600, (5, 1)),
    (2195, (5, 0)),
)
"""Of Windows NT, by the build each began with."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Windows.

    Attributes:
        generation: `Windows Server 2019`, `Windows 11`, ... by build.
        product: as the registry calls it.
        edition: `ServerStandard`, `Professional`, ...; empty before Windows Vista.
        version: major and minor of Windows NT: (6, 1), (10, 0); (0, 0) where nothing tells.
        installation: `Server`, `Server Core`, `Nano Server`, `Client`; empty before Windows Vista.
        role: `WinNT` a workstation, `ServerNT`, or `LanmanNT` a domain controller.
        language: the LCID it was installed in: 0x409 for US English; None where nothing says.
        architecture: `x86_64`, `i386`, ...; None where it cannot be told.
    """

    generation: str
    product: str
    edition: str
    version: tuple[int, int]
    build: int
    installation: str
    role: str
    language: int | None
    architecture: str | None

    @property
    def is_server(self) -> bool:
        return self.role in {"ServerNT", "LanmanNT"} or self.installation.startswith(("Server", "Nano"))

    @property
    def has_driver_database(self) -> bool:
        """Windows 8 and Windows Server 2012 on: drivers are bound there, and StartOverride counts."""
        return self.version >= (6, 2)


def read_release(software: Key | None, control: Key | None, guest: Guest, folder: str) -> Release:
    """Reads the release.

    Args:
        software: the root of SOFTWARE, None where it cannot be read.
        control: the current control set of SYSTEM.
        guest: for the architecture.
        folder: of Windows.
    """
    current = None if software is None else software.at(CURRENT_VERSION)
    build = _digits(_text(current, "CurrentBuildNumber"))
    role = _text(control.at("Control\\ProductOptions") if control else None, "ProductType")
    installation = _text(current, "InstallationType")
    product = _text(current, "ProductName")
    server = role in {"ServerNT", "LanmanNT"} or installation.startswith(("Server", "Nano"))
    generation = next((name for first, name in (_SERVERS if server else _CLIENTS) if build >= first), product)
    if generation == "Windows Server 2003" and "R2" in product:
        generation = "Windows Server 2003 R2"
    return Release(
        generation=generation or "unknown Windows",
        product=product,
        edition=_text(current, "EditionID"),
        version=_version(current) or next((v for first, v in _VERSIONS if build >= first), (0, 0)),
        build=build,
        installation=installation,
        role=role,
        language=_language(control),
        architecture=_architecture(guest, folder) or _named_architecture(control),
    )


def _version(current: Key | None) -> tuple[int, int] | None:
    """Windows 10 on says 6.3 in CurrentVersion, for programs that do not know better; None: no version."""
    major = None if current is None else current.value("CurrentMajorVersionNumber")
    minor = None if current is None else current.value("CurrentMinorVersionNumber")
    if major is not None:
        return major.number, minor.number if minor is not None else 0
    first, _, second = _text(current, "CurrentVersion").partition(".")
    return (_digits(first), _digits(second)) if _digits(first) else None


def _language(control: Key | None) -> int | None:
    text = _text(control.at("Control\\Nls\\Language") if control else None, "InstallLanguage")
    return int(text, 16) if text and all(c in "0123456789abcdefABCDEF" for c in text) else None


def _architecture(guest: Guest, folder: str) -> str | None:
    """From the PE header of a program that every Windows has."""
    for name in ("cmd.exe", "ntoskrnl.exe", "kernel32.dll"):
        data = guest.head(f"{folder}/System32/{name}", 4096)
        if (machine := pe.machine(data)) is not None:
            return machine
    return None


def _named_architecture(control: Key | None) -> str | None:
    """As Windows tells its programs: of use where its files are compressed (CompactOS)."""
    name = _text(control.at("Control\\Session Manager\\Environment") if control else None, ENVIRONMENT)
    return {"AMD64": "x86_64", "x86": "i386", "ARM64": "aarch64"}.get(name)


def _text(key: Key | None, name: str) -> str:
    value = None if key is None else key.value(name)
    return "" if value is None else value.text


def _digits(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0
