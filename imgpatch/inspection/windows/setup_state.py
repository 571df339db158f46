"""How far the set-up of a Windows guest is, and what in it hinders an import or a first boot."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.formats.registry import Key, Type
from imgpatch.guest import Guest
from imgpatch.inspection.windows.hives import VOLUME

WINDOWS = "Microsoft\\Windows\\CurrentVersion"
GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"

_DOTNET = (
    (528040, "4.8"),
    (461808, "4.7.2"),
    (461308, "4.7.1"),
    (460798, "4.7"),
    (394802, "4.6.2"),
    (394254, "4.6.1"),
    (393295, "4.6"),
    (379893, "4.5.2"),
    (378675, "4.5.1"),
    (378389, "4.5"),
)
"""The `Release` each version of the .NET Framework begins with."""


@dataclass(frozen=True, slots=True)
class SetupState:
    r"""What the registry and a few files say.

    Attributes:
        image_state: as Windows set-up left it; empty before Windows Vista.
        sysprepped: generalized, and not started since.
        dotnet: the versions of the .NET Framework, newest first.
        pending: what waits for a restart, in words.
        remote_desktop: None where nothing says.
        autologon: it logs somebody on by itself.
        utc: the hardware clock is taken for universal time.
        page_files: as they are set; `?:\pagefile.sys` where Windows chooses.
        fast_startup: shutting down leaves the volumes half mounted.
        hibernated: the file of a hibernated system is on the volume.
        hyper_v: the role is installed.
        domain_database: where a domain controller has its directory (`C:\Windows\NTDS\ntds.dit`).
    """

    image_state: str
    sysprepped: bool
    dotnet: tuple[str, ...]
    pending: tuple[str, ...]
    remote_desktop: bool | None
    autologon: bool
    utc: bool
    page_files: tuple[str, ...]
    fast_startup: bool
    hibernated: bool
    hyper_v: bool
    domain_database: str = ""


def read_setup_state(software: Key | None, control: Key, guest: Guest) -> SetupState:
    image_state = _text(software, f"{WINDOWS}\\Setup\\State", "ImageState")
    denied = _number(control, "Control\\Terminal Server", "fDenyTSConnections")
    return SetupState(
        image_state=image_state,
        sysprepped=image_state == GENERALIZED,
        dotnet=_dotnet(software),
        pending=_pending(software, control, guest),
        remote_desktop=None if denied is None else denied == 0,
        autologon=_text(software, "Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "AutoAdminLogon") == "1",
        utc=bool(_number(control, "Control\\TimeZoneInformation", "RealTimeIsUniversal")),
        page_files=_texts(control, "Control\\Session Manager\\Memory Management", "PagingFiles"),
        fast_startup=bool(_number(control, "Control\\Session Manager\\Power", "HiberbootEnabled")),
        hibernated=guest.head(f"{VOLUME}/hiberfil.sys", 4).lower() == b"hibr",
        hyper_v=control.at("Services\\vmms") is not None,
        domain_database=_text(control, "Services\\NTDS\\Parameters", "DSA Database file"),
    )


def _dotnet(software: Key | None) -> tuple[str, ...]:
    setup = "Microsoft\\NET Framework Setup\\NDP"
    release = _number(software, f"{setup}\\v4\\Full", "Release")
    found = [next((name for first, name in _DOTNET if release >= first), "4")] if release else []
    if _number(software, f"{setup}\\v3.5", "Install"):
        pack = _number(software, f"{setup}\\v3.5", "SP")
        found.append(f"3.5 SP{pack}" if pack else "3.5")
    return tuple(found)


def _pending(software: Key | None, control: Key, guest: Guest) -> tuple[str, ...]:
    rows = (
        (_has(software, f"{WINDOWS}\\Component Based Servicing\\RebootPending"), "updates of components"),
        (_has(software, f"{WINDOWS}\\WindowsUpdate\\Auto Update\\RebootRequired"), "Windows Update"),
        (guest.exists(f"{VOLUME}/Windows/WinSxS/pending.xml"), "WinSxS/pending.xml"),
        (
            bool(_texts(control, "Control\\Session Manager", "PendingFileRenameOperations")),
            "files to be renamed",
        ),
    )
    return tuple(name for waits, name in rows if waits)


def _has(key: Key | None, path: str) -> bool:
    return key is not None and key.at(path) is not None


def _text(key: Key | None, path: str, name: str) -> str:
    found = None if key is None else key.at(path)
    value = None if found is None else found.value(name)
    return "" if value is None else value.text


def _texts(key: Key | None, path: str, name: str) -> tuple[str, ...]:
    found = None if key is None else key.at(path)
    value = None if found is None else found.value(name)
    if value is None:
        return ()
    return value.texts if value.type == Type.MULTI_SZ else tuple(filter(None, (value.text,)))


def _number(key: Key | None, path: str, name: str) -> int | None:
    found = None if key is None else key.at(path)
    value = None if found is None else found.value(name)
    return None if value is None else value.number
