"""The programs that configure a guest's network, one module each: which files they read and what those say.

Every module has `files(guest)`, what the program reads in its order, and `interfaces(guest)`, what those
say.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from imgpatch.guest import Guest, Kind

_VIRTUAL = re.compile(
    r"(lo|br|virbr|vmbr|lxcbr|lxdbr|cni|docker|podman|bond|team|dummy|tun|tap|wg|ppp|veth|vxlan|geneve|gre|gretap|erspan|"
    r"sit|ip6tnl|tunl|vti|ipvl|ipvlan|macvlan|macvtap|macsec|vlan|vnet|vrf|nlmon|ifb|can|vcan|slip|bat|ovs|tailscale|zt|bnep|pan|atm|atml|"
    r"ib|wl|wlan|wlp|wlx|ath|ra|ww|wwan|wwp|usb|he-ipv)[\d-][\w.-]*|lo|(wl|ww|br-|tun-|tap-)[\w.-]*|6to4|all|default|none"
)
_KERNEL_NAME = re.compile(r"eth(\d+)")
_VLAN_NAME = re.compile(r"(.+)\.(\d+)")


class Role(StrEnum):
    """What kind of network interface something is."""

    NIC = "nic"
    LOOPBACK = "loopback"
    BRIDGE = "bridge"
    BOND = "bond"
    VLAN = "vlan"
    OTHER = "other"
    """Wireless, tunnel, dummy, ...: nothing that EC2's NIC takes the place of."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What one place of one file says of one network interface.

    Attributes:
        name: as the file calls it, perhaps a pattern (`en*`); None where it is found by other means.
        role: None where the file does not say; then the name tells.
        mac: lower case with colons, where the file finds the interface by it.
        lower: the ports of a bridge or bond, the device below a VLAN.
        static: it has an address; dhcp: it gets one.
        gateway: it has a default gateway.
        boot: it is brought up, and waited for, at boot.
    """

    stack: str
    source: str
    name: str | None
    role: Role | None = None
    mac: str | None = None
    lower: tuple[str, ...] = ()
    static: bool = False
    dhcp: bool = False
    gateway: bool = False
    boot: bool = True


def role_of_name(name: str) -> Role:
    """What a name alone tells: most kinds of virtual interface are called after their kind."""
    if name == "lo":
        return Role.LOOPBACK
    if _VLAN_NAME.fullmatch(name):
        return Role.VLAN
    return Role.OTHER if _VIRTUAL.fullmatch(name) else Role.NIC


def kernel_index(name: str | None) -> int | None:
    """3 of `eth3`; None for every other name."""
    match = _KERNEL_NAME.fullmatch(name or "")
    return int(match.group(1)) if match else None


def vlan_base(name: str) -> str | None:
    """`ens192` of `ens192.10`."""
    match = _VLAN_NAME.fullmatch(name)
    return match.group(1) if match else None


def is_pattern(name: str) -> bool:
    return any(char in name for char in "*?[")


def plain_mac(text: str) -> str | None:
    """Lower case with colons; None where it is no MAC address."""
    mac = text.strip().lower().replace("-", ":")
    return mac if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac) else None


def layered(guest: Guest, folders: Iterable[str], pattern: str) -> tuple[str, ...]:
    """The files of several folders as one, by name: the first folder that has a name wins, or masks it.

    So systemd, netplan and NetworkManager read /etc over /usr/lib; what stands in /run is made at boot.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for path in guest.glob(f"{folder}/{pattern}"):
            found.setdefault(posixpath.basename(path), path)
    return tuple(found[name] for name in sorted(found) if not is_masked(guest, found[name]))


def is_masked(guest: Guest, path: str) -> bool:
    """A link to /dev/null, one that leads nowhere, an empty file, or no file at all."""
    link = guest.stat(path, follow=False)
    if link is None or link.target == "/dev/null":
        return True
    stat = guest.stat(path)
    return stat is None or stat.kind is not Kind.FILE or stat.size == 0


def unit_enabled(guest: Guest, unit: str) -> bool:
    """Whether something wants a systemd unit, by the administrator's links or the distribution's."""
    folders: Sequence[str] = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    masked = guest.stat(f"/etc/systemd/system/{unit}", follow=False)
    if masked is not None and masked.target == "/dev/null":
        return False
    return any(guest.glob(f"{folder}/*.wants/{unit}") for folder in folders)
