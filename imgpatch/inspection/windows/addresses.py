"""The network interfaces of a Windows guest: which have static addresses, and where those are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imgpatch.formats.registry import Key, Type, Value

INTERFACES = "Services\\Tcpip\\Parameters\\Interfaces"
NAME_SERVERS = ("NameServer", "ProfileNameServer")
"""Windows 11 and Windows Server 2025 keep those of one network profile apart."""
CONNECTIONS = "Control\\Network\\{4D36E972-E325-11CE-BFC1-08002BE10318}"
NONE = ("", "0.0.0.0")  # noqa: S104 - what the registry says of no address


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One interface of one control set, of hardware that is there or not.

    Attributes:
        path: of its key.
        guid: in braces, as the key is called.
        name: as Windows shows it (`Ethernet0`); None for what has no connection.
        device: the PnP id of its hardware; None where nothing says.
        dhcp: EnableDHCP is on.
        addresses: the static ones, without those that mean none.
        gateways: likewise; Windows prefers them to those that DHCP gives.
        name_servers: set by hand.
    """

    path: str
    guid: str
    name: str | None
    device: str | None
    dhcp: bool
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    name_servers: tuple[str, ...]

    @property
    def static(self) -> bool:
        return not self.dhcp and bool(self.addresses)


def read_interfaces(control: Key) -> tuple[NetworkInterface, ...]:
    """All interfaces of a control set, in the order of the hive."""
    found = control.at(INTERFACES)
    return () if found is None else tuple(_interface(control, key) for key in found.subkeys.values())


def _interface(control: Key, key: Key) -> NetworkInterface:
    connection = control.at(f"{CONNECTIONS}\\{key.name}\\Connection")
    dhcp = key.value("EnableDHCP")
    return NetworkInterface(
        path=key.path,
        guid=key.name,
        name=_text(connection, "Name"),
        device=_text(connection, "PnpInstanceID"),
        dhcp=dhcp is not None and dhcp.number != 0,
        addresses=given(key.value("IPAddress")),
        gateways=given(key.value("DefaultGateway")),
        name_servers=tuple(dict.fromkeys(n for name in NAME_SERVERS for n in given(key.value(name)))),
    )


def texts(value: Value | None) -> tuple[str, ...]:
    """A list, or one string with commas or blanks between: both forms are met for every one of these."""
    if value is None:
        return ()
    found = value.texts if value.type == Type.MULTI_SZ else (value.text,)
    return tuple(word for text in found for word in text.replace(",", " ").split())


def given(value: Value | None) -> tuple[str, ...]:
    """The addresses of a list that are any."""
    return tuple(text for text in texts(value) if text not in NONE)


def _text(key: Key | None, name: str) -> str | None:
    value = None if key is None else key.value(name)
    return None if value is None else value.text or None


def persistent_routes(control: Key) -> Iterator[tuple[Key, Value]]:
    """The routes kept over restarts; a static default gateway stands among them (Windows 7)."""
    for path in ("Services\\Tcpip\\Parameters\\PersistentRoutes",):
        key = control.at(path)
        if key is not None:
            yield from ((key, value) for value in key.values.values())
