"""cloud-init: the network configuration it is handed, and what it will do at the first boot on EC2.

An instance on EC2 is new to it, so it writes the network configuration anew: from `network:` in its own
configuration where that has any, else DHCP by what EC2 tells; never where `network: {config: disabled}`
stands. (cloud-init's documentation, "Network configuration sources".)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgpatch.errors import FormatError
from imgpatch.formats.netplan import Document, Path, Value, parse
from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, Role, plain_mac

CONFIG = "/etc/cloud/cloud.cfg"
_DROPINS = "/etc/cloud/cloud.cfg.d/*.cfg"
_SEEDS = "/var/lib/cloud/seed/*/network-config"
_DISABLED = "/etc/cloud/cloud-init.disabled"
_GENERATED = (
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init*",
    "/etc/systemd/network/10-cloud-init-*.network",
    "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/sysconfig/network/ifcfg-*",
)
_HEADER = "by cloud-init"
EC2 = "Ec2"
_ROLES = {"physical": Role.NIC, "bond": Role.BOND, "bridge": Role.BRIDGE, "vlan": Role.VLAN}
PORTS = ("bond_interfaces", "bridge_interfaces")
STATIC = frozenset({"static", "static4", "static6"})
DHCP = frozenset({"dhcp", "dhcp4"})
ITEMS: Path = ("network", "config")
_WRAP = "network:\n"


def is_disabled(guest: Guest) -> bool:
    """Whether it does not run at all, or is not installed."""
    return not guest.exists(CONFIG) or guest.exists(_DISABLED)


def network_files(guest: Guest) -> tuple[str, ...]:
    """The files that hand it a network configuration; none where it is told to leave the network alone."""
    if is_network_disabled(guest):
        return ()
    paths = (CONFIG, *guest.glob(_DROPINS))
    found = (path for path in paths if isinstance(_mapping(guest, path).get("network"), dict))
    return (*found, *(path for path in guest.glob(_SEEDS) if read(guest, path) is not None))


def unreadable(guest: Guest) -> tuple[str, ...]:
    """The files that speak of the network in YAML that cannot be read or edited."""
    paths = (CONFIG, *guest.glob(_DROPINS), *guest.glob(_SEEDS))
    unread = (path for path in paths if read(guest, path) is None)
    return tuple(
        p
        for p in unread
        if "seed" in p or any(li.startswith("network:") for li in _lines(guest.text(p) or ""))
    )


def is_network_disabled(guest: Guest) -> bool:
    """Whether its configuration says `network: {config: disabled}`, the last word of all files."""
    networks = (_mapping(guest, path).get("network") for path in (CONFIG, *guest.glob(_DROPINS)))
    said = [network["config"] for network in networks if isinstance(network, dict) and "config" in network]
    return said[-1:] == ["disabled"]


def datasources(guest: Guest) -> tuple[str, ...] | None:
    """Where it may look for its data; None where nothing says, which means everywhere."""
    found = None
    for path in (CONFIG, *guest.glob(_DROPINS)):
        said = _mapping(guest, path).get("datasource_list")
        if isinstance(said, list):
            found = tuple(word for word in said if isinstance(word, str))
    return found


def generated(guest: Guest) -> tuple[str, ...]:
    """The network files that it has written itself."""
    paths = (path for pattern in _GENERATED for path in guest.glob(pattern))
    return tuple(p for p in paths if "cloud-init" in p or _HEADER in (guest.text(p) or "")[:400])


def read(guest: Guest, path: str) -> Document | None:
    """A network configuration under `network:`, put there where the file has it at its top.

    None where it cannot be read; the transform says so.
    """
    text = guest.text(path) or ""
    try:
        document = parse(text)
        top = document.value if isinstance(document.value, dict) else {}
        if "network" in top or "version" not in top:
            return document
        return parse(_WRAP + "".join(f"  {line}" for line in _lines(text)))
    except FormatError:
        return None


def unwrapped(document: Document, original: str) -> str:
    """The text of a document of `read` as the file has it.

    Raises:
        FormatError: an edit has left the mapping that was put around it.
    """
    if "network" in (parse(original).value or {}):
        return document.text
    lines = _lines(document.text.removeprefix(_WRAP))
    if not document.text.startswith(_WRAP) or any(not line.startswith("  ") for line in lines):
        raise FormatError("the YAML here is written in a way that cannot be edited safely")
    return "".join(line[2:] for line in lines)


def interfaces(path: str, document: Document) -> Iterator[Interface]:
    """What version 1 says: a list of things with a type."""
    for item in items(document).values():
        name = item.get("name")
        role = _ROLES.get(str(item.get("type")))
        if not isinstance(name, str) or role is None:
            continue
        below = [*(p for key in PORTS for p in _words(item.get(key))), *_words(item.get("vlan_link"))]
        subnets = [s for s in _list(item.get("subnets")) if isinstance(s, dict)]
        mac = item.get("mac_address")
        yield Interface(
            "cloud-init",
            path,
            name,
            role,
            plain_mac(mac) if isinstance(mac, str) and role is Role.NIC else None,
            tuple(below),
            static=any(subnet.get("type") in STATIC for subnet in subnets),
            dhcp=any(subnet.get("type") in DHCP for subnet in subnets),
            gateway=any("gateway" in subnet for subnet in subnets),
        )


def items(document: Document) -> dict[int, dict[str, Value]]:
    """The entries of version 1 by their place in the list; none for version 2."""
    return {i: v for i, v in enumerate(_list(document.at(ITEMS))) if isinstance(v, dict)}


def is_version_1(document: Document) -> bool:
    return isinstance(document.at(ITEMS), list)


def _mapping(guest: Guest, path: str) -> Mapping[str, Value]:
    document = read(guest, path)
    return document.value if document is not None and isinstance(document.value, dict) else {}


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _words(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else [v for v in _list(value) if isinstance(v, str)]
