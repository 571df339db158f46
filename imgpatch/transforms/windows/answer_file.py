"""Gives a Windows that was sysprepped before the import an answer file for its first start (documents M-15).

It accepts the licence terms and sets the locale to US English, as the documents say of the service's own; a
file that the user put where Windows looks first is left alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import VOLUME, open_hive
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason

RULE = "M-15"
ARCHITECTURES = {"x86_64": "amd64", "i386": "x86", "aarch64": "arm64"}
OWN = (
    "Panther/Unattend/unattend.xml",
    "Panther/Unattend/autounattend.xml",
    "Panther/unattend.xml",
    "System32/Sysprep/unattend.xml",
    "System32/Sysprep/autounattend.xml",
    "../unattend.xml",
    "../autounattend.xml",
)
"""From the folder of Windows, where its set-up looks for one, in this order."""

UNATTEND = "urn:schemas-microsoft-com:unattend"
CONFIGURATION = "http://schemas.microsoft.com/WMIConfig/2002/State"
COMPONENT = (
    '<component name="{name}" processorArchitecture="{architecture}" publicKeyToken="31bf3856ad364e35" '
    'language="neutral" versionScope="nonSxS">'
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None and inspection.windows.setup.sysprepped


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    own = _own(guest, context)
    if own is not None:
        text = (
            f"{own} is the user's own answer file: Windows takes it at its first start, and it is left alone"
        )
        yield Note(NoteKind.DECISION, RULE, text)
        return
    architecture = ARCHITECTURES.get(windows.release.architecture or "")
    if architecture is None:
        text = "no answer file is written: the architecture of this Windows cannot be told"
        yield Note(NoteKind.WARNING, RULE, text)
        return
    reason = Reason(RULE, "Windows was sysprepped: its first start asks nothing and is in US English")
    yield Edit(f"{windows.folder}/Panther/unattend.xml", answer_file(architecture).encode(), (reason,))


def _own(guest: Guest, context: Context) -> str | None:
    """The registry's `UnattendFile` comes before all folders."""
    windows = context.inspection.windows
    assert windows is not None
    system = open_hive(guest, "SYSTEM", force=context.choices.force_dirty_hives).root
    setup = system.at("Setup")
    named = None if setup is None else setup.value("UnattendFile")
    if named is not None and named.text:
        path = named.text.replace("\\", "/")
        if path[1:2] == ":" and guest.exists(VOLUME + path[2:]):
            return guest.resolve(VOLUME + path[2:])
    paths = (posixpath.normpath(f"{windows.folder}/{path}") for path in OWN)
    return next((guest.resolve(path) for path in paths if guest.exists(path)), None)


def answer_file(architecture: str) -> str:
    """The file for `amd64`, `x86` or `arm64`, with the line ends of Windows."""
    international = COMPONENT.format(name="Microsoft-Windows-International-Core", architecture=architecture)
    shell = COMPONENT.format(name="Microsoft-Windows-Shell-Setup", architecture=architecture)
    locales = ("InputLocale", "SystemLocale", "UILanguage", "UserLocale")
    answers = ("HideEULAPage", "SkipMachineOOBE", "SkipUserOOBE")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<unattend xmlns="{UNATTEND}" xmlns:wcm="{CONFIGURATION}">',
        '  <settings pass="oobeSystem">',
        f"    {international}",
        *(f"      <{name}>en-US</{name}>" for name in locales),
        "    </component>",
        f"    {shell}",
        "      <OOBE>",
        *(f"        <{name}>true</{name}>" for name in answers),
        "      </OOBE>",
        "    </component>",
        "  </settings>",
        "</unattend>",
    ]
    return "".join(f"{line}\r\n" for line in lines)
