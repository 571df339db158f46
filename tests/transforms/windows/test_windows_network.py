"""Static addresses become DHCP, wherever and in whatever form they stand."""

from __future__ import annotations

import pytest

from imgpatch.transforms.windows import network
from tests.transforms.windows.machines import guest, notes, plan, system, value

PARAMETERS = "ControlSet001\\Services\\Tcpip\\Parameters"
GUID = "{00000000-0000-4000-8000-0000000000AA}"
KEY = f"{PARAMETERS}\\Interfaces\\{GUID}"


@pytest.mark.parametrize(
    ("name", "lines", "wanted"),
    [
        pytest.param(
            "2019",
            '"EnableDHCP"=dword:0\n"IPAddress"=multi:"10.3.58.5"\n"SubnetMask"=multi:"255.255.255.0"',
            {"EnableDHCP": 1, "IPAddress": None, "SubnetMask": None},
            id="Vista on have no such values with DHCP",
        ),
        pytest.param(
            "2003",
            '"EnableDHCP"=dword:0\n"IPAddress"=multi:"10.3.58.5"\n"SubnetMask"=multi:"255.255.255.0"',
            {"EnableDHCP": 1, "IPAddress": ("0.0.0.0",), "SubnetMask": ("0.0.0.0",)},
            id="2003 keeps empty ones",
        ),
        pytest.param(
            "2019",
            '"EnableDHCP"=dword:0\n"IPAddress"="10.3.58.5"\n"DefaultGateway"="10.3.58.1"',
            {"EnableDHCP": 1, "IPAddress": None, "DefaultGateway": ()},
            id="strings where lists are usual",
        ),
        pytest.param(
            "2003",
            '"EnableDHCP"=dword:0\n"IPAddress"=multi:"0.0.0.0"\n"SubnetMask"=multi:"0.0.0.0"',
            {"EnableDHCP": 0, "IPAddress": ("0.0.0.0",)},
            id="a WAN miniport stays",
        ),
        pytest.param(
            "2019",
            '"EnableDHCP"=dword:1\n"NameServer"="10.3.58.4 10.3.58.6"',
            {"EnableDHCP": 1, "NameServer": ""},
            id="name servers by hand beside DHCP",
        ),
        pytest.param(
            "2019",
            '"EnableDHCP"=dword:1\n"DhcpNameServer"="10.0.2.3"\n"Domain"="corp.example"',
            {"DhcpNameServer": "10.0.2.3", "Domain": "corp.example"},
            id="what DHCP gave, and the domain, stay",
        ),
        pytest.param(
            "2019",
            '"EnableDHCP"=dword:1\n"DefaultGateway"=multi:"10.3.58.1"\n"DefaultGatewayMetric"=multi:"0"',
            {"EnableDHCP": 1, "DefaultGateway": (), "DefaultGatewayMetric": ()},
            id="a gateway by hand beside DHCP",
        ),
        pytest.param(
            "2025",
            '"EnableDHCP"=dword:1\n"ProfileNameServer"="10.3.58.4"',
            {"ProfileNameServer": ""},
            id="name servers of a network profile",
        ),
        pytest.param(
            "2019",
            '"EnableDHCP"="0"\n"IPAddress"=multi:"0.0.0.0"',
            {"EnableDHCP": "0"},
            id="no address, no change",
        ),
    ],
)
def test_an_interface(name: str, lines: str, wanted: dict[str, object]) -> None:
    machine = guest(name, f"[{KEY}]\n{lines}")
    root = system(name, machine, plan(machine, network))
    assert {value_name: value(root, KEY, value_name) for value_name in wanted} == wanted


def test_copies_and_settings_beside_an_interface() -> None:
    old = f"ControlSet001\\Services\\{GUID}\\Parameters\\Tcpip"
    six = f"ControlSet001\\Services\\Tcpip6\\Parameters\\Interfaces\\{GUID}"
    wins = f"ControlSet001\\Services\\NetBT\\Parameters\\Interfaces\\Tcpip_{GUID}"
    lines = (
        f'[{KEY}]\n"EnableDHCP"=dword:1\n'
        f'[{old}]\n"EnableDHCP"=dword:0\n"IPAddress"=multi:"10.3.58.5"\n"DefaultGateway"=multi:"10.3.58.1"\n'
        f'[{six}]\n"NameServer"="2001:db8::1"\n'
        f'[{wins}]\n"NameServerList"=multi:"10.3.58.9"\n'
    )
    machine = guest("2008r2", lines)
    root = system("2008r2", machine, plan(machine, network))
    wanted = (
        (old, "EnableDHCP", 1),
        (old, "IPAddress", None),
        (old, "DefaultGateway", ()),
        (six, "NameServer", ""),
        (wins, "NameServerList", ()),
    )
    assert [value(root, path, name) for path, name, _ in wanted] == [row[2] for row in wanted]


def test_both_control_sets_though_the_second_is_current() -> None:
    machine = guest("2008r2")
    root = system("2008r2", machine, plan(machine, network))
    for name in ("ControlSet001", "ControlSet002"):
        routes = root.at(f"{name}\\Services\\Tcpip\\Parameters\\PersistentRoutes")
        assert routes is not None
        assert not routes.values
        kept = root.at(f"{name}\\Control\\Nsi\\{{eb004a00-9b1a-11d4-9123-0050047759bc}}\\10")
        assert kept is not None
        assert not kept.values


@pytest.mark.parametrize(("start", "wanted"), [(2, 2), (3, 2), (4, 2)])
def test_the_dhcp_client_starts(start: int, wanted: int) -> None:
    machine = guest("2019", f'[ControlSet001\\Services\\Dhcp]\n"Start"=dword:{start}')
    root = system("2019", machine, plan(machine, network))
    assert value(root, "ControlSet001\\Services\\Dhcp", "Start") == wanted


def test_a_disabled_tcpip_is_said() -> None:
    assert "Services\\Tcpip is disabled" in notes(
        plan(guest("2019", '[ControlSet001\\Services\\Tcpip]\n"Start"=dword:4'), network)
    )
