"""systemd-networkd: *.network and *.netdev in /etc/systemd/network, with drop-ins (systemd.network(5))."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, Role, plain_mac

STACK = "systemd-networkd"
FOLDER = "/etc/systemd/network"
KINDS = {"bridge": Role.BRIDGE, "bond": Role.BOND, "team": Role.BOND, "vlan": Role.VLAN}
HARDWARE = frozenset({"MACAddress", "PermanentMACAddress", "Path", "Driver", "OriginalName", "Property"})
"""Keys of [Match] that find a piece of hardware EC2 does not have."""
UPPER = {"Bridge": Role.BRIDGE, "Bond": Role.BOND}
STACKED = {
    "VLAN": Role.VLAN,
    "MACVLAN": Role.VLAN,
    "MACVTAP": Role.VLAN,
    "IPVLAN": Role.VLAN,
    "IPVTAP": Role.VLAN,
}


def files(guest: Guest) -> tuple[str, ...]:
    """The .network files in the order of their names, which is the order they are tried in."""
    return tuple(guest.glob(f"{FOLDER}/*.network"))


def netdevs(guest: Guest) -> tuple[str, ...]:
    return tuple(guest.glob(f"{FOLDER}/*.netdev"))


def dropins(guest: Guest, path: str) -> tuple[str, ...]:
    """The drop-ins of a file, which are read after it."""
    return tuple(guest.glob(f"{FOLDER}/{posixpath.basename(path)}.d/*.conf"))


def read(guest: Guest, path: str) -> tuple[ini.Line, ...]:
    return ini.parse(guest.text(path) or "", ini.Dialect.SYSTEMD)


def interfaces(guest: Guest) -> Iterator[Interface]:
    for path in netdevs(guest):
        lines = read(guest, path)
        kind = "".join(ini.values(lines, "NetDev", "Kind")[-1:])
        for made in ini.values(lines, "NetDev", "Name"):
            yield Interface(STACK, path, made, KINDS.get(kind, Role.OTHER))
    for path in files(guest):
        lines = read(guest, path)
        every = lines + tuple(line for part in dropins(guest, path) for line in read(guest, part))
        for name in names(lines):
            yield _interface(path, name, every)
            yield from _upper(path, name or next(iter(macs(lines)), None), every)


def names(lines: Sequence[ini.Line]) -> tuple[str | None, ...]:
    """What [Match] calls the interface: `*` for any, None where it goes by hardware, () for none of ours.

    A list that begins with `!` says what it is not, so any other.
    """
    lists = [text.split() for text in ini.values(lines, "Match", "Name") if text]
    words = [word for words in lists if not words[0].startswith("!") for word in words]
    if words:
        return tuple(words)
    types = ini.values(lines, "Match", "Type")
    if types and not any(t in {"ether", "en"} for text in types for t in text.split()):
        return ()
    other = {line.key for line in lines if line.section == "Match" and line.key and line.value}
    if not other or other & {"WLANInterfaceType", "SSID", "BSSID", "Kind"}:  # without a match it is ignored
        return ()
    return (None,) if other & HARDWARE else ("*",)


def macs(lines: Sequence[ini.Line]) -> tuple[str, ...]:
    keys = ("MACAddress", "PermanentMACAddress")
    words = [w for key in keys for value in ini.values(lines, "Match", key) for w in value.split()]
    return tuple(mac for mac in map(plain_mac, words) if mac)


def is_static(lines: Sequence[ini.Line]) -> bool:
    """Whether it has an address of its own (0.0.0.0/24 and ::/64 mean: take one from a pool)."""
    sections = ("Network", "Address")
    return any(value for section in sections for value in ini.values(lines, section, "Address"))


def is_dhcp(lines: Sequence[ini.Line]) -> bool:
    """Whether it asks for an IPv4 address; `both`, `v4` and `none` are older words."""
    value = "".join(ini.values(lines, "Network", "DHCP")[-1:]).lower()
    return value in {"yes", "true", "1", "on", "y", "t", "ipv4", "both", "v4"}


def _interface(path: str, name: str | None, lines: Sequence[ini.Line]) -> Interface:
    kinds = set(ini.values(lines, "Match", "Kind"))
    role = next((KINDS.get(kind, Role.OTHER) for kind in sorted(kinds)), None)
    if ini.values(lines, "Match", "Type") == ("wlan",):
        role = Role.OTHER
    gateway = any(ini.values(lines, "Network", "Gateway")) or any(
        line.section == "Route" and line.key == "Destination" and line.value in {"0.0.0.0/0", "::/0"}
        for line in lines
    )
    required = "".join(ini.values(lines, "Link", "RequiredForOnline")[-1:]).lower()
    return Interface(
        STACK,
        path,
        name,
        role,
        next(iter(macs(lines)), None) if name is None else None,
        static=is_static(lines),
        dhcp=is_dhcp(lines),
        gateway=gateway or _bare_gateway(lines),
        boot=required not in {"no", "false", "0", "off"},
    )


def _bare_gateway(lines: Sequence[ini.Line]) -> bool:
    """A [Route] with a Gateway= and no Destination= is a default route."""
    for at, line in enumerate(lines):
        if line.header and line.section == "Route":
            end = next((i for i in range(at + 1, len(lines)) if lines[i].header), len(lines))
            keys = {item.key for item in lines[at:end]}
            if "Gateway" in keys and "Destination" not in keys:
                return True
    return False


def _upper(path: str, name: str | None, lines: Sequence[ini.Line]) -> Iterator[Interface]:
    """The bridge, bond or VLANs that the file puts on the interface."""
    for key, role in {**UPPER, **STACKED}.items():
        for value in ini.values(lines, "Network", key):
            for upper in value.split():
                yield Interface(STACK, path, upper, role, lower=(name,) if name else ())
