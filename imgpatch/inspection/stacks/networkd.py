"""systemd-networkd: *.network and *.netdev files, drop-ins, /etc over /usr/lib (systemd.network(5))."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Sequence

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, Role, layered, plain_mac, unit_enabled

STACK = "systemd-networkd"
FOLDER = "/etc/systemd/network"
KINDS = {"bridge": Role.BRIDGE, "bond": Role.BOND, "team": Role.BOND, "vlan": Role.VLAN}
VENDOR_FOLDERS = ("/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
HARDWARE = frozenset({"MACAddress", "PermanentMACAddress", "Path", "Driver", "OriginalName", "Property"})
"""Keys of [Match] that find a piece of hardware."""
_OF_EC2 = {"Driver": ("ena", "vif", "ixgbevf"), "Virtualization": ("amazon", "kvm", "xen", "vm")}
"""What EC2's NIC driver may be called, and what systemd-detect-virt(1) says there, as versions differ."""
_ANY_HYPERVISOR = frozenset({"yes", "true", "1", "on", "vm", "amazon"})
_VIRTUAL_DRIVERS = frozenset(
    {"veth", "tun", "bridge", "dummy", "bonding", "team", "wireguard", "802.1Q VLAN"}
)
_OTHER_TYPES = frozenset({"wlan", "wwan", "loopback", "sit", "tunnel", "tunnel6", "ipgre", "none", "can"})
_NO_HYPERVISOR = frozenset({"container", "private-users", "no", "false", "0", "off", "none"})
UPPER = {"Bridge": Role.BRIDGE, "Bond": Role.BOND}
STACKED = {
    "VLAN": Role.VLAN,
    "MACVLAN": Role.VLAN,
    "MACVTAP": Role.VLAN,
    "IPVLAN": Role.VLAN,
    "IPVTAP": Role.VLAN,
}


def is_enabled(guest: Guest) -> bool:
    return unit_enabled(guest, "systemd-networkd.service")


def folders(guest: Guest) -> tuple[str, ...]:
    """Where its files are, the first one going before the others.

    Those of packages count where it runs: systemd itself ships some, for containers and the like.
    """
    return (FOLDER, *(VENDOR_FOLDERS if is_enabled(guest) else ()))


def files(guest: Guest) -> tuple[str, ...]:
    """The .network files in the order of their names, which is the order they are tried in."""
    return layered(guest, folders(guest), "*.network")


def netdevs(guest: Guest) -> tuple[str, ...]:
    return layered(guest, folders(guest), "*.netdev")


def dropins(guest: Guest, path: str) -> tuple[str, ...]:
    """The drop-ins of a file, which are read after it, wherever it stands itself."""
    return layered(guest, (f"{f}/{posixpath.basename(path)}.d" for f in folders(guest)), "*.conf")


def override(path: str) -> str:
    """The file in /etc that takes the place of one of a package."""
    folder = next((f for f in VENDOR_FOLDERS if path.startswith(f"{f}/")), FOLDER)
    return f"{FOLDER}{path.removeprefix(folder)}"


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
    if _is_elsewhere(lines):
        return ()
    lists = [text.split() for text in ini.values(lines, "Match", "Name") if text]
    words = [word for words in lists if not words[0].startswith("!") for word in words]
    if words:
        return tuple(words)
    types = ini.values(lines, "Match", "Type")
    if types and not any(t in {"ether", "en"} for text in types for t in text.split()):
        return ()
    match = [line for line in lines if line.section == "Match" and line.key and line.value]
    other = {line.key for line in match}
    if not other or other & {"WLANInterfaceType", "SSID", "BSSID", "Kind"}:  # without a match it is ignored
        return ()
    hardware = (line for line in match if line.key in HARDWARE)
    return (None,) if any(line.key == "OriginalName" or not fits_ec2(line) for line in hardware) else ("*",)


def _is_elsewhere(lines: Sequence[ini.Line]) -> bool:
    """Whether it is for containers, wireless or virtual interfaces, as those are that systemd ships."""
    virtual = "".join(ini.values(lines, "Match", "Virtualization")[-1:]).lower()
    drivers = {w for text in ini.values(lines, "Match", "Driver") for w in text.split()}
    types = {w for text in ini.values(lines, "Match", "Type") for w in text.split()}
    return (
        virtual in _NO_HYPERVISOR
        or bool(drivers and drivers <= _VIRTUAL_DRIVERS)
        or bool(types and types <= _OTHER_TYPES)
    )


def fits_ec2(line: ini.Line) -> bool:
    """Whether a line of [Match] holds for EC2's NIC, as far as it is about hardware."""
    words = line.value.split()
    if line.key == "Firmware":
        return line.value.startswith("uefi")
    if line.key not in {*HARDWARE, "Virtualization"} or not words or line.key == "OriginalName":
        return True
    told = _OF_EC2.get(line.key, ())
    hit = any(fnmatch.fnmatchcase(word, words[0].lstrip("!")) for word in told)
    if words[0].startswith("!"):
        return bool(told) and not hit
    if line.key == "Virtualization":
        return line.value.lower() in _ANY_HYPERVISOR
    return any(fnmatch.fnmatchcase(driver, word) for driver in told for word in words)


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
    gateway = bool(gateways(lines)) or any(
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


def gateways(lines: Sequence[ini.Line]) -> tuple[str, ...]:
    """Those written out: `_dhcp4` and `_ipv6ra` stand for the one that the network tells."""
    return tuple(
        v for v in ini.values(lines, "Network", "Gateway") if v and not v.startswith(("_dhcp", "_ipv6ra"))
    )


def is_unmanaged(lines: Sequence[ini.Line]) -> bool:
    return "".join(ini.values(lines, "Link", "Unmanaged")[-1:]).lower() in {"yes", "true", "1", "on"}


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
