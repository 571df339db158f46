"""Lets LVM find its volumes on EC2's disks: the list of the old disks goes, a filter for them is pointed out.

Ours, since the documents are silent. EL 9 and others keep the disks LVM may use in
/etc/lvm/devices/system.devices, by identities the old hypervisor gave (`IDTYPE=sys_wwid`): with that file
LVM sees no disk on EC2, and what the initramfs has not activated by name (/home, a data disk) stops the
boot. Without it LVM looks at all disks (lvmdevices(8)), so it is taken away, and kept as any original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from imgpatch.errors import FormatError
from imgpatch.formats.path_pattern import matches
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.storage import Storage

DEVICES_FILE = "/etc/lvm/devices/system.devices"
CONFIG = "/etc/lvm/lvm.conf"
MEMBER = "LVM2_member"

WRITTEN_ON_THE_DISK = frozenset({"crypt_uuid", "lvmlv_uuid", "md_uuid"})
"""Identities that go with the disk's contents to other hardware."""

_SETTING = re.compile(
    r"\s*(?:devices\s*[/{]\s*)?(use_devicesfile|filter|global_filter)\s*=\s*(.*)", re.DOTALL
)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:  # noqa: ARG001
    if not any(device.fstype == MEMBER for device in guest.storage.devices):
        return
    settings = tuple(_settings(guest.text(CONFIG) or ""))
    used = [value for _, name, value in settings if name == "use_devicesfile"]
    types = _hardware_types(guest.text(DEVICES_FILE) or "")
    if types and not (used and used[-1].strip().startswith("0")):
        text = f"LVM uses no other disks than the {len(types)} listed here by {', '.join(sorted(set(types)))}"
        reason = Reason(OWN_RULE, f"{text}, which EC2's do not have; without the list it looks at all disks")
        yield Edit(DEVICES_FILE, None, (reason,))
    yield from _filters(settings, guest.storage)


def _hardware_types(text: str) -> list[str]:
    """The IDTYPE of each entry that depends on hardware (lvmdevices(8))."""
    entries = [
        dict(word.partition("=")[::2] for word in line.split())
        for line in text.split("\n")
        if line.startswith("IDTYPE=")
    ]
    return [entry["IDTYPE"] for entry in entries if entry["IDTYPE"] not in WRITTEN_ON_THE_DISK]


def _filters(settings: Sequence[tuple[int, str, str]], storage: Storage) -> Iterator[Note]:
    """lvm.conf(5): the first pattern that matches a name decides; a name without any is accepted."""
    for number, name, value in settings:
        patterns = _STRING.findall(value)
        lost = [ec2 for ec2 in _ec2_names(storage) if not _accepted(ec2, patterns)]
        if lost and name != "use_devicesfile":
            text = f"{CONFIG} line {number}: {name} keeps LVM from {', '.join(lost)}, its disks on EC2"
            cure = (
                "accept them there, and use `--initramfs rebuild`, since an initramfs has a copy of the file"
            )
            yield Note(NoteKind.WARNING, OWN_RULE, f"{text}; {cure}")


def _ec2_names(storage: Storage) -> Iterator[str]:
    for device in storage.devices:
        if device.fstype == MEMBER and device.disk is not None:
            part = "" if device.partition is None else str(device.partition)
            yield f"/dev/nvme{device.disk}n1{part and f'p{part}'}"
            yield f"/dev/xvd{chr(ord('a') + device.disk)}{part}"


def _accepted(name: str, patterns: Sequence[str]) -> bool:
    """Patterns are `a` or `r` and an expression between two of any character, as in `a|^/dev/sda|`."""
    for pattern in patterns:
        expression = pattern[2:-1] if len(pattern) > 2 else pattern[1:]
        try:
            if matches(f".*(?:{expression}).*", name):
                return pattern[:1] != "r"
        except FormatError:
            return True  # no warning of what is not understood
    return True


def _settings(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, name and value of the settings of interest; a list may go over several lines."""
    lines = [
        line.partition("#")[0] if '"' not in line.partition("#")[0] else line for line in text.split("\n")
    ]
    for index, line in enumerate(lines):
        found = _SETTING.match(line)
        if found is None:
            continue
        value = found[2]
        for more in lines[index + 1 :]:
            if "[" not in value or "]" in _STRING.sub("", value):
                break
            value += more
        yield index + 1, found[1], value
