"""NetworkManager: keyfiles in system-connections (nm-settings-keyfile(5)) and NetworkManager.conf(5)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from imgpatch.formats import ini
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.stacks import Interface, Role, layered, plain_mac

STACK = "NetworkManager"
FOLDER = "/etc/NetworkManager/system-connections"
VENDOR_FOLDERS = ("/usr/lib/NetworkManager/system-connections", "/lib/NetworkManager/system-connections")
CONF = "/etc/NetworkManager/NetworkManager.conf"
CONF_FOLDER = "/etc/NetworkManager/conf.d"
_CONF_FOLDERS = (CONF_FOLDER, "/usr/lib/NetworkManager/conf.d", "/lib/NetworkManager/conf.d")
ETHERNET = ("ethernet", "802-3-ethernet")
ROLES = {
    "ethernet": Role.NIC,
    "802-3-ethernet": Role.NIC,
    "bridge": Role.BRIDGE,
    "bond": Role.BOND,
    "team": Role.BOND,
    "vlan": Role.VLAN,
    "loopback": Role.LOOPBACK,
}


def files(guest: Guest) -> tuple[str, ...]:
    """Every name but those it passes over (nm_keyfile_utils_ignore_filename), then those of packages."""
    paths = (f"{FOLDER}/{name}" for name in guest.listdir(FOLDER) if not is_ignored(name))
    stats = ((path, guest.stat(path)) for path in paths)
    own = tuple(path for path, stat in stats if stat is not None and stat.kind is Kind.FILE)
    shipped = layered(guest, (FOLDER, *VENDOR_FOLDERS), "*.nmconnection")
    known = {value(read(guest, path), "connection", "uuid") for path in own} - {None}
    return own + tuple(
        path
        for path in shipped
        if not path.startswith(f"{FOLDER}/") and value(read(guest, path), "connection", "uuid") not in known
    )


def override(path: str) -> str:
    """The file in /etc that takes the place of one of a package."""
    folder = next((f for f in VENDOR_FOLDERS if path.startswith(f"{f}/")), FOLDER)
    return f"{FOLDER}{path.removeprefix(folder)}"


def configuration(guest: Guest) -> dict[str, tuple[ini.Line, ...]]:
    """The files of its own configuration in the order it reads them; the last word on a key counts."""
    dropins = layered(guest, _CONF_FOLDERS, "*.conf")
    shipped = [path for path in dropins if posixpath.dirname(path) != CONF_FOLDER]
    own = [path for path in dropins if posixpath.dirname(path) == CONF_FOLDER]
    return {path: read(guest, path) for path in (*shipped, CONF, *own)}


def is_ignored(name: str) -> bool:
    """A leading dot, a trailing tilde, mkstemp's `.XXXXXX`, certificates."""
    return (
        name.startswith(".")
        or name.endswith(("~", ".pem", ".der"))
        or re.fullmatch(r".+\.[A-Za-z0-9]{6}", name) is not None
    )


def read(guest: Guest, path: str) -> tuple[ini.Line, ...]:
    return ini.parse(guest.text(path) or "", ini.Dialect.KEYFILE)


def interfaces(guest: Guest) -> Iterator[Interface]:
    parsed = {path: read(guest, path) for path in files(guest)}
    by_uuid = {value(lines, "connection", "uuid"): interface_name(lines) for lines in parsed.values()}
    for path, lines in parsed.items():
        yield from connection(path, lines, by_uuid)


def connection(
    path: str, lines: Sequence[ini.Line], by_uuid: Mapping[str | None, str | None]
) -> Iterator[Interface]:
    """What one keyfile says; by_uuid gives the interfaces of the connections others refer to."""
    name = interface_name(lines)
    below = value(lines, "vlan", "parent")
    parent = by_uuid.get(below) or below
    above = master(lines)
    boot = starts(lines)
    yield Interface(
        STACK,
        path,
        name,
        role_of(lines),
        _mac(lines),
        (parent,) if parent else (),
        static=is_static(lines, "ipv4"),
        dhcp=value(lines, "ipv4", "method") in {"auto", None} and above is None,
        gateway=has_gateway(lines),
        boot=boot,
    )
    if above is not None:
        port = name or _mac(lines) or path
        kind = value(lines, "connection", "slave-type") or value(lines, "connection", "port-type") or ""
        yield Interface(
            STACK, path, by_uuid.get(above) or above, ROLES.get(kind, Role.OTHER), lower=(port,), boot=boot
        )


def value(lines: Sequence[ini.Line], section: str, key: str) -> str | None:
    """The last value wins, as in GLib's key files."""
    sections = ETHERNET if section == "ethernet" else (section,)
    return next((v for s in sections for v in reversed(ini.values(lines, s, key))), None)


def starts(lines: Sequence[ini.Line]) -> bool:
    """Whether it is brought up at boot."""
    return (value(lines, "connection", "autoconnect") or "true") not in {"false", "0", "no"}


def priority(lines: Sequence[ini.Line]) -> int:
    """Of several connections of one interface that with the highest comes first."""
    text = value(lines, "connection", "autoconnect-priority") or "0"
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else 0


def interface_name(lines: Sequence[ini.Line]) -> str | None:
    """From [connection], or from [match] where that has a single name."""
    name = value(lines, "connection", "interface-name")
    if name:
        return name
    match = [
        w
        for w in re.split(r"[;,\s]+", value(lines, "match", "interface-name") or "")
        if w and w[0] not in "!&"
    ]
    return match[0] if len(match) == 1 else None


def role_of(lines: Sequence[ini.Line]) -> Role | None:
    kind = value(lines, "connection", "type")
    if kind is not None:
        return ROLES.get(kind, Role.OTHER)
    sections = {line.section for line in lines if line.header}
    return Role.NIC if sections & set(ETHERNET) else None


def master(lines: Sequence[ini.Line]) -> str | None:
    """The name or UUID of the bridge or bond it is a port of."""
    return value(lines, "connection", "controller") or value(lines, "connection", "master")


def is_static(lines: Sequence[ini.Line], family: str) -> bool:
    return value(lines, family, "method") == "manual" or any(
        line.section == family and line.key and re.fullmatch(r"address(es)?\d*", line.key) for line in lines
    )


def has_gateway(lines: Sequence[ini.Line]) -> bool:
    """A gateway of its own, after an address, or as a default route."""
    for line in lines:
        if line.section != "ipv4" or line.key is None:
            continue
        if line.key == "gateway" and line.value:
            return True
        if re.fullmatch(r"address(es)?\d*", line.key) and "," in line.value.rstrip(",;"):
            return True
        if re.fullmatch(r"routes?\d*", line.key) and line.value.startswith("0.0.0.0/0"):
            return True
    return False


def _mac(lines: Sequence[ini.Line]) -> str | None:
    text = value(lines, "ethernet", "mac-address") or ""
    if re.fullmatch(r"(\d+;){5}\d+;?", text):  # the old form: six numbers
        text = ":".join(f"{int(part):02x}" for part in text.strip(";").split(";"))
    return plain_mac(text)
