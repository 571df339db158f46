"""eth0: kernel arguments, pins released, mentions elsewhere pointed out, bridges and resolv.conf made fit."""

from __future__ import annotations

import pytest

from imgpatch.transforms.nic_names import ARGUMENTS, Names, kernel_arguments
from tests.networks import INTERFACES, after, context, guest, plan

RULES = "/etc/udev/rules.d/70-persistent-net.rules"
RULE = 'SUBSYSTEM=="net", DRIVERS=="?*", ATTR{address}=="00:50:56:aa:bb:cc", KERNEL=="eth*", NAME="eth0"'
UDEV = "/usr/lib/udev/rules.d/80-net-setup-link.rules"
DHCP = "auto {0}\niface {0} inet dhcp\n"


@pytest.mark.parametrize(
    ("files", "links", "choice", "expected"),
    [
        ({INTERFACES: DHCP.format("ens192")}, {}, "eth0", ARGUMENTS),
        ({INTERFACES: DHCP.format("ens192")}, {}, "keep", ()),
        ({INTERFACES: DHCP.format("eth0")}, {}, "eth0", ()),
        ({INTERFACES: DHCP.format("eth0"), UDEV: "x"}, {}, "eth0", ARGUMENTS),
        ({INTERFACES: DHCP.format("lan0"), RULES: RULE.replace("eth0", "lan0")}, {}, "eth0", ()),
        (
            {INTERFACES: DHCP.format("eth0"), UDEV: "x"},
            {"/etc/udev/rules.d/80-net-setup-link.rules": "/dev/null"},
            "eth0",
            (),
        ),
        (
            {INTERFACES: DHCP.format("eth0"), UDEV: "x"},
            {"/etc/systemd/network/99-default.link": "/dev/null"},
            "eth0",
            (),
        ),
    ],
)
def test_kernel_arguments(
    files: dict[str, str], links: dict[str, str], choice: str, expected: tuple[str, ...]
) -> None:
    machine = guest(files, links)
    assert kernel_arguments(machine, context(machine, choice)) == expected


def test_rules_that_tie_a_name_to_a_mac_are_commented_out() -> None:
    text = f'# PCI device\n{RULE}\n\nSUBSYSTEM=="usb", NAME="x"\n'
    assert after({RULES: text, INTERFACES: DHCP.format("eth0")}) == text.replace(RULE, f"#{RULE}")
    assert after({RULES: text, INTERFACES: DHCP.format("eth0")}, nic_names="keep") == text


def test_a_rule_over_two_lines_goes_whole() -> None:
    text = RULE.replace(", ATTR", ", \\\n  ATTR") + "\n"
    assert after({RULES: text}) == "#" + text.replace("\n  ATTR", "\n#  ATTR")


@pytest.mark.parametrize(
    ("match", "gone"),
    [
        ("MACAddress=00:50:56:aa:bb:cc", True),
        ("Path=pci-0000:0b:00.0", True),
        ("Type=wlan", False),
    ],
)
def test_link_files_that_give_a_name(match: str, gone: bool) -> None:
    path = "/etc/systemd/network/10-lan.link"
    text = f"[Match]\n{match}\n[Link]\nName=lan0\n"
    changes = {
        change.path: change.after
        for change in plan(guest({path: text, INTERFACES: DHCP.format("lan0")})).changes
    }
    assert (path in changes) is gone
    assert changes.get(path) is None


def test_a_link_file_without_a_name_stays() -> None:
    assert (
        plan(guest({"/etc/systemd/network/a.link": "[Match]\nDriver=x\n[Link]\nMTUBytes=9000\n"})).changes
        == ()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ip link set ens1 up", "ip link set eth0 up"),
        (
            "ens1.7 ens1:0 ens10 xens1 ens1x ens1-a /etc/ens1.conf",
            "eth0.7 eth0:0 ens10 xens1 ens1x ens1-a /etc/ens1.conf",
        ),
        ("/sys/class/net/ens1/mtu (ens1)", "/sys/class/net/eth0/mtu (eth0)"),
    ],
)
def test_names_inside_a_text(text: str, expected: str) -> None:
    assert Names({"ens1": "eth0", "00:50:56:aa:bb:cc": "eth1"}).inside(text) == expected


def test_mentions_elsewhere_are_pointed_out_with_their_lines() -> None:
    files = {
        INTERFACES: DHCP.format("ens1"),
        "/etc/sysctl.d/1.conf": "# ens1\nnet.ipv4.conf.ens1.rp_filter=1\nnet.ipv4.conf.all.rp_filter=1\n",
        "/etc/default/isc-dhcp-server": 'INTERFACESv4="ens1"\n',
        "/etc/nftables.conf": "iif ens10 accept\n",
    }
    said = [note.text for note in plan(guest(files)).notes]
    assert [text.split(" names ")[0] for text in said] == [
        "/etc/sysctl.d/1.conf: line 2",
        "/etc/default/isc-dhcp-server: line 1",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search a\nnameserver 10.0.0.2\n", "search a\nnameserver 169.254.169.253\n# nameserver 10.0.0.2\n"),
        ("nameserver 8.8.8.8\nnameserver 10.0.0.2\n", None),
        ("nameserver 127.0.0.53\n", None),
        ("search a\n", None),
    ],
)
def test_resolv_conf_where_nothing_rewrites_it(text: str, expected: str | None) -> None:
    network = {"/etc/systemd/network/a.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"}
    assert after({"/etc/resolv.conf": text, **network}) == (expected or text)


def test_resolv_conf_is_left_to_the_dhcp_client() -> None:
    text = "nameserver 10.0.0.2\n"
    assert after({"/etc/resolv.conf": text, INTERFACES: DHCP.format("eth0")}) == text
    keyfile = {
        "/etc/NetworkManager/system-connections/a": "[connection]\ntype=ethernet\ninterface-name=eth0\n"
    }
    assert after({"/etc/resolv.conf": text, **keyfile}) == text
    none = {"/etc/NetworkManager/NetworkManager.conf": "[main]\ndns=none\n"}
    assert after({"/etc/resolv.conf": text, **keyfile, **none}) != text


def test_a_bridge_on_the_nic_keeps_the_nics_mac_address() -> None:
    files = {
        INTERFACES: "auto br0\niface br0 inet dhcp\n bridge_ports eth0\n",
        "/usr/lib/systemd/network/99-default.link": "",
    }
    (change,) = plan(guest(files)).changes
    assert change.path == "/etc/systemd/network/10-imgpatch-br0.link"
    assert change.after == b"[Match]\nOriginalName=br0\n\n[Link]\nMACAddressPolicy=none\n"


SHIPPED_LINK = "/usr/lib/systemd/network/10-lan.link"
OWN_LINK = "/etc/systemd/network/10-lan.link"
LINK = "[Match]\nMACAddress=00:50:56:aa:bb:cc\n[Link]\nName=lan0\nMTUBytes=9000\n"


@pytest.mark.parametrize("files", [{SHIPPED_LINK: LINK}, {SHIPPED_LINK: "[Link]\nName=x\n", OWN_LINK: LINK}])
def test_a_link_file_of_a_package_is_shadowed_without_the_name(files: dict[str, str]) -> None:
    (change,) = plan(guest(files)).changes
    assert (change.path, change.after) == (OWN_LINK, LINK.replace("Name=lan0\n", "").encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=random\nMTUBytes=1400\n",
            "[Match]\nOriginalName=*\n[Link]\nMTUBytes=1400\n",
        ),
        (
            "[Match]\nType=ether\n[Link]\nMACAddress=02:00:00:00:00:01\n",
            "[Match]\nType=ether\n[Link]\n",
        ),
        ("[Match]\nType=wlan\n[Link]\nMACAddressPolicy=random\n", None),
        ("[Match]\nOriginalName=tap*\n[Link]\nMACAddressPolicy=random\n", None),
        ("[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=persistent\n", None),
    ],
)
def test_a_link_file_gives_the_nic_no_other_mac_address(text: str, expected: str | None) -> None:
    assert after({OWN_LINK: text, INTERFACES: DHCP.format("eth0")}) == (expected or text)
