"""Which stacks configure which NICs, what stands on them, and which one EC2's NIC takes the place of."""

from __future__ import annotations

import pytest

from imgpatch.inspection.network import Network, Place, inspect_network, renamed
from tests.networks import INTERFACES, KEYFILES, guest

ETHERNET = "[connection]\ntype=ethernet\n"
BRIDGED = "auto br0\niface br0 inet static\n address 10.0.0.5/24\n gateway 10.0.0.1\n bridge_ports ens192\n"


def network(files: dict[str, str], links: dict[str, str] | None = None) -> Network:
    return inspect_network(guest(files, links))


def names(found: Network) -> list[str | None]:
    return [nic.name for nic in found.nics]


def test_nothing_is_configured() -> None:
    assert network({}) == Network((), ())


@pytest.mark.parametrize(
    ("stack", "files"),
    [
        ("ifupdown", {INTERFACES: "iface ens192 inet static\n address 1.2.3.4/24\n"}),
        (
            "systemd-networkd",
            {"/etc/systemd/network/a.network": "[Match]\nName=ens192\n[Network]\nAddress=1.2.3.4/24\n"},
        ),
        ("netplan", {"/etc/netplan/a.yaml": "network: {ethernets: {ens192: {addresses: [1.2.3.4/24]}}}\n"}),
        (
            "NetworkManager",
            {
                f"{KEYFILES}/a": ETHERNET
                + "interface-name=ens192\n[ipv4]\naddress1=1.2.3.4/24\nmethod=manual\n"
            },
        ),
    ],
)
def test_each_stack_gives_its_nic(stack: str, files: dict[str, str]) -> None:
    found = network(files)
    assert found.stacks == (stack,)
    assert [(nic.name, nic.static, nic.sources) for nic in found.nics] == [("ens192", True, tuple(files))]
    assert found.renames == {"ens192": "eth0"}


def test_the_default_gateway_makes_the_primary() -> None:
    text = "auto a1 a2\niface a1 inet dhcp\niface a2 inet static\n address 1.2.3.4/24\n gateway 1.2.3.1\n"
    assert names(network({INTERFACES: text})) == ["a2", "a1"]


def test_without_a_gateway_dhcp_at_boot_makes_it() -> None:
    text = "auto a1 a2\niface a1 inet static\n address 1.2.3.4/24\niface a2 inet dhcp\n"
    assert names(network({INTERFACES: text})) == ["a2", "a1"]


def test_a_gateway_on_a_bridge_counts_for_its_port() -> None:
    found = network({INTERFACES: "auto ens160\niface ens160 inet dhcp\n" + BRIDGED})
    assert names(found) == ["ens192", "ens160"]
    assert found.places["br0"] == Place(primary=True, dhcp=True)
    assert found.places["ens192"] == Place(primary=True, dhcp=False)
    assert found.places["ens160"] == Place(primary=False, dhcp=True)


def test_a_vlan_takes_no_address_and_its_device_does() -> None:
    found = network(
        {INTERFACES: "auto ens192.7\niface ens192.7 inet static\n address 1.2.3.4/24\n gateway 1.2.3.1\n"}
    )
    assert found.places["ens192.7"] == Place(primary=True, dhcp=False)
    assert found.places["ens192"] == Place(primary=True, dhcp=True)


@pytest.mark.parametrize(
    "name", ["lo", "br0", "virbr0", "docker0", "tun0", "wg0", "wlan0", "wlp3s0", "bond0", "dummy0", "veth1a"]
)
def test_what_is_no_nic(name: str) -> None:
    assert network({INTERFACES: f"auto {name}\niface {name} inet static\n address 1.2.3.4/24\n"}).nics == ()


def test_what_stands_on_no_nic_has_no_place() -> None:
    text = "iface lxcbr0 inet static\n bridge_ports none\n address 10.0.3.1/24\n"
    assert network({INTERFACES: text}).places == {}


def test_ports_of_a_networkmanager_bond_by_uuid() -> None:
    found = network(
        {
            f"{KEYFILES}/bond": "[connection]\nuuid=u-1\ntype=bond\ninterface-name=bond0\n"
            "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24,1.2.3.1\n",
            f"{KEYFILES}/p1": ETHERNET + "interface-name=ens1\nmaster=u-1\nslave-type=bond\n",
            f"{KEYFILES}/p2": ETHERNET + "interface-name=ens2\nmaster=bond0\nslave-type=bond\n",
        }
    )
    assert names(found) == ["ens1", "ens2"]
    assert found.places["bond0"] == Place(primary=True, dhcp=True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["eth0"], {}),
        (["ens1"], {"ens1": "eth0"}),
        (["ens1", "ens2"], {"ens1": "eth0", "ens2": "eth1"}),
        (["ens1", "eth0"], {"eth0": "eth0x"}),
        (["eth1", "eth2"], {"eth1": "eth0"}),
        (["eth0", "ens1", "eth1"], {"ens1": "eth2"}),
    ],
)
def test_renames_never_give_a_name_twice(written: list[str], expected: dict[str, str]) -> None:
    text = f"auto {' '.join(written)}\n" + "".join(f"iface {name} inet manual\n" for name in written)
    text += f" gateway 1.1.1.1\niface {written[0]} inet static\n address 1.2.3.4/24\n gateway 1.2.3.1\n"
    found = network({INTERFACES: text.replace(" gateway 1.1.1.1\n", "")})
    after = [found.renames.get(name, name) for name in written]
    assert len(set(after)) == len(after)
    assert after[0] == "eth0"
    if "eth0x" not in expected.values():
        assert found.renames == expected


def test_a_virtual_eth0_is_not_pushed_aside() -> None:
    assert network({INTERFACES: BRIDGED.replace("br0", "eth0")}).renames == {}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ens192", "eth0"),
        ("ens192.10", "eth0.10"),
        ("ens192:1", "eth0:1"),
        ("ens1920", "ens1920"),
        ("br0", "br0"),
    ],
)
def test_a_vlan_and_an_alias_follow_their_nic(word: str, expected: str) -> None:
    assert renamed(word, {"ens192": "eth0"}) == expected


def test_a_mac_address_pinned_elsewhere_gives_the_name() -> None:
    mac = "00:50:56:aa:bb:cc"
    found = network(
        {
            "/etc/udev/rules.d/70-net.rules": f'SUBSYSTEM=="net", ATTR{{address}}=="{mac}", NAME="lan0"\n',
            "/etc/systemd/network/a.network": f"[Match]\nMACAddress={mac.upper()}\n[Network]\nDHCP=yes\n",
        }
    )
    assert [(pin.mac, pin.name, pin.line) for pin in found.pins] == [(mac, "lan0", 1)]
    assert [(nic.name, nic.mac) for nic in found.nics] == [("lan0", mac)]


def test_ifupdown_reads_what_is_sourced() -> None:
    found = network(
        {
            INTERFACES: "source interfaces.d/*.cfg\nsource-directory /etc/network/more\n",
            "/etc/network/interfaces.d/a.cfg": "iface ens1 inet dhcp\n",
            "/etc/network/interfaces.d/b.txt": "iface ens2 inet dhcp\n",
            "/etc/network/more/c": "iface ens3 inet dhcp\n",
            "/etc/network/more/d.bak": "iface ens4 inet dhcp\n",
        }
    )
    assert names(found) == ["ens1", "ens3"]


def test_cloud_init_and_other_stacks_are_noticed() -> None:
    found = network(
        {
            "/etc/cloud/cloud.cfg.d/50.cfg": "network:\n  version: 2\n  ethernets: {ens1: {dhcp4: true}}\n",
            "/etc/sysconfig/network-scripts/ifcfg-lo": "",
            "/etc/sysconfig/network-scripts/ifcfg-ens1": "",
        }
    )
    assert found.cloud_init == ("/etc/cloud/cloud.cfg.d/50.cfg",)
    assert found.stacks == ("ifcfg",)
