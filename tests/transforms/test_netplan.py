"""netplan: static becomes DHCP, on the one NIC that is there, and netplan itself accepts the result."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.networks import after, guest, plan

FILE = "/etc/netplan/01-netcfg.yaml"
STATIC = """\
# head
network:
  version: 2
  renderer: networkd
  ethernets:
    ens192:          # the lan
      dhcp4: no
      addresses:
        # first
        - 10.0.0.5/24
        - "2001:db8::5/64"
      gateway4: 10.0.0.1
      routes:
      - to: 10.9.0.0/16
        via: 10.0.0.9
      mtu: 1400
      nameservers:
        search: [example.org]
        addresses: [10.0.0.2]
"""
DHCP = """\
# head
network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:          # the lan
      dhcp4: true
        # first
      mtu: 1400
      nameservers:
        search: [example.org]
"""


PINNED = """\
    ens1:
      dhcp4: on
      match:
        macaddress: 00:50:56:aa:bb:cc
      set-name: ens1
"""
PINNED_AFTER = """\
    eth0:
      dhcp4: on
      match:
        name: eth0
"""
BONDED = """\
    ens1: {}
    ens2: {}
  bonds:
    bond0:
      interfaces: [ens1, ens2]
      addresses: [1.2.3.4/24]
      parameters: {primary: ens1}
"""
BONDED_AFTER = """\
    eth0: {}
    eth1: {optional: true}
  bonds:
    bond0:
      dhcp4: true
      interfaces: [eth0, eth1]
      parameters: {primary: eth0}
"""


def ethernets(text: str) -> str:
    return "network:\n  version: 2\n  ethernets:\n" + text


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({FILE: STATIC}) == DHCP


def test_with_names_kept_only_the_addressing_changes() -> None:
    assert after({FILE: STATIC}, nic_names="keep") == DHCP.replace("eth0", "ens192")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    ens1: {addresses: [1.2.3.4/24]}\n", "    eth0: {dhcp4: true}\n"),
        ("    ens1: {}\n", "    eth0: {dhcp4: true}\n"),
        ("    ens1:\n", "    eth0: {dhcp4: true}\n"),
        ("    ens1: {dhcp4: yes}\n", "    eth0: {dhcp4: yes}\n"),
        (PINNED, PINNED_AFTER),
        (
            "    lan:\n      match: {macaddress: 00:50:56:AA:BB:CC}\n      addresses: [1.2.3.4/24]\n",
            "    lan:\n      dhcp4: true\n      match: {name: eth0}\n",
        ),
        (
            "    eth0:\n      match: {macaddress: '00:50:56:aa:bb:cc'}\n      set-name: eth0\n",
            "    eth0:\n      dhcp4: true\n      match: {name: eth0}\n",
        ),
        (
            "    lan:\n      match: {driver: vmxnet3}\n      addresses: [1.2.3.4/24]\n",
            "    lan:\n      dhcp4: true\n      match: {name: eth0}\n",
        ),
        (
            "    all-en:\n      match: {name: en*}\n      dhcp4: true\n",
            "    all-en:\n      match: {name: eth*}\n      dhcp4: true\n",
        ),
        (
            "    ens1:\n      dhcp4: true\n      macaddress: 00:50:56:aa:bb:cc\n",
            "    eth0:\n      dhcp4: true\n",
        ),
        (
            "    ens1:\n      addresses: [1.2.3.4/24]\n      dhcp4-overrides: {use-dns: false}\n",
            "    eth0:\n      dhcp4: true\n      dhcp4-overrides: {use-dns: true}\n",
        ),
        (
            "    ens1: {addresses: [1.2.3.4/24], gateway4: 1.2.3.1}\n    ens2: {addresses: [2.2.3.4/24]}\n",
            "    eth0: {dhcp4: true}\n    eth1: {optional: true, dhcp4: true}\n",
        ),
        (
            "    eth0: {addresses: [1.2.3.4/24]}\n    eth1: {addresses: [2.2.3.4/24], gateway4: 2.2.3.1}\n",
            "    eth1: {optional: true, dhcp4: true}\n    eth0: {dhcp4: true}\n",
        ),
        (BONDED, BONDED_AFTER),
        (
            "    ens1: {dhcp4: true}\n  vlans:\n    ens1.7: {id: 7, link: ens1, addresses: [1.2.3.4/24]}\n",
            "    eth0: {dhcp4: true}\n  vlans:\n    eth0.7: {optional: true, id: 7, link: eth0}\n",
        ),
        (
            "    ens1: {dhcp4: true}\n  bridges:\n    br9: {interfaces: [], addresses: [10.9.9.1/24]}\n",
            "    eth0: {dhcp4: true}\n  bridges:\n    br9: {interfaces: [], addresses: [10.9.9.1/24]}\n",
        ),
    ],
)
def test_one_file(text: str, expected: str) -> None:
    assert after({FILE: ethernets(text)}) == ethernets(expected)


HANDED = """\
    NM-14f59568:
      renderer: NetworkManager
      match:{match}
      addresses:
      - "10.0.0.5/24"
      networkmanager:
        uuid: "14f59568"
        passthrough:
          connection.timestamp: "1714567890"
          ipv4.address1: "10.0.0.5/24,10.0.0.1"
          ipv4.method: "manual"
          ipv6.method: "disabled"
"""
HANDED_AFTER = """\
    NM-14f59568:
      dhcp4: true
      renderer: NetworkManager
      match:{match}
      networkmanager:
        uuid: "14f59568"
        passthrough:
          connection.timestamp: "1714567890"
          ipv4.method: "auto"
          ipv6.method: "disabled"
"""


@pytest.mark.parametrize(
    ("match", "expected"), [('\n        name: "ens33"', '\n        name: "eth0"'), (" {}", " {}")]
)
def test_what_netplan_hands_to_networkmanager_is_dhcp_too(match: str, expected: str) -> None:
    text = ethernets(HANDED.replace("{match}", match))
    assert after({FILE: text}) == ethernets(HANDED_AFTER.replace("{match}", expected))


def test_files_are_treated_together() -> None:
    files = {
        "/etc/netplan/00.yaml": ethernets("    ens1:\n      addresses: [1.2.3.4/24]\n"),
        "/etc/netplan/10.yaml": ethernets(
            "    ens1:\n      dhcp4: off\n      nameservers: {addresses: [1.1.1.1]}\n"
        ),
    }
    assert after(files, "/etc/netplan/00.yaml") == ethernets("    eth0:\n      dhcp4: true\n")
    assert after(files, "/etc/netplan/10.yaml") == ethernets("    eth0:\n      dhcp4: true\n")


def test_cloud_init_is_handed_the_same() -> None:
    files = {
        FILE: ethernets("    ens1: {dhcp4: true}\n"),
        "/etc/cloud/cloud.cfg.d/50.cfg": "# x\n" + ethernets("    ens1: {addresses: [1.2.3.4/24]}\n"),
    }
    assert after(files, "/etc/cloud/cloud.cfg.d/50.cfg") == "# x\n" + ethernets("    eth0: {dhcp4: true}\n")


def test_cloud_init_alone_finds_the_nic_by_its_new_name() -> None:
    lan = "    lan: {match: {macaddress: '00:50:56:aa:bb:cc'}, set-name: ens1, addresses: [1.2.3.4/24]}\n"
    text = after({"/etc/cloud/cloud.cfg.d/50.cfg": ethernets(lan)})
    assert text == ethernets("    lan: {dhcp4: true, match: {name: eth0}}\n")


@pytest.mark.parametrize(
    "text", ["network: {ethernets: {a: &x {dhcp4: no}, b: *x}}\n", "network: {\n", "a: 1\na: 2\n"]
)
def test_what_cannot_be_edited_is_said_and_left(text: str) -> None:
    made = plan(guest({FILE: text}))
    assert made.changes == ()
    assert [note.rule for note in made.notes if note.text.startswith(FILE)] == ["M-06"]


@pytest.mark.skipif(not shutil.which("netplan"), reason="netplan is not installed")
@pytest.mark.parametrize("renderer", ["networkd", "NetworkManager"])
def test_netplan_makes_a_dhcp_client_of_eth0(tmp_path: Path, renderer: str) -> None:
    path = tmp_path / FILE.removeprefix("/")
    path.parent.mkdir(parents=True)
    path.write_text(after({FILE: STATIC.replace("networkd", renderer)}), encoding="utf-8")
    path.chmod(0o600)
    subprocess.run(["netplan", "generate", "--root-dir", str(tmp_path)], check=True, capture_output=True)
    if renderer == "networkd":
        made = (tmp_path / "run/systemd/network/10-netplan-eth0.network").read_text(encoding="utf-8")
        assert "Name=eth0" in made
        assert "DHCP=ipv4" in made
    else:
        connections = tmp_path / "run/NetworkManager/system-connections"
        made = (connections / "netplan-eth0.nmconnection").read_text(encoding="utf-8")
        assert "interface-name=eth0" in made
        assert "[ipv4]\nmethod=auto" in made
    assert "10.0.0" not in made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("activation-mode: manual, dhcp4: true", "dhcp4: true"),
        ("dhcp4: true, critical: true, optional: true", "dhcp4: true, critical: true, optional: true"),
        (
            "dhcp4: true, dhcp4-overrides: {use-routes: no}, routes: [{to: default, via: 10.0.0.1}]",
            "dhcp4: true, dhcp4-overrides: {use-routes: true}",
        ),
        (
            "dhcp4: true, dhcp4-overrides: {use-dns: no, use-mtu: no}, nameservers: {addresses: [10.0.0.2]}",
            "dhcp4: true, dhcp4-overrides: {use-dns: true, use-mtu: no}",
        ),
        (
            "dhcp4: true, dhcp4-overrides: {use-dns: no}, nameservers: {addresses: [8.8.8.8]}",
            "dhcp4: true, dhcp4-overrides: {use-dns: no}, nameservers: {addresses: [8.8.8.8]}",
        ),
        ("dhcp4: true, link-local: [], accept-ra: no", "dhcp4: true, link-local: [], accept-ra: no"),
        ("dhcp4: true, openvswitch: {}", "dhcp4: true, openvswitch: {}"),
        (
            "match: {driver: [vmxnet3, e1000]}, addresses: [1.2.3.4/24]",
            "dhcp4: true, match: {name: eth0}",
        ),
    ],
)
def test_the_one_nic_comes_up_and_believes_dhcp(text: str, expected: str) -> None:
    assert after({FILE: ethernets(f"    eth0: {{{text}}}\n")}) == ethernets(f"    eth0: {{{expected}}}\n")


OTHERS = """\
  wifis:
    wlan0: {dhcp4: true, access-points: {home: {password: secret12}}}
  modems:
    wwan0: {apn: internet}
  tunnels:
    gre1: {mode: gre, local: 10.0.0.5, remote: 10.0.0.6, addresses: [10.9.9.1/24]}
  vrfs:
    blue: {table: 1000, interfaces: [gre1], routes: [{to: default, via: 10.9.9.2}]}
"""


def test_wireless_modems_tunnels_and_vrfs_stay() -> None:
    text = ethernets("    eth0: {dhcp4: true}\n" + OTHERS)
    assert after({FILE: text}) == text


SHIPPED = "/usr/lib/netplan/50-lan.yaml"
OWN = "/etc/netplan/50-lan.yaml"


def test_what_a_package_ships_is_shadowed_in_etc() -> None:
    (change,) = plan(guest({SHIPPED: STATIC})).changes
    assert (change.path, change.after, change.mode) == (OWN, DHCP.encode(), 0o600)
    assert any("belongs to a package" in reason.text for reason in change.reasons)


@pytest.mark.parametrize("links", [{OWN: "/dev/null"}, {}])
def test_a_file_in_etc_takes_the_place_of_a_packages_or_masks_it(links: dict[str, str]) -> None:
    files = {SHIPPED: STATIC, FILE: ethernets("    ens9: {dhcp4: true}\n")} | (
        {} if links else {OWN: "# none\n"}
    )
    (change,) = plan(guest(files, links)).changes
    assert (change.path, change.after) == (FILE, ethernets("    eth0: {dhcp4: true}\n").encode())


def test_802_1x_is_warned_of() -> None:
    text = ethernets("    eth0: {dhcp4: true, auth: {key-management: 802.1x}}\n")
    assert [note.rule for note in plan(guest({FILE: text})).notes] == ["M-08"]
