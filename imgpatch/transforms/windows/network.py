"""Takes static addresses out of the registry, so that DHCP gives them (documents M-07).

Every interface of every control set, those of hardware that is gone too; with them the routes and addresses
that Windows keeps beside its interfaces and would apply to any.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection.windows import control_sets
from imgpatch.inspection.windows.addresses import (
    NAME_SERVERS,
    NetworkInterface,
    given,
    read_interfaces,
    texts,
)
from imgpatch.plan import Context, Note, NoteKind, Reason
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide_list

RULE = "M-07"

PARAMETERS = "Services\\Tcpip\\Parameters"
PARAMETERS_6 = "Services\\Tcpip6\\Parameters"
ROUTES = f"{PARAMETERS}\\PersistentRoutes"
WINS = "Services\\NetBT\\Parameters\\Interfaces"
STORES = (
    "Control\\Nsi\\{eb004a00-9b1a-11d4-9123-0050047759bc}\\10",
    "Control\\Nsi\\{eb004a00-9b1a-11d4-9123-0050047759bc}\\16",
    "Control\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10",
    "Control\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\16",
)
"""Where Windows Vista and later keep static addresses (10) and routes (16), IPv4 and IPv6."""

ADDRESS_VALUES = ("IPAddress", "SubnetMask")
LIST_VALUES = ("DefaultGateway", "DefaultGatewayMetric")
NEEDED = ("Tcpip", "AFD", "NetBT", "NSI", "nsiproxy")
AUTOMATIC, DISABLED = 2, 4


def ask(draft: HiveDraft, guest: Guest, context: Context) -> Iterator[Note]:  # noqa: ARG001
    windows = context.inspection.windows
    assert windows is not None
    nt5 = windows.release.version < (6, 0)
    notes: list[Note] = []
    for name in control_sets(draft.root):
        control = draft.root.at(name)
        if control is None:
            continue
        for interface in read_interfaces(control):
            _interface(draft, control, interface, nt5=nt5)
        _old_copies(draft, control, nt5=nt5)
        _kept_beside(draft, control)
        notes += _services(draft, control)
    yield from dict.fromkeys(notes)


def _interface(draft: HiveDraft, control: Key, interface: NetworkInterface, *, nt5: bool) -> None:
    key = draft.root.at(interface.path)
    assert key is not None
    named = f" ({interface.name})" if interface.name else ""
    if interface.static:
        text = f"{interface.path}{named}: {', '.join(interface.addresses)} becomes DHCP"
        _to_dhcp(draft, key, Reason(RULE, text), nt5=nt5)
    elif interface.dhcp and interface.gateways:
        gateways = ", ".join(interface.gateways)
        text = f"{interface.path}{named}: the gateway {gateways} would be preferred to DHCP's"
        _empty_lists(draft, key, Reason(RULE, text))
    _name_servers(draft, key)
    wins = control.at(f"{WINS}\\Tcpip_{interface.guid}")
    if wins is not None and texts(wins.value("NameServerList")):
        reason = Reason(RULE, f"{wins.path}: the WINS servers are of the old network")
        draft.set_value(wins.path, Value("NameServerList", Type.MULTI_SZ, wide_list(())), reason)


def _name_servers(draft: HiveDraft, key: Key) -> None:
    for name in NAME_SERVERS:
        if servers := texts(key.value(name)):
            text = f"{key.path}: the name servers {', '.join(servers)} are of the old network"
            draft.set_text(key, name, "", Reason(RULE, text))


def _old_copies(draft: HiveDraft, control: Key, *, nt5: bool) -> None:
    """Where Windows NT 4 had the addresses: up to Windows 8.1 a copy of each interface's is kept there."""
    services = control.at("Services")
    for low, service in services.subkeys.items() if services is not None else ():
        key = service.at("Parameters\\Tcpip") if low.startswith("{") else None
        dhcp = None if key is None else key.value("EnableDHCP")
        addresses = () if key is None else given(key.value("IPAddress"))
        if key is not None and addresses and (dhcp is None or not dhcp.number):
            reason = Reason(RULE, f"{key.path}: the copy of {', '.join(addresses)} goes with it")
            _to_dhcp(draft, key, reason, nt5=nt5)


def _to_dhcp(draft: HiveDraft, key: Key, reason: Reason, *, nt5: bool) -> None:
    draft.set_number(key, "EnableDHCP", 1, reason)
    for name in ADDRESS_VALUES:
        if nt5:  # Windows XP and 2003 keep these for DHCP too, with no address in them
            draft.set_value(key.path, Value(name, Type.MULTI_SZ, wide_list(["0.0.0.0"])), reason)  # noqa: S104
        else:
            draft.drop_value(key, name, reason)
    _empty_lists(draft, key, reason)


def _empty_lists(draft: HiveDraft, key: Key, reason: Reason) -> None:
    for name in LIST_VALUES:
        if key.value(name) is not None:
            draft.set_value(key.path, Value(name, Type.MULTI_SZ, wide_list(())), reason)


def _kept_beside(draft: HiveDraft, control: Key) -> None:
    for path in (ROUTES, *STORES):
        key = control.at(path)
        for value in () if key is None else key.values.values():
            assert key is not None
            kind = "route" if path == ROUTES or path.endswith("16") else "address"
            shown = value.name.split(",")[0] if path == ROUTES else value.name
            draft.drop_value(key, value.name, Reason(RULE, f"{key.path}: the static {kind} {shown} goes"))
    for path in (PARAMETERS, PARAMETERS_6):
        parameters = control.at(path)
        if parameters is not None:
            _name_servers(draft, parameters)
    interfaces = control.at(f"{PARAMETERS_6}\\Interfaces")
    for key in () if interfaces is None else interfaces.subkeys.values():
        _name_servers(draft, key)


def _services(draft: HiveDraft, control: Key) -> Iterator[Note]:
    dhcp = control.at("Services\\Dhcp")
    start = None if dhcp is None else dhcp.value("Start")
    if dhcp is not None and start is not None and start.number != AUTOMATIC:
        text = f"{dhcp.path}: Start {start.number} becomes {AUTOMATIC}: the machine gets its address by DHCP"
        draft.set_number(dhcp, "Start", AUTOMATIC, Reason(RULE, text))
    for name in NEEDED:
        key = control.at(f"Services\\{name}")
        value = None if key is None else key.value("Start")
        if key is not None and value is not None and value.number == DISABLED:
            text = f"{key.path} is disabled: without it there is no network (documents R-66)"
            yield Note(NoteKind.WARNING, RULE, text)
