"""netplan: /etc/netplan/*.yaml, one definition an interface (netplan-yaml)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgpatch.errors import FormatError
from imgpatch.formats.netplan import TRUE, Document, Value, parse
from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, Role, plain_mac

STACK = "netplan"
FOLDER = "/etc/netplan"
ROLES = {
    "ethernets": Role.NIC,
    "bridges": Role.BRIDGE,
    "bonds": Role.BOND,
    "vlans": Role.VLAN,
    "wifis": Role.OTHER,
    "modems": Role.OTHER,
    "tunnels": Role.OTHER,
    "vrfs": Role.OTHER,
    "dummy-devices": Role.OTHER,
    "virtual-ethernets": Role.OTHER,
    "nm-devices": Role.OTHER,
}
ADDRESSING = ("addresses", "gateway4", "gateway6")


def files(guest: Guest) -> tuple[str, ...]:
    """In the order of their names; a later file adds to and overrides the ones before it."""
    return tuple(guest.glob(f"{FOLDER}/*.yaml"))


def read(guest: Guest, path: str) -> Document | None:
    """None where it cannot be read; the transform says so."""
    try:
        return parse(guest.text(path) or "")
    except FormatError:
        return None


def interfaces(guest: Guest) -> Iterator[Interface]:
    documents = {path: document for path in files(guest) if (document := read(guest, path)) is not None}
    called = names(documents)
    for path, document in documents.items():
        for kind, role in ROLES.items():
            for key, definition in document.mapping(("network", kind)).items():
                yield _interface(path, called.get(key, key), role, as_mapping(definition), called)


def names(documents: Mapping[str, Document]) -> dict[str, str | None]:
    """What each definition's interface is called: its id unless it is matched by something else."""
    found: dict[str, str | None] = {}
    for document in documents.values():
        for key, definition in document.mapping(("network", "ethernets")).items():
            name = name_of(key, as_mapping(definition))
            found[key] = found.get(key, key) if name == key else name
    return found


def name_of(key: str, definition: Mapping[str, Value]) -> str | None:
    match = as_mapping(definition.get("match"))
    if not match:
        return key
    name = definition.get("set-name") or match.get("name")
    return name if isinstance(name, str) else None


def as_mapping(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def is_true(value: Value) -> bool:
    return isinstance(value, str) and value.lower() in TRUE


def words(value: Value) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _interface(
    path: str, name: str | None, role: Role, definition: dict[str, Value], called: Mapping[str, str | None]
) -> Interface:
    mac = as_mapping(definition.get("match")).get("macaddress")
    below = (
        [*words(definition.get("interfaces")), definition.get("link")]
        if role in {Role.BRIDGE, Role.BOND, Role.VLAN}
        else []
    )
    lower = (called.get(key, key) for key in below if isinstance(key, str))
    routes = definition.get("routes")
    return Interface(
        STACK,
        path,
        name,
        role,
        plain_mac(mac) if isinstance(mac, str) else None,
        tuple(key for key in lower if key is not None),
        static=bool(definition.get("addresses")),
        dhcp=is_true(definition.get("dhcp4")),
        gateway="gateway4" in definition or any(_is_default(route) for route in routes or ()),
        boot=not is_true(definition.get("optional")),
    )


def _is_default(route: Value) -> bool:
    return as_mapping(route).get("to") in {"default", "0.0.0.0/0", "0/0"}
