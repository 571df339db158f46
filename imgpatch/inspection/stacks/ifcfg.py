"""The Red Hat family's ifcfg files: /etc/sysconfig/network-scripts and /etc/sysconfig/network.

initscripts (ifup, the service `network`) sources them with bash; NetworkManager's plugin ifcfg-rh reads the
same files line by line. sysconfig.txt of initscripts, nm-settings-ifcfg-rh(5).
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imgpatch.formats import assignments, shellvars
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.stacks import Interface, Role, plain_mac, vlan_base

STACK = "ifcfg"
FOLDER = "/etc/sysconfig/network-scripts"
GLOBAL = "/etc/sysconfig/network"
"""What ifup sources before the file of the interface; a folder on SUSE."""

_SERVICE = ("/etc/init.d/network", "/etc/rc.d/init.d/network", f"{FOLDER}/ifup-eth")
_MANAGER = ("/usr/sbin/NetworkManager", "/sbin/NetworkManager")
_PASSED_OVER_BY_INITSCRIPTS = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave")
"""is_ignored_file of /etc/init.d/functions; newer ones pass over `.old` too."""
_PASSED_OVER_BY_MANAGER = ("~", ".bak", ".orig", ".rej", ".rpmnew", ".augnew", ".augtmp")
"""utils_should_ignore_file of ifcfg-rh, which does read `.rpmsave`."""

_NO = frozenset({"no", "n", "false", "f", "0", "off"})
_TYPES = {
    "bridge": Role.BRIDGE,
    "bond": Role.BOND,
    "team": Role.BOND,
    "vlan": Role.VLAN,
    "ovsbridge": Role.BRIDGE,
}
_WIRED = frozenset({"", "ethernet", "eth", "teamport", "ovsport", "ovs"})
_MASTERS = {
    "MASTER": Role.BOND,
    "MASTER_UUID": Role.BOND,
    "TEAM_MASTER": Role.BOND,
    "TEAM_MASTER_UUID": Role.BOND,
    "BRIDGE": Role.BRIDGE,
    "BRIDGE_UUID": Role.BRIDGE,
    "OVS_BRIDGE": Role.BRIDGE,
}
_WIRELESS = frozenset({"ESSID", "KEY_MGMT_WPA", "WPA_ALLOW_WPA", "SECURITYMODE"})
_DEFAULT_ROUTE = re.compile(r"(default|0\.0\.0\.0(/0)?|0/0|::/0)(\s|$)")
_DECISIVE = frozenset({"DEVICE", "BOOTPROTO", "ONBOOT"})
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,15}")


@dataclass(frozen=True, slots=True)
class Config:
    """One ifcfg file.

    Attributes:
        suffix: `eth0` of ifcfg-eth0; the service brings it up by that, whatever DEVICE says.
        lines: None where only a shell can tell what the file says.
        values: what each of its variables holds; '' where only a shell can tell.
        alias_of: the interface to which it gives one more address (ifcfg-eth0:1, ifcfg-eth0-range0).
    """

    path: str
    suffix: str
    lines: tuple[assignments.Line, ...]
    values: Mapping[str, str]
    alias_of: str | None = None

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def is_no(self, name: str) -> bool:
        return self.value(name).lower() in _NO

    @property
    def obscure(self) -> str | None:
        """Why nothing can be changed in it with certainty; None where all is clear."""
        if code := assignments.code(self.lines):
            return f"line {', '.join(map(str, code))} is no assignment but shell code"
        if not shellvars.is_sound(assignments.unparse(self.lines)):
            return "a quote or a line is still open at its end"
        decisive = [a for line in self.lines for a in line.assignments if a.name in _DECISIVE]
        if any(a.operator == "+=" or (re.search("[$`]", a.raw) and not self.value(a.name)) for a in decisive):
            return "only a shell can tell what it configures"
        return None

    @property
    def mac(self) -> str | None:
        return plain_mac(self.value("HWADDR"))

    @property
    def name(self) -> str | None:
        """What it configures; None where that is found by its MAC address."""
        if self.alias_of:
            return self.alias_of
        device = self.value("DEVICE").partition(":")[0]
        if device or self.mac:
            return device or None
        if self.value("PHYSDEV") and self.value("VLAN_ID"):
            return f"{self.value('PHYSDEV')}.{self.value('VLAN_ID')}"
        return self.suffix if _NAME.fullmatch(self.suffix) else None

    @property
    def is_static(self) -> bool:
        return any(re.fullmatch(r"IPADDR\d*|IPADDR_START|IPV6ADDR", n) and v for n, v in self.values.items())

    @property
    def is_dhcp(self) -> bool:
        return self.value("BOOTPROTO").lower() in {"dhcp", "bootp"}

    @property
    def is_open_vswitch(self) -> bool:
        return self.value("TYPE").upper().startswith("OVS") or self.value("DEVICETYPE").lower() == "ovs"

    @property
    def masters(self) -> tuple[tuple[str, Role], ...]:
        """The bond, team or bridge it is a port of, by name or UUID."""
        if self.alias_of:
            return ()
        return tuple((self.value(key), role) for key, role in _MASTERS.items() if self.value(key))[:1]

    @property
    def is_port(self) -> bool:
        slave = self.value("SLAVE").lower() in {"yes", "y", "true", "t", "1"}
        return bool(self.masters) or slave or self.value("DEVICETYPE").lower() == "teamport"

    @property
    def role(self) -> Role | None:
        """None where only the name can tell."""
        kinds = [self.value(key).lower() for key in ("TYPE", "DEVICETYPE")]
        said = next((_TYPES[kind] for kind in kinds if kind in _TYPES), None)
        if said is not None:
            return said
        if self.value("VLAN").lower() in {"yes", "y", "true", "t", "1"}:
            return Role.VLAN
        if not all(kind in _WIRED for kind in kinds) or _WIRELESS & set(self.values):
            return Role.OTHER
        if "TEAM_CONFIG" in self.values or (re.fullmatch(r"bond\d+", self.name or "") and not self.is_port):
            return Role.BOND
        if {"BONDING_OPTS", "BONDING_MASTER"} & set(self.values) and not self.is_port:
            return Role.BOND
        return None

    @property
    def lower(self) -> tuple[str, ...]:
        """The device below a VLAN, the ports of a bond that cloud-init wrote."""
        ports = tuple(v for n, v in self.values.items() if re.fullmatch(r"BONDING_SLAVE_?\d+", n) and v)
        if ports:
            return ports
        below = self.value("PHYSDEV") or vlan_base(self.name or "") or ""
        return (below,) if below and self.role in {Role.VLAN, None} else ()


def by_initscripts(guest: Guest) -> bool:
    """Whether the service `network` brings interfaces up; RHEL 8 has it only on demand, 9 no more."""
    return any(guest.exists(path) for path in _SERVICE) or not by_manager(guest)


def by_manager(guest: Guest) -> bool:
    return any(guest.exists(path) for path in _MANAGER)


def is_present(guest: Guest) -> bool:
    """Whether there are files of interfaces, or nothing but initscripts that could read one."""
    return any(config.name != "lo" for config in configs(guest)) or (
        any(guest.exists(path) for path in _SERVICE)
        and bool(guest.listdir(FOLDER))  # SLES 11 has a service of the same name, for its own folder
        and not by_manager(guest)
    )


def files(guest: Guest) -> tuple[str, ...]:
    """The ifcfg files that a reader of this guest takes, each file once."""
    found: dict[str, str] = {}
    for path in guest.glob(f"{FOLDER}/ifcfg-?*"):
        stat = guest.stat(path)
        if stat is not None and stat.kind is Kind.FILE and not _is_passed_over(guest, path):
            found.setdefault(guest.resolve(path), path)
    return tuple(found.values())


def route_files(guest: Guest) -> tuple[str, ...]:
    """Static routes and rules: route-NAME, route6-NAME, rule-NAME, rule6-NAME, and NAME.route of old."""
    patterns = ("route-?*", "route6-?*", "rule-?*", "rule6-?*", "?*.route")
    paths = dict.fromkeys(path for pattern in patterns for path in guest.glob(f"{FOLDER}/{pattern}"))
    stats = ((path, guest.stat(path)) for path in sorted(paths))
    return tuple(path for path, stat in stats if stat is not None and stat.kind is Kind.FILE)


def owner_of(path: str) -> str:
    """`eth0` of route-eth0, rule6-eth0 and eth0.route."""
    name = posixpath.basename(path)
    return name.removesuffix(".route") if name.endswith(".route") else name.partition("-")[2]


def read(guest: Guest, path: str) -> tuple[assignments.Line, ...]:
    """Empty where there is no such file, or SUSE's folder in its place."""
    stat = guest.stat(path)
    if stat is None or stat.kind is not Kind.FILE:
        return ()
    return assignments.parse(guest.text(path) or "")


def values(lines: Sequence[assignments.Line], before: Mapping[str, str | None]) -> dict[str, str]:
    """What the variables of a file hold in the end; '' where only a shell can tell."""
    pieces = assignments.pieces(lines)
    held = shellvars.values(pieces, before)
    return {a.name: held.get(a.name) or "" for line in lines for a in line.assignments}


def configs(guest: Guest) -> tuple[Config, ...]:
    before: Mapping[str, str | None] = dict(values(read(guest, GLOBAL), {}))
    found = []
    for path in files(guest):
        lines = read(guest, path)
        held = values(lines, before)
        found.append(Config(path, _suffix(path), lines, held, _alias(_suffix(path), held)))
    return tuple(found)


def takes_name_servers(guest: Guest) -> bool:
    """Whether /etc/resolv.conf gets the name servers given by DHCP: no file has PEERDNS=no."""
    told = values(read(guest, GLOBAL), {}).get("PEERDNS", "")
    return told.lower() not in _NO and not any(config.is_no("PEERDNS") for config in configs(guest))


def interfaces(guest: Guest) -> Iterator[Interface]:
    everything = [config for config in configs(guest) if config.suffix != "lo"]
    parents = {c.name for c in everything if not c.alias_of}
    found = [c for c in everything if not c.alias_of or (c.is_static and c.alias_of in parents)]
    by_uuid = {c.value("UUID"): c.name for c in found if c.value("UUID") and c.name}
    gateways = _gateways(guest, found)
    some_boot = any(not config.is_no("ONBOOT") for config in found)
    for config in found:
        clear = config.obscure is None  # one that cannot be changed must not become EC2's NIC
        boot = not config.is_no("ONBOOT") and clear
        alias = config.alias_of is not None
        yield Interface(
            STACK,
            config.path,
            config.name,
            None if alias else config.role,
            None if alias else config.mac,
            () if alias else tuple(by_uuid.get(below) or below for below in config.lower),
            static=config.is_static,
            dhcp=config.is_dhcp and not config.is_port and clear,
            gateway=clear and config.path in gateways and (boot or not some_boot),
            boot=boot,
        )
        for master, role in config.masters if clear else ():
            port = config.name or config.mac or config.path
            yield Interface(STACK, config.path, by_uuid.get(master) or master, role, lower=(port,), boot=boot)


def _is_passed_over(guest: Guest, path: str) -> bool:
    """By every reader the guest has."""
    manager = path.endswith(_PASSED_OVER_BY_MANAGER) or bool(re.search(r";[0-9a-fA-F]{8}\Z", path))
    initscripts = path.endswith(_PASSED_OVER_BY_INITSCRIPTS)
    return (manager or not by_manager(guest)) and (initscripts or not by_initscripts(guest))


def _suffix(path: str) -> str:
    return posixpath.basename(path).removeprefix("ifcfg-")


def _alias(suffix: str, held: Mapping[str, str]) -> str | None:
    """The device: ifup-aliases takes ifcfg-DEVICE:* and ifcfg-DEVICE-range*."""
    device = held.get("DEVICE", "")
    if ":" in device:
        return device.partition(":")[0]
    base, mark, _ = suffix.partition("-range" if "-range" in suffix else ":")
    return base if mark and (held.get("IPADDR_START") or not device) else None


def _gateways(guest: Guest, found: Sequence[Config]) -> set[str]:
    """The paths of the files whose interface has the default route."""
    held = values(read(guest, GLOBAL), {})
    everywhere, device = held.get("GATEWAY", ""), held.get("GATEWAYDEV", "")
    by_route = {owner_of(path) for path in route_files(guest) if _has_default_route(guest, path)}
    paths = set()
    for config in found:
        own = any(re.fullmatch(r"GATEWAY\d*|IPV6_DEFAULTGW", n) and v for n, v in config.values.items())
        named = device != "" and device == config.name
        routed = bool(by_route & {config.suffix, config.name})
        near = not device and everywhere != "" and _reaches(config, everywhere)
        if (own or named or routed or near) and not config.is_no("DEFROUTE"):
            paths.add(config.path)
    return paths


def _has_default_route(guest: Guest, path: str) -> bool:
    if not posixpath.basename(path).startswith("route"):
        return False
    lines = (guest.text(path) or "").split("\n")
    return any(_DEFAULT_ROUTE.match(re.sub(r"^\s*(ADDRESS\d+=[\"']?)?", "", line)) for line in lines)


def _reaches(config: Config, gateway: str) -> bool:
    """Whether the gateway is in the network of one of its addresses."""
    for name, address in config.values.items():
        if not re.fullmatch(r"IPADDR\d*", name) or not address:
            continue
        number = name.removeprefix("IPADDR")
        mask = config.value(f"PREFIX{number}") or config.value(f"NETMASK{number}") or "32"
        try:
            network = ipaddress.ip_network(f"{address.partition('/')[0]}/{mask}", strict=False)
            if ipaddress.ip_address(gateway) in network:
                return True
        except ValueError:
            continue
    return False
