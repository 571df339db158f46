"""cloud-init is handed DHCP in both versions of its network configuration; what it will do itself is said."""

from __future__ import annotations

import pytest

from imgpatch.plan import NoteKind
from tests.networks import INTERFACES, after, guest, mutations, plan

FILE = "/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg"
SEED = "/var/lib/cloud/seed/nocloud-net/network-config"
CLOUD = {"/etc/cloud/cloud.cfg": "# the distribution's\nusers: [default]\n"}
STATIC = """\
# head
network:
  version: 1
  config:
    - type: physical
      name: ens192       # the lan
      mac_address: '00:50:56:aa:bb:cc'
      mtu: 1400
      subnets:
        # first
        - type: static
          address: 10.0.0.5/24
          gateway: 10.0.0.1
          dns_nameservers: [10.0.0.2]
          dns_search: [example.org]
        - type: static6
          address: 2001:db8::5/64
    - type: nameserver
      address: [10.0.0.2]
    - type: route
      destination: 10.9.0.0/16
      gateway: 10.0.0.9
"""
DHCP = """\
# head
network:
  version: 1
  config:
    - type: physical
      name: eth0       # the lan
      mtu: 1400
      subnets:
        # first
        - type: dhcp4
          dns_search: [example.org]
"""
BOND = """\
    - type: physical
      name: ens1
    - type: physical
      name: ens2
    - type: bond
      name: bond0
      mac_address: 00:50:56:aa:bb:cc
      bond_interfaces: [ens1, ens2]
      params: {bond-mode: active-backup, bond-primary: ens1}
      subnets: [{type: static, address: 10.0.0.5/24}, {type: dhcp6}]
    - type: vlan
      name: bond0.7
      vlan_link: bond0
      vlan_id: 7
      subnets: [{type: static, address: 10.7.0.5/24}]
"""
BOND_AFTER = """\
    - type: physical
      name: eth0
    - type: physical
      name: eth1
    - type: bond
      name: bond0
      bond_interfaces: [eth0, eth1]
      params: {bond-mode: active-backup, bond-primary: eth0}
      subnets: [{type: dhcp4}, {type: dhcp6}]
    - type: vlan
      name: bond0.7
      vlan_link: bond0
      vlan_id: 7
      subnets: [{type: manual}]
"""


ADDRESS_FIRST = """\
    - name: ens1
      type: physical
      subnets:
      - address: 10.0.0.5/24
        type: static
"""


def config(items: str) -> str:
    return f"network:\n  version: 1\n  config:\n{items}"


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({FILE: STATIC}) == DHCP


def test_with_names_kept_only_the_addressing_changes() -> None:
    mac = "      mac_address: '00:50:56:aa:bb:cc'\n      mtu"
    assert after({FILE: STATIC}, nic_names="keep") == DHCP.replace("eth0", "ens192").replace("      mtu", mac)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (BOND, BOND_AFTER),
        (
            "    - {type: physical, name: ens1, subnets: [{type: dhcp}]}\n",
            "    - {type: physical, name: eth0, subnets: [{type: dhcp}]}\n",
        ),
        (
            "    - {type: physical, name: ens1}\n",
            "    - {subnets: [{type: dhcp4}], type: physical, name: eth0}\n",
        ),
        (
            "    - {type: physical, name: ens1, subnets: [{type: dhcp4}, {type: static, address: ::5}]}\n",
            "    - {type: physical, name: eth0, subnets: [{type: dhcp4}]}\n",
        ),
        (ADDRESS_FIRST, "    - name: eth0\n      type: physical\n      subnets:\n      - type: dhcp4\n"),
        (
            "    - {type: loopback, name: lo, subnets: [{type: static, address: 10.9.9.9/32}]}\n",
            "    - {type: loopback, name: lo, subnets: [{type: static, address: 10.9.9.9/32}]}\n",
        ),
    ],
)
def test_one_file(items: str, expected: str) -> None:
    assert after({FILE: config(items)}) == config(expected)


def test_a_seed_needs_no_network_around_it() -> None:
    text = "version: 1\nconfig:\n- type: physical\n  name: ens1\n"
    text += "  subnets:\n  - {type: static, address: 1.2.3.4}\n"
    wanted = text.replace("ens1", "eth0").replace("{type: static, address: 1.2.3.4}", "{type: dhcp4}")
    assert after({SEED: text}) == wanted
    second = "version: 2\nethernets:\n  ens1:\n    addresses: [1.2.3.4/24]\n"
    assert after({SEED: second}) == "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n"


def test_where_it_leaves_the_network_alone_its_files_stay() -> None:
    off = {"/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg": "network: {config: disabled}\n"}
    assert plan(guest({**CLOUD, FILE: STATIC, **off})).changes == ()
    later = {"/etc/cloud/cloud.cfg.d/a.cfg": "network: {config: disabled}\n"}
    assert after({FILE: STATIC, **CLOUD, **later}) == STATIC
    files = {INTERFACES: "auto lo\niface lo inet loopback\n", FILE: STATIC, **CLOUD, **off}
    assert after(files, INTERFACES).endswith("\nauto eth0\niface eth0 inet dhcp\n")


GENERATED = {INTERFACES: "source interfaces.d/*\n", "/etc/network/interfaces.d/50-cloud-init": "# x\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({**CLOUD, **GENERATED}, [NoteKind.DECISION]),
        ({**CLOUD, **GENERATED, "/etc/cloud/cloud-init.disabled": ""}, []),
        (GENERATED, []),
        ({**CLOUD, **GENERATED, "/etc/cloud/cloud.cfg.d/9.cfg": "network: {config: disabled}\n"}, []),
        ({**CLOUD, "/etc/cloud/cloud.cfg.d/9.cfg": "datasource_list: [NoCloud, None]\n"}, [NoteKind.WARNING]),
        ({**CLOUD, "/etc/cloud/cloud.cfg.d/9.cfg": "datasource_list: [NoCloud, Ec2]\n"}, []),
    ],
)
def test_what_it_will_do_at_the_first_boot_is_said(files: dict[str, str], expected: list[NoteKind]) -> None:
    assert [note.kind for note in plan(guest(files)).notes if "cloud-init" in note.text] == expected


@pytest.mark.parametrize("text", ["network: {config: [&a {type: physical}]}\n", "network: [\n"])
def test_what_cannot_be_read_is_said_and_left(text: str) -> None:
    made = plan(guest({FILE: text, **CLOUD}))
    assert made.changes == ()
    assert [note.rule for note in made.notes if note.text.startswith(FILE)] == ["M-06"]


@pytest.mark.parametrize("place", [FILE, SEED])
def test_spoiled_files_are_planned_once(place: str) -> None:
    for text in (STATIC, config(BOND), STATIC.replace("network:\n", "", 1)):
        for spoiled in mutations(text.encode(), "cloud-init", cuts=25):
            plan(guest({**CLOUD, place: spoiled}))
