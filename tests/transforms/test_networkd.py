"""systemd-networkd: static becomes DHCP, on the one NIC that is there, with nothing else lost."""

from __future__ import annotations

import pytest

from tests.networks import after, guest, plan

FILE = "/etc/systemd/network/10-lan.network"
STATIC = """\
# head
[Match]
Name=ens192

[Network]
# the address
Address=10.0.0.5/24
Address=10.0.0.6/24
Gateway=10.0.0.1
DNS=10.0.0.2
Domains=example.org
NTP=ntp.example.org

[Address]
Address=10.0.0.7/24
# a comment of it
Label=x

[Route]
Destination=10.9.0.0/16
Gateway=10.0.0.9

[Link]
MTUBytes=1400
"""
DHCP = """\
# head
[Match]
Name=eth0

[Network]
# the address
Domains=example.org
NTP=ntp.example.org
DHCP=ipv4

# a comment of it


[Link]
MTUBytes=1400
"""


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({FILE: STATIC}) == DHCP


def test_with_names_kept_only_the_addressing_changes() -> None:
    assert after({FILE: STATIC}, nic_names="keep") == DHCP.replace("eth0", "ens192")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Match]\nName=ens1\n[Network]\nDHCP=yes\n", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"),
        ("[Match]\nName=en*\n[Network]\nDHCP=yes\n", "[Match]\nName=eth*\n[Network]\nDHCP=yes\n"),
        ("[Match]\nName=e*\n[Network]\nDHCP=yes\n", "[Match]\nName=e*\n[Network]\nDHCP=yes\n"),
        ("[Match]\nType=ether\n[Network]\nDHCP=yes\n", "[Match]\nType=ether\n[Network]\nDHCP=yes\n"),
        (
            "[Match]\nName=ens1\n[Network]\nDHCP=no\nAddress=1.2.3.4/24\n",
            "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
        ),
        (
            "[Match]\nMACAddress=00:50:56:AA:BB:CC\n[Network]\nAddress=1.2.3.4/24\n",
            "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
        ),
        (
            "[Match]\nMACAddress=00:50:56:AA:BB:CC\nName=eth0\n[Network]\nDHCP=yes\n",
            "[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
        ),
        (
            "[Match]\nName=en*\nDriver=vmxnet3\n[Network]\nDHCP=yes\n",
            "[Match]\nName=eth*\n[Network]\nDHCP=yes\n",
        ),
        (
            "[Match]\nName=!lo ens2\n[Network]\nAddress=1.2.3.4/24\n",
            "[Match]\nName=!lo ens2\n[Network]\nDHCP=ipv4\n",
        ),
        (
            "[Match]\nName=ens1\n[Link]\nMACAddress=00:50:56:aa:bb:cc\nMTUBytes=9000\n[Network]\nDHCP=yes\n",
            "[Match]\nName=eth0\n[Link]\nMTUBytes=9000\n[Network]\nDHCP=yes\n",
        ),
        (
            "[Match]\nName=ens1\n[Network]\nAddress=1.2.3.4/24\n[DHCPv4]\nUseDNS=no\nUseMTU=no\n",
            "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n[DHCPv4]\nUseMTU=no\n",
        ),
        (
            "[Match]\nName=lo\n[Network]\nAddress=10.9.9.9/32\n",
            "[Match]\nName=lo\n[Network]\nAddress=10.9.9.9/32\n",
        ),
        (
            "[Match]\nType=wlan\n[Network]\nAddress=1.2.3.4/24\n",
            "[Match]\nType=wlan\n[Network]\nAddress=1.2.3.4/24\n",
        ),
    ],
)
def test_one_file(text: str, expected: str) -> None:
    assert after({FILE: text}) == expected


BRIDGE = {
    "/etc/systemd/network/br0.netdev": "[NetDev]\nName=br0\nKind=bridge\n",
    "/etc/systemd/network/br0.network": "[Match]\nName=br0\n[Network]\nAddress=1.2.3.4/24\nGateway=1.2.3.1\n",
    "/etc/systemd/network/port.network": "[Match]\nName=ens1\n[Network]\nBridge=br0\n",
}


def test_the_bridge_takes_the_address_and_the_mac_of_its_port() -> None:
    assert after(BRIDGE, "/etc/systemd/network/br0.network") == "[Match]\nName=br0\n[Network]\nDHCP=ipv4\n"
    assert after(BRIDGE, "/etc/systemd/network/port.network") == "[Match]\nName=eth0\n[Network]\nBridge=br0\n"
    assert after(BRIDGE, "/etc/systemd/network/br0.netdev").endswith("Kind=bridge\nMACAddress=none\n")


def test_a_vlan_is_renamed_loses_its_address_and_is_not_waited_for() -> None:
    files = {
        "/etc/systemd/network/a.network": "[Match]\nName=ens1\n[Network]\nVLAN=ens1.7\nDHCP=yes\n",
        "/etc/systemd/network/v.netdev": "[NetDev]\nName=ens1.7\nKind=vlan\n[VLAN]\nId=7\n",
        "/etc/systemd/network/v.network": "[Match]\nName=ens1.7\n[Network]\nAddress=1.2.3.4/24\n",
    }
    assert (
        after(files, "/etc/systemd/network/a.network")
        == "[Match]\nName=eth0\n[Network]\nVLAN=eth0.7\nDHCP=yes\n"
    )
    assert after(files, "/etc/systemd/network/v.netdev").startswith("[NetDev]\nName=eth0.7\n")
    assert after(files, "/etc/systemd/network/v.network") == (
        "[Match]\nName=eth0.7\n[Network]\n\n[Link]\nRequiredForOnline=no\n"
    )


def test_a_further_nic_is_not_waited_for() -> None:
    files = {
        FILE: STATIC,
        "/etc/systemd/network/20.network": "[Match]\nName=ens2\n[Network]\nAddress=1.2.3.4/24\n",
    }
    assert after(files, "/etc/systemd/network/20.network") == (
        "[Match]\nName=eth1\n[Network]\nDHCP=ipv4\n\n[Link]\nRequiredForOnline=no\n"
    )


def test_a_dropin_loses_its_address_and_the_file_gets_dhcp() -> None:
    files = {
        FILE: "[Match]\nName=ens1\n",
        f"{FILE}.d/ip.conf": "[Network]\nAddress=1.2.3.4/24\nMulticastDNS=yes\n",
    }
    assert after(files, f"{FILE}.d/ip.conf") == "[Network]\nMulticastDNS=yes\n"
    assert after(files, FILE) == "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n"


def test_a_dropin_that_refuses_dhcp_changes_with_a_reason() -> None:
    dropin = f"{FILE}.d/no.conf"
    made = plan(guest({FILE: "[Match]\nName=eth0\n[Network]\nDHCP=yes\n", dropin: "[Network]\nDHCP=no\n"}))
    assert [(c.path, c.after, c.reasons[0].rule) for c in made.changes if c.path == dropin] == [
        (dropin, b"[Network]\nDHCP=ipv4\n", "M-06")
    ]


def test_nothing_changes_where_all_is_well() -> None:
    assert plan(guest({FILE: "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n"})).changes == ()
