"""netplan: *.yaml in /etc/netplan over /usr/lib/netplan, one definition an interface (netplan-yaml)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgpatch.errors import FormatError
from imgpatch.formats.netplan import TRUE, Document, Value, parse
from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, Role, layered, plain_mac

STACK = "netplan"
FOLDER = "/etc/netplan"
VENDOR_FOLDERS = ("/usr/lib/netplan", "/lib/netplan")
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
STATIC = ("addresses", "gateway4", "gateway6")
Definition = tuple[str, str, str]
"""The path of a definition: `network`, its kind, its id."""


def files(guest: Guest) -> tuple[str, ...]:
    """In the order of their names; a later file adds to and overrides the ones before it."""
    return layered(guest, (FOLDER, *VENDOR_FOLDERS), "*.yaml")


def override(path: str) -> str:
    """The file in /etc that takes the place of one of a package."""
    folder = next((f for f in VENDOR_FOLDERS if path.startswith(f"{f}/")), FOLDER)
    return f"{FOLDER}{path.removeprefix(folder)}"


def read(guest: Guest, path: str) -> Document | None:
    """None where it cannot be read; the transform says so."""
    try:
        return parse(guest.text(path) or "")
    except FormatError:
        return None


def interfaces(guest: Guest) -> Iterator[Interface]:
    read_all = ((path, read(guest, path)) for path in files(guest))
    yield from said({path: document for path, document in read_all if document is not None})


def said(documents: Mapping[str, Document]) -> Iterator[Interface]:
    """What these files say together."""
    called = names(documents)
    for document in documents.values():  # what has no name is known by its MAC address
        for (_, _, key), definition in definitions(document):
            if called.get(key, key) is None:
                called[key] = _mac(definition)
    for path, document in documents.items():
        for (_, kind, key), definition in definitions(document):
            yield _interface(path, called.get(key, key), ROLES[kind], definition, called)


def definitions(document: Document) -> Iterator[tuple[Definition, dict[str, Value]]]:
    """(path, definition) for every interface in a file; a kind may also have a `renderer`."""
    for kind in ROLES:
        for key, value in document.mapping(("network", kind)).items():
            if isinstance(value, dict) or value is None:
                yield ("network", kind, key), as_mapping(value)


def names(documents: Mapping[str, Document]) -> dict[str, str | None]:
    """What each definition's interface is called: its id unless it is matched by something else."""
    found: dict[str, str | None] = {}
    for document in documents.values():
        for (_, kind, key), definition in definitions(document):
            if kind != "ethernets":
                continue
            name = name_of(key, definition)
            found[key] = found.get(key, key) if name == key else name
    return found


def name_of(key: str, definition: Mapping[str, Value]) -> str | None:
    if "match" not in definition:
        return key
    match = as_mapping(definition["match"])  # an empty one, as NetworkManager writes it, is any NIC
    name = definition.get("set-name") or match.get("name")
    return name if isinstance(name, str) else None


def is_static(definition: Mapping[str, Value]) -> bool:
    """Whether it has addresses or a gateway, in netplan's words or in those it hands to NetworkManager."""
    handed = passthrough(definition)
    return any(definition.get(key) for key in STATIC) or any(
        handed.get(f"{family}.method") == "manual" for family in ("ipv4", "ipv6")
    )


def passthrough(definition: Mapping[str, Value]) -> dict[str, Value]:
    """Keyfile settings, `ipv4.method`, that override netplan's own: as NetworkManager saves a connection."""
    return as_mapping(as_mapping(definition.get("networkmanager")).get("passthrough"))


def as_mapping(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def is_true(value: Value) -> bool:
    return isinstance(value, str) and value.lower() in TRUE


def words(value: Value) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _interface(
    path: str, name: str | None, role: Role, definition: dict[str, Value], called: Mapping[str, str | None]
) -> Interface:
    below = [*words(definition.get("interfaces")), definition.get("link")]
    lower = (called.get(key, key) for key in below if isinstance(key, str))
    routes = definition.get("routes")
    mac = _mac(definition)
    return Interface(
        STACK,
        path,
        None if name == mac else name,
        role,
        mac,
        tuple(key for key in lower if key is not None) if role is not Role.NIC else (),
        static=bool(definition.get("addresses")) or passthrough(definition).get("ipv4.method") == "manual",
        dhcp=is_true(definition.get("dhcp4")),
        gateway="gateway4" in definition
        or any(_is_default(route) for route in routes or ())
        or _hands_gateway(definition),
        boot=not is_true(definition.get("optional")),
    )


def _mac(definition: Mapping[str, Value]) -> str | None:
    mac = as_mapping(definition.get("match")).get("macaddress")
    return plain_mac(mac) if isinstance(mac, str) else None


def _hands_gateway(definition: Mapping[str, Value]) -> bool:
    """`ipv4.address1: 10.0.0.5/24,10.0.0.1`, or `ipv4.gateway`."""
    return any(
        key == "ipv4.gateway" or (key.startswith("ipv4.address") and isinstance(said, str) and "," in said)
        for key, said in passthrough(definition).items()
    )


def _is_default(route: Value) -> bool:
    return as_mapping(route).get("to") in {"default", "0.0.0.0/0", "0/0"}
