"""Which package brings what, on the distributions that package libguestfs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# part -> distribution -> package
_PACKAGES = {
    "guestfs": {
        "debian": "python3-guestfs",
        "fedora": "python3-libguestfs",
        "suse": "python3-libguestfs",
    },
    "qemu": {
        "debian": "qemu-system-x86",
        "fedora": "qemu-kvm",
        "suse": "qemu-x86",
    },
    "qemu-img": {
        "debian": "qemu-utils",
        "fedora": "qemu-img",
        "suse": "qemu-tools",
    },
    "kernel": {
        "ubuntu": "linux-image-virtual",
        "debian": "linux-image-cloud-amd64",
        "fedora": "kernel-core",
        "suse": "kernel-default-base",
    },
}
_COMMANDS = {"debian": "apt install", "fedora": "dnf install", "suse": "zypper install"}
_ALIKE = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}


def distribution(os_release: Path = Path("/etc/os-release")) -> tuple[str, ...]:
    """The ids of this system, the closest first (os-release(5): ID, then ID_LIKE)."""
    try:
        lines = os_release.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    names = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").replace("'", "")
    return tuple(names.split())


def install(part: str, ids: Sequence[str]) -> str:
    """The command that installs a part here; where the system is unknown, the package everywhere."""
    families = [*ids, *(_ALIKE[name.split("-")[0]] for name in ids if name.split("-")[0] in _ALIKE)]
    packages = _PACKAGES[part]
    package = next((packages[name] for name in families if name in packages), None)
    command = next((_COMMANDS[name] for name in families if name in _COMMANDS), None)
    if package is not None and command is not None:
        return f"{command} {package}"
    known = ", ".join(f"{name} ({family.capitalize()})" for family, name in packages.items())
    return f"install the package {known}"
