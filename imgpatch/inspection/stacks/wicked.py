"""wicked, and the ifup scripts of SLES 11 before it: /etc/sysconfig/network (ifcfg(5), ifroute(5)).

The name of a file is the name of its interface: ifcfg-eth0, ifroute-eth0. Releases before SLES 11 also find
an interface by what it is: ifcfg-eth-id-00:50:56:aa:bb:cc, ifcfg-eth-bus-pci-0000:00:11.0.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence

from imgpatch.formats import ifroute, sysconfig
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.stacks import Interface, Role, plain_mac, vlan_base

STACK = "wicked"
FOLDER = "/etc/sysconfig/network"
CONFIG = f"{FOLDER}/config"
DHCP = f"{FOLDER}/dhcp"
ROUTES = f"{FOLDER}/routes"
PREFIX = f"{FOLDER}/ifcfg-"
XML = "/etc/wicked/ifconfig/*.xml"
CLIENTS = (
    "/usr/sbin/wicked",
    "/usr/sbin/wickedd",
    "/sbin/dhcpcd",
    "/usr/sbin/dhcpcd",
    "/sbin/dhclient",
    "/usr/sbin/dhclient",
)

IGNORED = ("~", ".old", ".bak", ".orig", ".scpmbackup", ".rpmnew", ".rpmsave", ".rpmorig")
"""Names that wicked passes over. SLES 11 reads two of them, as devices that are never there."""
_SAVED = re.compile(
    r".+\.(yast2save|save|saved|backup|org|old\d*|bak\d*|orig\d*|swp|tmp|disabled)", re.IGNORECASE
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,15}")
_BY_MAC = re.compile(r"(?:[a-z]+-)?id-((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})")
_BY_BUS = re.compile(r"(?:[a-z]+-)?bus-[a-z]+-.+")

WORKING_MODES = frozenset({"auto", "onboot", "boot", "on", "hotplug", "nfsroot", "ifplugd"})
WAITED_FOR = frozenset({"auto", "onboot", "boot", "on", "nfsroot"})
STACKED = ("ETHERDEVICE", "MACVLAN_DEVICE", "MACVTAP_DEVICE", "IPVLAN_DEVICE", "IPVTAP_DEVICE")
_OTHER = frozenset(
    {"TUNNEL", "PPPMODE", "MODEM_DEVICE", "VXLAN", "VXLAN_ID", "DUMMY", "IPOIB_MODE", "IPOIB_PKEY", "ENCAP"}
)
_WIRED = frozenset({"eth", "ethernet", "qeth", "hsi", "lcs", "tr"})
_YES = frozenset({"yes", "on", "true"})

Variables = Mapping[str, str | None]


def files(guest: Guest) -> tuple[str, ...]:
    """The ifcfg files of interfaces, the loopback's among them."""
    return tuple(path for path in _ifcfg(guest) if _is_interface(path.removeprefix(PREFIX)))


def leftovers(guest: Guest) -> tuple[str, ...]:
    """What the readers take for the file of an interface, and is a saved copy or an alias."""
    return tuple(path for path in _ifcfg(guest) if not _is_interface(path.removeprefix(PREFIX)))


def beside(guest: Guest) -> tuple[str, ...]:
    """The other files that are called after an interface."""
    kinds = ("ifroute", "ifrule", "ifsysctl")
    found = (path for kind in kinds for path in guest.glob(f"{FOLDER}/{kind}-*"))
    return tuple(p for p in found if _is_file(guest, p) and _is_interface(p.split("-", 1)[1]))


def is_active(guest: Guest) -> bool:
    """Whether wicked is the service that `network.service` stands for."""
    alias = guest.stat("/etc/systemd/system/network.service", follow=False)
    return (alias is not None and (alias.target or "").endswith("/wicked.service")) or bool(
        guest.glob("/etc/systemd/system/*.wants/wicked.service")
    )


def interfaces(guest: Guest) -> Iterator[Interface]:
    common = ifroute.parse(guest.text(ROUTES) or "") if _is_file(guest, ROUTES) else ()
    for path in files(guest):
        called = path.removeprefix(PREFIX)
        if called == "lo":  # every SUSE has it, with NetworkManager too
            continue
        variables = read(guest, path)
        name = None if mac_of(called) or _BY_BUS.fullmatch(called) else called
        role, lower = role_of(called, variables)
        own = f"{FOLDER}/ifroute-{called}"
        routes = ifroute.parse(guest.text(own) or "") if _is_file(guest, own) else ()
        yield Interface(
            STACK,
            path,
            name,
            role,
            mac_of(called),
            lower=tuple(map(_known_as, filter(_is_interface, lower))),
            static=is_static(variables),
            dhcp=bool(protocols(variables) & {"dhcp", "dhcp4"}),
            gateway=any(line.is_default for line in routes) or _is_gateway(called, variables, common),
            boot=(variables.get("STARTMODE") or "manual") in WAITED_FOR,
        )
        if master := variables.get("MASTER_DEVICE"):
            yield Interface(STACK, path, master, lower=(name,) if name else ())


def read(guest: Guest, path: str) -> dict[str, str | None]:
    """What the variables of an ifcfg file hold in the end; those that hold nothing are left out."""
    return {name: value for name, value in sysconfig.values(guest.text(path) or "").items() if value != ""}


def mac_of(called: str) -> str | None:
    """The MAC address in `eth-id-00:50:56:aa:bb:cc`, lower case; None for every other name."""
    match = _BY_MAC.fullmatch(called)
    return plain_mac(match[1]) if match else None


def is_static(variables: Variables) -> bool:
    return any(name.startswith("IPADDR") for name in variables)


def protocols(variables: Variables) -> frozenset[str]:
    """`dhcp4` and `auto6` of BOOTPROTO='dhcp4+auto6'."""
    return frozenset((variables.get("BOOTPROTO") or "static").split("+"))


def role_of(called: str, variables: Variables) -> tuple[Role | None, tuple[str, ...]]:
    """The kind of interface, None where only the name tells; and what it stands on."""
    if _is_yes(variables, "BONDING_MASTER"):
        return Role.BOND, _named(variables, "BONDING_SLAVE")
    if "TEAM_RUNNER" in variables:
        return Role.BOND, _named(variables, "TEAM_PORT_DEVICE")
    if _is_yes(variables, "BRIDGE"):
        return Role.BRIDGE, _named(variables, "BRIDGE_PORTS")
    if _is_yes(variables, "OVS_BRIDGE"):
        return Role.BRIDGE, _named(variables, "OVS_BRIDGE_PORT_DEVICE")
    if any(name in _OTHER or name.startswith("WIRELESS") for name in variables):
        return Role.OTHER, ()
    for name in STACKED:
        if name in variables:
            return Role.VLAN, _named(variables, name)
    kind = variables.get("INTERFACETYPE")
    if kind and kind not in _WIRED:
        return Role.OTHER, ()
    base = vlan_base(called)
    return (Role.VLAN, (base,)) if base and not _BY_BUS.fullmatch(called) else (None, ())


def networks(variables: Variables) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks an interface has addresses in."""
    for name, value in variables.items():
        if not name.startswith("IPADDR") or not value:
            continue
        suffix = name.removeprefix("IPADDR")
        length = variables.get(f"PREFIXLEN{suffix}") or variables.get(f"NETMASK{suffix}")
        text = value if "/" in value or not length else f"{value}/{length}"
        try:
            yield ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue


def reaches(variables: Variables, gateway: str) -> bool:
    """Whether a gateway lies in a network of the interface, which is how `routes` finds its device."""
    try:
        address = ipaddress.ip_address(gateway)
    except ValueError:
        return False
    return any(address in network for network in networks(variables))


def netconfig_writes(guest: Guest, resolv_conf: str) -> bool:
    """Whether netconfig(8) puts the name servers of a lease into this resolv.conf.

    It keeps its hands off a file that somebody has changed, and off all where its policy is empty.
    """
    settings = sysconfig.values(guest.text(CONFIG) or "") if _is_file(guest, CONFIG) else {}
    if settings.get("NETCONFIG_DNS_POLICY") == "":
        return False
    modules = (settings.get("NETCONFIG_MODULES_ORDER") or "dns-resolver").split()
    return "dns-resolver" in modules and "autogenerated by netconfig" in resolv_conf


def _is_gateway(called: str, variables: Variables, routes: Sequence[ifroute.Line]) -> bool:
    for line in routes:
        device = line.column(ifroute.INTERFACE)
        gateway = line.column(ifroute.GATEWAY)
        if line.is_default and (device == called or (not device and reaches(variables, gateway))):
            return True
    return False


def _ifcfg(guest: Guest) -> list[str]:
    found = (path for path in guest.glob(f"{PREFIX}*") if _is_file(guest, path))
    return [path for path in found if path != PREFIX and not path.endswith(IGNORED)]


def _is_file(guest: Guest, path: str) -> bool:
    stat = guest.stat(path)
    return stat is not None and stat.kind is Kind.FILE


def _is_interface(called: str) -> bool:
    if called.endswith(IGNORED) or _SAVED.fullmatch(called):
        return False
    return bool(_NAME.fullmatch(called) or _BY_MAC.fullmatch(called) or _BY_BUS.fullmatch(called))


def _known_as(called: str) -> str:
    """What a port is known by: its MAC address, the file that finds it by its place, or its name."""
    return mac_of(called) or (PREFIX + called if _BY_BUS.fullmatch(called) else called)


def _is_yes(variables: Variables, name: str) -> bool:
    return (variables.get(name) or "").lower() in _YES


def _named(variables: Variables, prefix: str) -> tuple[str, ...]:
    """The words of every variable whose name begins so: BONDING_SLAVE_0, BONDING_SLAVE_1."""
    return tuple(
        w for name, value in variables.items() if name.startswith(prefix) for w in (value or "").split()
    )
