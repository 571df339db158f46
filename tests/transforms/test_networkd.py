"""systemd-networkd: static becomes DHCP, on the one NIC that is there, with nothing else lost."""

from __future__ import annotations

import pytest

from tests.networks import INTERFACES, after, guest, plan

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


RUNS = {"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": ""}
SHIPPED = "/usr/lib/systemd/network"


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("Virtualization=vmware\nName=ens1", "Name=eth0"),
        ("Virtualization=vm\nName=ens1", "Virtualization=vm\nName=eth0"),
        ("Virtualization=!container\nName=ens1", "Virtualization=!container\nName=eth0"),
        ("Virtualization=!kvm\nName=ens1", "Name=eth0"),
        ("Virtualization=vmware", "Name=*"),
        ("Virtualization=vmware\nType=ether", "Type=ether"),
        ("Driver=vmxnet3", "Name=eth0"),
        ("Driver=vmxnet3 ena", "Driver=vmxnet3 ena"),
        ("Driver=!vmxnet3\nName=ens1", "Driver=!vmxnet3\nName=eth0"),
        ("Path=pci-0000:0b:00.0", "Name=eth0"),
        ("PermanentMACAddress=00:50:56:aa:bb:cc", "Name=eth0"),
        ("Property=ID_VENDOR_ID=0x15ad\nName=ens1", "Name=eth0"),
        ("Firmware=smbios-field(sys_vendor=VMware)\nName=ens1", "Name=eth0"),
        ("Host=filer\nArchitecture=x86-64\nName=ens1", "Host=filer\nArchitecture=x86-64\nName=eth0"),
    ],
)
def test_a_match_that_ec2_cannot_satisfy_is_released(match: str, expected: str) -> None:
    text = f"[Match]\n{match}\n[Network]\nDHCP=yes\n"
    assert after({FILE: text}) == f"[Match]\n{expected}\n[Network]\nDHCP=yes\n"


@pytest.mark.parametrize(
    "match",
    [
        "Virtualization=container\nName=host0",
        "Name=ve-*\nDriver=veth",
        "Name=6rd-*\nType=sit",
        "Type=wlan\nWLANInterfaceType=ad-hoc",
    ],
)
def test_what_systemd_ships_for_containers_is_no_nic(match: str) -> None:
    files = {
        **RUNS,
        f"{SHIPPED}/80-x.network": f"[Match]\n{match}\n[Network]\nDHCP=yes\nAddress=0.0.0.0/28\n",
    }
    assert [change.path for change in plan(guest(files)).changes] == [
        "/etc/systemd/network/10-imgpatch-eth0.network"  # as for a guest that has no file for a NIC
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Link]\nActivationPolicy=manual\nMTUBytes=1400\n", "[Link]\nMTUBytes=1400\n"),
        ("[Link]\nActivationPolicy=up\n", "[Link]\nActivationPolicy=up\n"),
        ("[Link]\nUnmanaged=yes\n", "[Link]\n"),
        ("[DHCPv4]\nUseRoutes=no\nUseDNS=no\n", "[DHCPv4]\n"),
        ("[Network]\nDNS=10.0.0.2\n[DHCPv4]\nUseDNS=no\n", "[Network]\n[DHCPv4]\n"),
        ("[Network]\nDNS=8.8.8.8\n[DHCPv4]\nUseDNS=no\n", "[Network]\nDNS=8.8.8.8\n[DHCPv4]\nUseDNS=no\n"),
        ("[Network]\nDefaultRouteOnDevice=yes\n", "[Network]\n"),
        ("[Network]\nAddress=10.0.0.5/24\nDHCPServer=yes\nIPForward=yes\n", "[Network]\nIPForward=yes\n"),
        ("[Network]\nGateway=_dhcp4\n", "[Network]\nGateway=_dhcp4\n"),
        ("[Route]\nGateway=_dhcp4\nMetric=50\n", "[Route]\nGateway=_dhcp4\nMetric=50\n"),
        ("[RoutingPolicyRule]\nFrom=10.0.0.5\nTable=7\n", ""),
        ("[Neighbor]\nAddress=10.0.0.1\nLinkLayerAddress=00:50:56:aa:bb:cc\n", ""),
    ],
)
def test_the_one_nic_comes_up_and_believes_dhcp(text: str, expected: str) -> None:
    head = "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"
    assert after({FILE: head + text}) == head + expected


def test_an_unmanaged_nic_is_left_to_what_configures_it() -> None:
    files = {
        INTERFACES: "auto ens1\niface ens1 inet dhcp\n",
        FILE: "[Match]\nName=ens1\n[Link]\nUnmanaged=yes\n",
    }
    assert after(files, FILE) == "[Match]\nName=eth0\n[Link]\nUnmanaged=yes\n"


def test_what_a_package_ships_is_shadowed_in_etc() -> None:
    path = f"{SHIPPED}/50-lan.network"
    made = plan(guest({**RUNS, path: STATIC, f"{path}.d/a.conf": "[Network]\nAddress=10.0.0.8/24\n"}))
    assert {change.path: change.after for change in made.changes} == {
        "/etc/systemd/network/50-lan.network": DHCP.encode(),
        "/etc/systemd/network/50-lan.network.d/a.conf": b"[Network]\n",
    }
    assert any("belongs to a package" in reason.text for reason in made.changes[0].reasons)


def test_what_a_package_ships_counts_where_networkd_runs() -> None:
    assert plan(guest({f"{SHIPPED}/50-lan.network": STATIC})).changes == ()


@pytest.mark.parametrize("links", [{f"{FILE}": "/dev/null"}, {}])
def test_a_file_in_etc_takes_the_place_of_a_packages_or_masks_it(links: dict[str, str]) -> None:
    other = "/etc/systemd/network/99-all.network"
    files = {**RUNS, f"{SHIPPED}/10-lan.network": STATIC, other: "[Match]\nName=ens9\n[Network]\nDHCP=yes\n"}
    if not links:
        files[FILE] = ""
    made = plan(guest(files, links))
    assert [change.path for change in made.changes] == [other]
    assert made.changes[0].after == b"[Match]\nName=eth0\n[Network]\nDHCP=yes\n"


def test_a_dropin_in_etc_belongs_to_the_file_of_a_package() -> None:
    dropin = f"{FILE}.d/lan.conf"
    files = {
        **RUNS,
        f"{SHIPPED}/10-lan.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
        dropin: "[Network]\nAddress=10.0.0.5/24\nMulticastDNS=yes\n",
    }
    assert {change.path: change.after for change in plan(guest(files)).changes} == {
        dropin: b"[Network]\nMulticastDNS=yes\n"
    }


@pytest.mark.parametrize(
    ("files", "made"),
    [
        ({}, True),
        ({"/etc/netplan/a.yaml": "network: {version: 2, renderer: networkd}\n"}, True),
        ({"/etc/netplan/a.yaml": "network: {version: 2, renderer: NetworkManager}\n"}, False),
        ({"/etc/cloud/cloud.cfg": "users: []\n"}, False),
        ({"/etc/cloud/cloud.cfg": "network: {config: disabled}\n"}, True),
        ({"/etc/systemd/network/w.network": "[Match]\nType=wlan\n[Network]\nDHCP=yes\n"}, True),
        ({"/etc/systemd/network/a.network": "[Match]\nName=e*\n[Network]\nDHCP=yes\n"}, False),
        ({"/usr/sbin/NetworkManager": ""}, False),
    ],
)
def test_a_guest_without_a_file_for_its_nic_gets_one(files: dict[str, str], made: bool) -> None:
    (*changes,) = plan(guest({**RUNS, **files})).changes
    expected = {
        "/etc/systemd/network/10-imgpatch-eth0.network": b"[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n"
    }
    assert {change.path: change.after for change in changes} == (expected if made else {})
