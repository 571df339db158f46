"""For ifupdown static becomes DHCP, on the one NIC that is there, with nothing else lost."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.plan import NoteKind
from tests.networks import INTERFACES, after, guest, plan

STATIC = """\
# head
auto lo
iface lo inet loopback

auto ens192
iface ens192 inet static
\taddress 192.168.1.3
\tnetmask 255.255.255.0   # not a comment, but goes too
\t# the router
\tgateway 192.168.1.1
\tdns-nameservers 192.168.1.1 \\
\t\t192.168.1.2
\tdns-search example.org
\tmtu 1400
"""
DHCP = """\
# head
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
\t# the router
\tdns-search example.org
\tmtu 1400
"""


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({INTERFACES: STATIC}) == DHCP


def test_with_names_kept_only_the_addressing_changes() -> None:
    assert after({INTERFACES: STATIC}, nic_names="keep") == DHCP.replace("eth0", "ens192")


def test_crlf_and_a_missing_last_newline_stay() -> None:
    text = STATIC.replace("\n", "\r\n").replace("\\\r\n", " ").removesuffix("\r\n")
    assert after({INTERFACES: text}) == DHCP.replace("\n", "\r\n").removesuffix("\r\n")


@pytest.mark.skipif(not shutil.which("ifquery"), reason="ifupdown is not installed")
def test_ifquery_finds_eth0_without_an_address(tmp_path: Path) -> None:
    path = tmp_path / "interfaces"
    path.write_text(after({INTERFACES: STATIC}), encoding="utf-8")
    command = ["ifquery", "-i", str(path), "--state-dir", str(tmp_path), "eth0"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split("\n") == ["dns-search: example.org", "mtu: 1400", ""]


HEAD = "auto ens192\niface ens192 inet static\n address 192.168.1.3/24\n gateway 192.168.1.1\n"
NEW = "auto eth0\niface eth0 inet dhcp\n"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (" up ethtool -K ens192 tso off\n", " up ethtool -K eth0 tso off\n"),
        (" up ip route add 10.0.0.0/8 via 192.168.1.1\n", "# up ip route add 10.0.0.0/8 via 192.168.1.1\n"),
        (" post-up route add default gw 192.168.1.1\n", "# post-up route add default gw 192.168.1.1\n"),
        (
            " pre-up ip link set dev $IFACE address 02:00:00:00:00:01\n",
            "# pre-up ip link set dev $IFACE address 02:00:00:00:00:01\n",
        ),
        (
            " pre-up ifconfig $IFACE hw ether 02:00:00:00:00:01\n",
            "# pre-up ifconfig $IFACE hw ether 02:00:00:00:00:01\n",
        ),
        (" up ip link set $IFACE txqueuelen 1\n", " up ip link set $IFACE txqueuelen 1\n"),
        (" up /bin/x 192.168.1.3\n", "# up /bin/x 192.168.1.3\n"),
        (" up /bin/x 192.168.1.30\n", " up /bin/x 192.168.1.30\n"),
        (
            " up echo 1 > /proc/sys/net/ipv4/conf/ens192/arp_ignore\n",
            " up echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore\n",
        ),
        (" up /etc/ens192.sh my-ens192\n", " up /etc/ens192.sh my-ens192\n"),
        (" hwaddress ether 00:50:56:aa:bb:cc\n", ""),
        ("iface ens192 inet static\n address 192.168.1.4/24\n", ""),
        ("iface ens192 inet static\n address 192.168.1.4/24\n up a\n", "iface eth0 inet manual\n up a\n"),
        ("iface ens192 inet6 static\n address 2001:db8::3/64\n", "iface eth0 inet6 auto\n"),
        ("auto ens192:0\niface ens192:0 inet static\n address 192.168.1.4/24\n", ""),
        (
            "auto ens224\niface ens224 inet static\n address 10.0.0.1/24\n",
            "allow-hotplug eth1\niface eth1 inet dhcp\n",
        ),
        (
            "auto ens192.10\niface ens192.10 inet static\n address 10.1.0.1/24\n vlan-raw-device ens192\n",
            "auto eth0.10\niface eth0.10 inet manual\n vlan-raw-device eth0\n",
        ),
        (
            "auto lxcbr0\niface lxcbr0 inet static\n address 10.0.3.1/24\n bridge_ports none\n",
            "auto lxcbr0\niface lxcbr0 inet static\n address 10.0.3.1/24\n bridge_ports none\n",
        ),
    ],
)
def test_what_stands_beside_the_address(rest: str, expected: str) -> None:
    assert after({INTERFACES: HEAD + rest}) == NEW + expected


def test_the_address_stays_on_the_bridge_and_its_port_is_renamed() -> None:
    text = "auto br0\niface br0 inet static\n address 10.0.0.5/24\n gateway 10.0.0.1\n bridge_ports ens192\n"
    text += " bridge_hw 00:50:56:aa:bb:cc\niface ens192 inet manual\n"
    assert after({INTERFACES: text}) == (
        "auto br0\niface br0 inet dhcp\n bridge_ports eth0\niface eth0 inet manual\n"
    )


def test_one_line_with_two_names_is_divided() -> None:
    text = "auto lo ens1 ens2\niface ens1 inet static\n address 1.2.3.4/24\n gateway 1.2.3.1\n"
    text += "iface ens2 inet dhcp\n"
    assert after({INTERFACES: text}).startswith("auto lo eth0\nallow-hotplug eth1\n")


def test_nothing_changes_where_all_is_well() -> None:
    text = "auto lo\niface lo inet loopback\n\nallow-hotplug eth0\niface eth0 inet dhcp\n"
    assert plan(guest({INTERFACES: text})).changes == ()


def test_files_in_interfaces_d_are_treated_together() -> None:
    files = {
        INTERFACES: "source /etc/network/interfaces.d/*\n",
        "/etc/network/interfaces.d/a": "auto ens192\n",
        "/etc/network/interfaces.d/b": "iface ens192 inet static\n address 1.2.3.4/24\n",
    }
    assert after(files, "/etc/network/interfaces.d/a") == "auto eth0\n"
    assert after(files, "/etc/network/interfaces.d/b") == "iface eth0 inet dhcp\n"
    assert after(files, INTERFACES) == files[INTERFACES]


def test_what_nothing_brings_up_is_brought_up() -> None:
    assert after({INTERFACES: "iface ens192 inet dhcp\n"}) == "auto eth0\niface eth0 inet dhcp\n"


def test_a_vlan_with_the_gateway_leaves_the_address_to_its_device() -> None:
    text = "auto ens1.7\niface ens1.7 inet static\n address 1.2.3.4/24\n gateway 1.2.3.1\n"
    assert (
        after({INTERFACES: text})
        == "auto eth0.7\niface eth0.7 inet manual\n\nauto eth0\niface eth0 inet dhcp\n"
    )


def test_a_guest_with_loopback_alone_gets_a_nic() -> None:
    assert after({INTERFACES: "auto lo\niface lo inet loopback\n"}).endswith(
        "\nauto eth0\niface eth0 inet dhcp\n"
    )


def test_a_guest_of_ipv6_alone_asks_for_ipv4_too() -> None:
    text = "auto ens1\niface ens1 inet6 static\n address 2001:db8::5/64\n autoconf 0\n"
    assert after({INTERFACES: text}) == (
        "auto eth0\niface eth0 inet6 auto\n autoconf 0\n\niface eth0 inet dhcp\n"
    )


def test_debians_cloud_images_bring_up_a_nic_that_no_file_names() -> None:
    files = {INTERFACES: "auto lo\niface lo inet loopback\n"}
    assert after(files) != files[INTERFACES]
    assert plan(guest({**files, "/etc/network/cloud-ifupdown-helper": "#!/bin/sh\n"})).changes == ()


def test_patterns_keep_their_slash_or_none() -> None:
    text = "auto /en*=lan\nmapping en*\n script /x\niface lan inet dhcp\n"
    assert after({INTERFACES: text}) == text.replace("en*", "eth*")


def test_a_template_that_others_inherit_from_is_no_nic() -> None:
    text = "iface common inet static\n gateway 10.0.0.1\n\nauto ens1\n"
    text += "iface ens1 inet static inherits common\n address 10.0.0.5/24\n"
    assert after({INTERFACES: text}) == (
        "iface common inet static\n gateway 10.0.0.1\n\nauto eth0\niface eth0 inet dhcp inherits common\n"
    )


def test_a_mapping_is_followed() -> None:
    text = "auto ens1\nmapping ens1\n script s\n map A home\niface home inet static\n address 1.2.3.4/24\n"
    assert (
        after({INTERFACES: text}) == "auto eth0\nmapping eth0\n script s\n map A home\niface home inet dhcp\n"
    )


def test_a_missing_dhcp_client_is_said() -> None:
    machine = guest({INTERFACES: STATIC})
    assert not [note for note in plan(machine).notes if note.rule == "R-83"]
    warnings = [note for note in plan(guest({INTERFACES: STATIC}, client=False)).notes if note.rule == "R-83"]
    assert [note.kind for note in warnings] == [NoteKind.WARNING]


def test_reasons_name_rule_and_line() -> None:
    (change,) = plan(guest({INTERFACES: STATIC})).changes
    said = [(reason.rule, reason.text) for reason in change.reasons]
    assert ("M-06", "line 6: ens192 has static addressing, wanted dhcp") in said
    assert ("M-07", "line 10: gateway 192.168.1.1 goes with the static address") in said
    assert ("R-66", "line 5: ens192 will have the name eth0") in said


BOND = """\
auto bond0
iface bond0 inet {0}
 bond-slaves {1}
 bond-mode active-backup
 bond-primary {2}
iface {2} inet manual
 bond-master bond0
{4} {3}
iface {3} inet manual
 bond-master bond0
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            BOND.format(
                "static\n address 10.0.0.5/24\n gateway 10.0.0.1", "ens1 ens2", "ens1", "ens2", "auto"
            ),
            BOND.format("dhcp", "eth0 eth1", "eth0", "eth1", "allow-hotplug"),
        ),
        (
            "iface ens1 inherits base\n address 10.0.0.5\niface base inet static\n gateway 10.0.0.1\n",
            "iface eth0 inet dhcp inherits base\niface base inet static\n gateway 10.0.0.1\n",
        ),
        (
            "iface ens1 inet static\n address 10.0.0.5/24\n gateway 10.0.0.1\n metric 100\n",
            "iface eth0 inet dhcp\n metric 100\n",
        ),
        (
            "iface ens1 inet manual\n up ip addr add 10.0.0.5/24 dev ens1\n up ip link set ens1 up\n",
            "iface eth0 inet dhcp\n# up ip addr add 10.0.0.5/24 dev ens1\n up ip link set eth0 up\n",
        ),
        (
            "iface ens1 inet dhcp\nauto wlan0\niface wlan0 inet static\n address 1.2.3.4/24\n wpa-ssid x\n",
            "iface eth0 inet dhcp\nauto wlan0\niface wlan0 inet static\n address 1.2.3.4/24\n wpa-ssid x\n",
        ),
        (
            "iface ens1 inet dhcp\n wpa-driver wired\n",
            "iface eth0 inet dhcp\n wpa-driver wired\n",
        ),
        (
            "no-auto-down ens1\niface ens1 inet static\n address 10.0.0.5/24\n",
            "no-auto-down eth0\niface eth0 inet dhcp\n",
        ),
        (
            "iface ens1 inet static\n address 10.0.0.5/24\niface ens1 inet6 auto\n privext 2\n",
            "iface eth0 inet dhcp\niface eth0 inet6 auto\n privext 2\n",
        ),
        (
            "auto br0\niface br0 inet static\n ovs_ports ens1\n address 10.0.0.5/24\n",
            "auto br0\niface br0 inet dhcp\n ovs_ports eth0\n",
        ),
    ],
)
def test_kinds_of_interface(text: str, expected: str) -> None:
    assert after({INTERFACES: f"auto ens1\n{text}"}) == f"auto eth0\n{expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iface ens1\n address 10.0.0.5/24\n gateway 10.0.0.1\n", "iface eth0 inet dhcp\n"),
        ("iface ens1\n use dhcp\n", "iface eth0\n use dhcp\n"),
        ("iface ens1\n mtu 1400\n", "iface eth0 inet dhcp\n mtu 1400\n"),
        (
            "iface ens1\nauto v7\niface v7\n vlan-id 7\n vlan-raw-device ens1\n address 10.7.0.5/24\n",
            "iface eth0 inet dhcp\nauto v7\niface v7\n vlan-id 7\n vlan-raw-device eth0\n",
        ),
        (
            "auto bond0\niface bond0\n bond-members ens1 ens2\n address 10.0.0.5/24\n",
            "auto bond0\niface bond0 inet dhcp\n bond-members eth0 eth1\n",
        ),
    ],
)
def test_ifupdown_ng_and_ifupdown2_need_no_method(text: str, expected: str) -> None:
    assert after({INTERFACES: f"auto ens1\n{text}"}) == f"auto eth0\n{expected}"
