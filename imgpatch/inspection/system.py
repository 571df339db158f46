"""The operating system of a guest, from os-release(5) and the files that came before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imgpatch.guest import Guest


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """What os-release(5) says.

    Attributes:
        id: `debian`, `rhel`, ...; `linux` where nothing says.
        id_like: the ids this system says it resembles, nearest first.
        version: `12`, `9.4`; empty where nothing says (testing, rolling releases).
        name: for people.
        architecture: `x86_64`, `i386`, `aarch64`, ... as libguestfs names them; None where unknown.
    """

    id: str
    id_like: tuple[str, ...]
    version: str
    name: str
    architecture: str | None

    def is_like(self, *ids: str) -> bool:
        return any(i in (self.id, *self.id_like) for i in ids)


def inspect_system(guest: Guest) -> OperatingSystem:
    """Reads the release files; behaviour should hang on layout, this is for words and editions."""
    values = _os_release(guest.text("/etc/os-release") or guest.text("/usr/lib/os-release") or "")
    system_id = values.get("ID", "").lower()
    version = values.get("VERSION_ID", "")
    name = values.get("PRETTY_NAME", "")
    redhat = (guest.text("/etc/redhat-release") or "").strip()
    point = (guest.text("/etc/debian_version") or "").strip()
    if not system_id and redhat:
        system_id, version, name = _from_redhat_release(redhat)
    if not system_id:
        system_id, version, name = _from_suse_release(guest.text("/etc/SuSE-release") or "")
    if not system_id and point:
        system_id, version, name = "debian", point, f"Debian GNU/Linux {point}"
    if system_id == "debian" and point.split(".")[0] == version:
        version = point
    return OperatingSystem(
        id=system_id or "linux",
        id_like=tuple(values.get("ID_LIKE", "").lower().split()),
        version=version,
        name=name or "unknown Linux",
        architecture=_architecture(guest),
    )


def _os_release(text: str) -> dict[str, str]:
    values = {}
    for line in text.split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            values[key] = value.strip().strip("\"'")
    return values


def _from_redhat_release(text: str) -> tuple[str, str, str]:
    ids = {
        "centos": "centos",
        "fedora": "fedora",
        "oracle": "ol",
        "enterprise linux server": "ol",
        "rocky": "rocky",
    }
    system_id = next((i for word, i in ids.items() if text.lower().startswith(word)), "rhel")
    version = re.search(r"release (\d+(?:\.\d+)*)", text)
    return system_id, version.group(1) if version else "", text


def _from_suse_release(text: str) -> tuple[str, str, str]:
    """SLES before 11 SP4 has no os-release: a name, then `VERSION = 11` and `PATCHLEVEL = 3`."""
    lines = text.split("\n")
    values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines[1:])}
    version, level = values.get("VERSION", ""), values.get("PATCHLEVEL", "0")
    if not lines[0].strip() or not version:
        return "", "", ""
    system_id = "sles" if "enterprise" in lines[0].lower() else "opensuse"
    service_pack = f" SP{level}" if level.isdigit() and level != "0" else ""
    name = f"{lines[0].partition('(')[0].strip()}{service_pack}"
    return system_id, f"{version}.{level}" if service_pack else version, name


def _architecture(guest: Guest) -> str | None:
    """From the ELF header of the first program every Linux has: e_machine, elf(5)."""
    machines = {0x03: "i386", 0x3E: "x86_64", 0xB7: "aarch64", 0x15: "ppc64", 0x16: "s390x", 0x28: "arm"}
    for path in ("/bin/sh", "/sbin/init", "/bin/ls"):
        data = guest.read(path)
        if data is not None and data[:4] == b"\x7fELF":
            return machines.get(int.from_bytes(data[18:20], "little" if data[5] == 1 else "big"))
    return None
