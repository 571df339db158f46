"""ifcfg files: static becomes DHCP, on the one NIC that is there, with nothing else lost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from imgpatch.plan import NoteKind
from tests.networks import KEYFILES, after, guest, plan

FOLDER = "/etc/sysconfig/network-scripts"
ETH0 = f"{FOLDER}/ifcfg-eth0"
GLOBAL = "/etc/sysconfig/network"
MANAGER = {"/usr/sbin/NetworkManager": ""}
SERVICE = {"/etc/init.d/network": ""}


def scripts(files: Mapping[str, str]) -> dict[str, str]:
    """Files of network-scripts by their names."""
    return {name if name.startswith("/") else f"{FOLDER}/{name}": text for name, text in files.items()}


def changed(files: Mapping[str, str], nic_names: str = "eth0") -> dict[str, str | None]:
    """What becomes of the files that change, by name; None for one that goes."""
    changes = plan(guest(scripts(files)), nic_names).changes
    return {
        change.path.removeprefix(f"{FOLDER}/"): None if change.after is None else change.after.decode()
        for change in changes
    }


def notes(files: Mapping[str, str]) -> list[str]:
    return [note.text for note in plan(guest(scripts(files))).notes if note.kind is NoteKind.WARNING]


STATIC = """\
# made by anaconda
TYPE="Ethernet"
PROXY_METHOD="none"
BOOTPROTO="none"
DEFROUTE="yes"
IPV4_FAILURE_FATAL="no"
IPV6INIT="yes"
IPV6_AUTOCONF="no"
IPV6_FAILURE_FATAL="yes"
NAME="ens192"
UUID="2f1d1f2e-7a35-4d2f-9b0e-1d6f5b1c2a3b"
HWADDR="00:50:56:9A:10:21"
DEVICE="ens192"
ONBOOT="yes"
MTU=1400
IPADDR="10.0.0.5"
PREFIX="24"
IPADDR1=10.0.0.6
NETMASK1=255.255.255.0
GATEWAY="10.0.0.1"
DNS1="10.0.0.2"
DNS2='10.0.0.3'
DOMAIN="example.org"
PEERDNS=no
IPV6ADDR="2001:db8::5/64"
IPV6ADDR_SECONDARIES="2001:db8::6/64 2001:db8::7/64"
IPV6_DEFAULTGW="2001:db8::1"
ZONE=public
"""
DHCP = """\
# made by anaconda
TYPE="Ethernet"
PROXY_METHOD="none"
BOOTPROTO="dhcp"
DEFROUTE="yes"
IPV4_FAILURE_FATAL="no"
IPV6INIT="yes"
IPV6_AUTOCONF="yes"
NAME="eth0"
UUID="2f1d1f2e-7a35-4d2f-9b0e-1d6f5b1c2a3b"
DEVICE="eth0"
ONBOOT="yes"
MTU=1400
DOMAIN="example.org"
ZONE=public
"""


def test_static_becomes_dhcp_under_the_new_name_in_the_old_file() -> None:
    assert changed({"ifcfg-ens192": STATIC}) == {"ifcfg-ens192": DHCP}


def test_with_names_kept_the_old_mac_address_goes_all_the_same() -> None:
    """Ifup refuses a device that has another MAC address than HWADDR."""
    wanted = DHCP.replace("eth0", "ens192")
    assert changed({"ifcfg-ens192": STATIC}, "keep") == {"ifcfg-ens192": wanted}


def test_line_ends_and_the_lack_of_the_last_one_stay() -> None:
    text = "DEVICE=eth0\r\nBOOTPROTO=none\r\nIPADDR=1.2.3.4\r\nMTU=1400"
    assert after({ETH0: text}) == "DEVICE=eth0\r\nBOOTPROTO=dhcp\r\nMTU=1400"
    assert after({ETH0: "IPADDR=1.2.3.4\nDEVICE=eth0"}) == "DEVICE=eth0\nBOOTPROTO=dhcp"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # BOOTPROTO in all its spellings
        ("BOOTPROTO=static\nIPADDR=1.2.3.4\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO='static'\nIPADDR='1.2.3.4'\n", "BOOTPROTO='dhcp'\n"),
        ('BOOTPROTO="None"\nIPADDR="1.2.3.4"\n', 'BOOTPROTO="dhcp"\n'),
        ("BOOTPROTO=\nIPADDR=1.2.3.4\n", "BOOTPROTO=dhcp\n"),
        ("IPADDR=1.2.3.4\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=DHCP\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=bootp\n", "BOOTPROTO=bootp\n"),
        ("BOOTPROTO=none\nBOOTPROTO=static\nIPADDR=1.2.3.4\n", "BOOTPROTO=dhcp\nBOOTPROTO=dhcp\n"),
        ("BOOTPROTO=dhcp # later\n", "BOOTPROTO=dhcp # later\n"),
        # the one NIC works
        ("BOOTPROTO=none\nONBOOT=no\n", "BOOTPROTO=dhcp\nONBOOT=yes\n"),
        ("BOOTPROTO=dhcp\nONBOOT='No'\n", "BOOTPROTO=dhcp\nONBOOT='yes'\n"),
        ("", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=autoip\n", "BOOTPROTO=dhcp\n"),
        ("IPV6INIT=yes\nIPV6ADDR=2001:db8::5/64\nBOOTPROTO=none\n", "IPV6INIT=yes\nBOOTPROTO=dhcp\n"),
        # what came with an address goes with it, and only then
        ("BOOTPROTO=dhcp\nDNS1=1.1.1.1\nPEERDNS=no\n", "BOOTPROTO=dhcp\nDNS1=1.1.1.1\nPEERDNS=no\n"),
        ("BOOTPROTO=none\nIPADDR=1.2.3.4\nDEFROUTE=no\nPEERROUTES=no\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=dhcp\nGATEWAY=1.2.3.1\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=dhcp\nIPADDR=1.2.3.4\nPREFIX=24\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=none\nIPADDR0=1.2.3.4\nPREFIX0=24\nGATEWAY0=1.2.3.1\n", "BOOTPROTO=dhcp\n"),
        (
            "BOOTPROTO=none\nNETWORK=1.2.3.0\nNETMASK=255.255.255.0\nBROADCAST=1.2.3.255\nIPADDR=1.2.3.4\n",
            "BOOTPROTO=dhcp\n",
        ),
        ("BOOTPROTO=dhcp\nROUTING_RULE_1='priority 5 from 1.2.3.4 table 9'\n", "BOOTPROTO=dhcp\n"),
        # MAC addresses
        (
            "BOOTPROTO=dhcp\nHWADDR=00:50:56:9A:10:21\nNM_CONTROLLED=no\n",
            "BOOTPROTO=dhcp\nNM_CONTROLLED=no\n",
        ),
        ("BOOTPROTO=dhcp\nMACADDR=02:00:00:00:00:01\n", "BOOTPROTO=dhcp\n"),
        ("BOOTPROTO=dhcp\nMACADDR=permanent\n", "BOOTPROTO=dhcp\nMACADDR=permanent\n"),
        # several on a line, export, remarks
        ("BOOTPROTO=none IPADDR=1.2.3.4 MTU=1400\n", "BOOTPROTO=dhcp MTU=1400\n"),
        ("BOOTPROTO=none; IPADDR=1.2.3.4; MTU=1400\n", "BOOTPROTO=dhcp; MTU=1400\n"),
        (
            "export BOOTPROTO=none\nexport IPADDR=1.2.3.4 # old\n#IPADDR=9\n",
            "export BOOTPROTO=dhcp\n#IPADDR=9\n",
        ),
        # what is no assignment, and what is none of ours
        ("BOOTPROTO = none\nBOOTPROTO=none\nIPADDR=1.2.3.4\n", "BOOTPROTO = none\nBOOTPROTO=dhcp\n"),
        ("BOOTPROTO=dhcp\nDHCP_HOSTNAME=box\nETHTOOL_OPTS='-K ${DEVICE} gro off'\n", None),
        ("BOOTPROTO=dhcp\nIPV6_AUTOCONF=no\nIPV6INIT=no\n", None),
    ],
)
def test_one_nic(text: str, expected: str | None) -> None:
    wanted = text if expected is None else expected
    head = "DEVICE=eth0\n"
    added = wanted == "BOOTPROTO=dhcp\n" and "BOOTPROTO" not in text
    assert after({ETH0: head + text}) == head + wanted, added


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ifcfg-Wired_1", "HWADDR=00:50:56:9A:10:21\nBOOTPROTO=dhcp\n", "DEVICE=eth0\nBOOTPROTO=dhcp\n"),
        ("ifcfg-ens192", "BOOTPROTO=dhcp\nONBOOT=yes\n", "BOOTPROTO=dhcp\nDEVICE=eth0\nONBOOT=yes\n"),
        (
            "ifcfg-any",
            "DEVICE='em1'\nNAME='System em1'\n",
            "DEVICE='eth0'\nBOOTPROTO=dhcp\nNAME='System eth0'\n",
        ),
        ("ifcfg-home", 'DEVICE=em1\nNAME="em1 at home"\nBOOTPROTO=dhcp\n', None),
        ("ifcfg-wlp2s0", "DEVICE=wlp2s0\nTYPE=Wireless\nESSID=x\nBOOTPROTO=none\nIPADDR=1.2.3.4\n", ""),
        ("ifcfg-ib0", "DEVICE=ib0\nTYPE=InfiniBand\nBOOTPROTO=static\nIPADDR=1.2.3.4\n", ""),
        ("ifcfg-ppp0", "DEVICE=ppp0\nTYPE=xDSL\nBOOTPROTO=dialup\nIPADDR=1.2.3.4\n", ""),
        ("ifcfg-tun0", "DEVICE=tun0\nTYPE=GRE\nMY_INNER_IPADDR=1.2.3.4\nPEER_INNER_IPADDR=4.3.2.1\n", ""),
        ("ifcfg-virbr9", "DEVICE=virbr9\nTYPE=Bridge\nBOOTPROTO=static\nIPADDR=1.2.3.4\n", ""),
        ("ifcfg-lo", "DEVICE=lo\nIPADDR=127.0.0.1\nNETMASK=255.0.0.0\n", ""),
        ("ifcfg-lo:0", "DEVICE=lo:0\nIPADDR=10.0.0.9\nNETMASK=255.255.255.255\n", ""),
    ],
)
def test_one_file(name: str, text: str, expected: str | None) -> None:
    result = changed({name: text}).get(name)
    assert result == ({None: text.replace("=em1", "=eth0"), "": None}.get(expected, expected))


@pytest.mark.parametrize(
    "name", ["ifcfg-eth0.bak", "ifcfg-eth0~", "ifcfg-eth0.orig", ".ifcfg-eth0.imgpatch.orig"]
)
def test_what_no_reader_takes_stays(name: str) -> None:
    assert changed({name: "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"}) == {}


@pytest.mark.parametrize(
    ("name", "reader", "taken"),
    [
        ("ifcfg-eth0.rpmsave", SERVICE, False),
        ("ifcfg-eth0.rpmsave", MANAGER, True),
        ("ifcfg-eth0.rpmsave", {**SERVICE, **MANAGER}, True),
        ("ifcfg-eth0.rej", SERVICE, True),
        ("ifcfg-eth0.rej", MANAGER, False),
        ("ifcfg-eth0.old", SERVICE, True),
    ],
)
def test_what_a_reader_of_this_guest_takes_is_treated(name: str, reader: dict[str, str], taken: bool) -> None:
    text = "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"
    assert (name in changed({name: text, **reader})) is taken


def test_aliases_and_ranges_go() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.0.0.5\nPREFIX=24\n",
        "ifcfg-eth0:0": "DEVICE=eth0:0\nIPADDR=10.0.0.6\n",
        "ifcfg-eth0:web": "IPADDR=10.0.0.7\n",
        "ifcfg-eth0-range0": "IPADDR_START=10.0.0.10\nIPADDR_END=10.0.0.20\nCLONENUM_START=1\n",
    }
    gone = dict.fromkeys(list(files)[1:])
    assert changed(files) == {"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n", **gone}


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("route-eth0", "10.9.0.0/16 via 10.0.0.9 dev eth0\n", None),
        (
            "route-eth0",
            "# branch office\n10.9.0.0/16 via 10.0.0.9\n\ndefault via 10.0.0.1",
            "# branch office\n\n",
        ),
        ("route-eth0", "ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.0.9\n", None),
        (
            "route-eth0",
            "# a\nADDRESS0=10.9.0.0\n NETMASK0='255.255.0.0'\nOPTIONS0='mtu 9000'\nX=1\n",
            "# a\n",
        ),
        ("route6-eth0", "2001:db8:9::/48 via 2001:db8::9\n", None),
        ("rule-eth0", "from 10.0.0.5/32 table 100\n# x\n", "# x\n"),
        ("rule6-eth0", "from 2001:db8::/48 table 100\n", None),
        ("eth0.route", "ADDRESS0=10.9.0.0\nGATEWAY0=10.0.0.9\n", None),
        ("route-lan", "10.9.0.0/16 via 10.0.0.9\n", None),
        ("route-eth0:0", "10.9.0.0/16 via 10.0.0.9\n", None),
    ],
)
def test_routes_and_rules_go(name: str, text: str, left: str | None) -> None:
    files = {"ifcfg-lan": "DEVICE=eth0\nBOOTPROTO=dhcp\n", name: text}
    assert changed(files) == {name: left}


def test_routes_of_other_things_stay() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
        "ifcfg-tun1": "DEVICE=tun1\nTYPE=GRE\n",
        "route-tun1": "10.9.0.0/16 dev tun1\n",
        "route-eth7": "10.9.0.0/16 dev eth7\n",
        "keys-eth0": "KEY1=x\n",
        "ifup-eth": "#!/bin/bash\nIPADDR=1.2.3.4\n",
    }
    assert changed(files) == {}


def test_a_route_file_with_commands_stays_and_is_named() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
        "route-eth0": "ADDRESS0=10.9.0.0\nip route flush\n",
    }
    assert changed(files) == {}
    assert any("route-eth0: line 2 is no assignment" in text for text in notes(files))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NETWORKING=yes\nHOSTNAME=a\nGATEWAY=10.0.0.1\n", "NETWORKING=yes\nHOSTNAME=a\n"),
        ("GATEWAYDEV=ens192 # x\n", "GATEWAYDEV=eth0 # x\n"),
        ("GATEWAYDEV=ens224\nNETWORKING=yes\n", "NETWORKING=yes\n"),
        ("GATEWAYDEV=tun0\n", "GATEWAYDEV=tun0\n"),
        ("IPV6_DEFAULTGW=fe80::1%ens192\nIPV6_DEFAULTDEV=ens192\n", "IPV6_DEFAULTDEV=eth0\n"),
        ("NOZEROCONF=yes\nDNS1=10.0.0.2\n", "NOZEROCONF=yes\n"),
        ("GATEWAY=10.0.0.1", ""),
    ],
)
def test_what_holds_for_all_interfaces(text: str, expected: str) -> None:
    files = {
        GLOBAL: text,
        "ifcfg-ens192": "DEVICE=ens192\nBOOTPROTO=none\nIPADDR=10.0.0.5\nPREFIX=24\n",
        "ifcfg-ens224": "DEVICE=ens224\nBOOTPROTO=none\nIPADDR=10.1.0.5\nPREFIX=24\nONBOOT=no\n",
    }
    assert changed(files).get(GLOBAL, text) == expected


def test_the_gateway_for_all_tells_which_nic_is_the_one() -> None:
    files = {
        GLOBAL: "GATEWAY=10.1.0.1\n",
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.0.0.5\nNETMASK=255.255.255.0\n",
        "ifcfg-eth1": "DEVICE=eth1\nBOOTPROTO=none\nIPADDR=10.1.0.5\nNETMASK=255.255.255.0\n",
    }
    result = changed(files)
    assert result["ifcfg-eth1"] == "DEVICE=eth0\nBOOTPROTO=dhcp\n"
    assert result["ifcfg-eth0"] == "DEVICE=eth1\nONBOOT=no\nBOOTPROTO=dhcp\n"
    assert any("is the file of eth1 now" in text for text in notes(files))


def test_static_routes_of_old_go() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
        "/etc/sysconfig/static-routes": "# x\nany net 10.9.0.0 gw 10.0.0.9\nppp0 net 1.0.0.0\n",
    }
    assert changed(files) == {"/etc/sysconfig/static-routes": "# x\nppp0 net 1.0.0.0\n"}


SECOND = "DEVICE=eth1\nBOOTPROTO=none\nIPADDR=10.1.0.5\nPREFIX=24\n"


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (SERVICE, "DEVICE=eth1\nONBOOT=no\nBOOTPROTO=dhcp\n"),
        (SERVICE | MANAGER, "DEVICE=eth1\nONBOOT=no\nBOOTPROTO=dhcp\n"),
        (MANAGER, "DEVICE=eth1\nBOOTPROTO=dhcp\n"),
    ],
)
def test_the_service_is_not_to_fail_for_a_nic_that_is_not_there(
    reader: dict[str, str], expected: str
) -> None:
    files = {"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n", "ifcfg-eth1": SECOND, **reader}
    assert changed(files) == {"ifcfg-eth1": expected}


def test_a_bond_takes_the_address_and_its_ports_never_do() -> None:
    files = {
        "ifcfg-bond0": "DEVICE=bond0\nTYPE=Bond\nBONDING_MASTER=yes\nONBOOT=yes\nBOOTPROTO=none\n"
        "IPADDR=10.0.0.5\nPREFIX=24\nGATEWAY=10.0.0.1\nMACADDR=00:50:56:9A:10:21\n"
        'BONDING_OPTS="mode=active-backup primary=ens192 arp_interval=1000 arp_ip_target=10.0.0.1"\n',
        "ifcfg-ens192": "DEVICE=ens192\nHWADDR=00:50:56:9A:10:21\nMASTER=bond0\nSLAVE=yes\nONBOOT=no\n",
        "ifcfg-ens224": "DEVICE=ens224\nMASTER=bond0\nSLAVE=yes\nBOOTPROTO=none\nONBOOT=yes\n",
    }
    assert changed(files) == {
        "ifcfg-bond0": "DEVICE=bond0\nTYPE=Bond\nBONDING_MASTER=yes\nONBOOT=yes\nBOOTPROTO=dhcp\n"
        'BONDING_OPTS="mode=active-backup primary=eth0 miimon=100"\n',
        "ifcfg-ens192": "DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\nONBOOT=yes\n",
        "ifcfg-ens224": "DEVICE=eth1\nMASTER=bond0\nSLAVE=yes\nBOOTPROTO=none\nONBOOT=no\n",
    }


def test_a_bridge_takes_the_address_under_a_bond_of_nics() -> None:
    files = {
        "ifcfg-br0": "DEVICE='br0'\nTYPE=\"Bridge\"\nBOOTPROTO='static'\nIPADDR='10.0.0.5'\n",
        "ifcfg-bond0": "DEVICE=bond0\nBONDING_OPTS='mode=1 miimon=100'\nBRIDGE=br0\nBOOTPROTO=none\n",
        "ifcfg-em1": "DEVICE=em1\nMASTER=bond0\nSLAVE=yes\n",
    }
    assert changed(files) == {
        "ifcfg-br0": "DEVICE='br0'\nTYPE=\"Bridge\"\nBOOTPROTO='dhcp'\n",
        "ifcfg-em1": "DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\n",
    }


def test_a_team_takes_the_address() -> None:
    files = {
        "ifcfg-team0": "DEVICE=team0\nDEVICETYPE=Team\nIPADDR=10.0.0.5\nPREFIX=16\n"
        'TEAM_CONFIG=\'{"runner":{"name":"activebackup"},"ports":{"em1":{"prio":1}}}\'\n',
        "ifcfg-em1": "DEVICE=em1\nDEVICETYPE=TeamPort\nTEAM_MASTER=team0\n",
    }
    assert changed(files) == {
        "ifcfg-team0": "DEVICE=team0\nBOOTPROTO=dhcp\nDEVICETYPE=Team\n"
        'TEAM_CONFIG=\'{"runner":{"name":"activebackup"},"ports":{"eth0":{"prio":1}}}\'\n',
        "ifcfg-em1": "DEVICE=eth0\nDEVICETYPE=TeamPort\nTEAM_MASTER=team0\n",
    }


def test_a_port_that_finds_its_master_by_uuid_is_a_port() -> None:
    files = {
        "ifcfg-Bond": "DEVICE=bond7\nTYPE=Bond\nUUID=u-1\nBOOTPROTO=none\nIPADDR=1.2.3.4\nPREFIX=24\n",
        "ifcfg-port": "DEVICE=eth0\nTYPE=Ethernet\nMASTER_UUID=u-1\nONBOOT=yes\n",
    }
    assert changed(files) == {"ifcfg-Bond": "DEVICE=bond7\nTYPE=Bond\nUUID=u-1\nBOOTPROTO=dhcp\n"}


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        (
            "ifcfg-ens192.10",
            "DEVICE=ens192.10\nVLAN=yes\nBOOTPROTO=none\n",
            "DEVICE=eth0.10\nVLAN=yes\nBOOTPROTO=none\n",
        ),
        (
            "ifcfg-vlan10",
            "DEVICE=vlan10\nVLAN=yes\nPHYSDEV=ens192\n",
            "DEVICE=vlan10\nVLAN=yes\nPHYSDEV=eth0\n",
        ),
        ("ifcfg-VLAN", "TYPE=Vlan\nPHYSDEV=ens192\nVLAN_ID=10\n", "TYPE=Vlan\nPHYSDEV=eth0\nVLAN_ID=10\n"),
    ],
)
def test_a_vlan_has_no_address_on_ec2_and_its_nic_has(name: str, text: str, left: str) -> None:
    address = "IPADDR=10.0.0.5\nPREFIX=24\nGATEWAY=10.0.0.1\n"
    result = changed({name: text + address, "ifcfg-ens192": "DEVICE=ens192\nONBOOT=yes\n"})
    assert result == {name: left, "ifcfg-ens192": "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\n"}
    alone = changed({name: text + address})
    assert alone == {name: left, "ifcfg-eth0": "DEVICE=eth0\nTYPE=Ethernet\nBOOTPROTO=dhcp\nONBOOT=yes\n"}


def test_a_team_without_a_file_of_its_own_gets_one() -> None:
    files = {
        GLOBAL: "GATEWAYDEV=eth0\n",
        "ifcfg-p4p1": "DEVICE=p4p1\nDEVICETYPE=TeamPort\nTEAM_MASTER=team0\n",
    }
    result = changed(files)
    assert result["ifcfg-team0"] == "DEVICE=team0\nDEVICETYPE=Team\nBOOTPROTO=dhcp\nONBOOT=yes\n"
    assert result[GLOBAL] == ""


def test_a_bom_hides_the_first_line_from_the_shell() -> None:
    text = "\ufeffDEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"
    assert after({ETH0: text}) == "\ufeffDEVICE=eth0\nBOOTPROTO=dhcp\nDEVICE=eth0\n"


def test_a_bridge_without_a_file_of_its_own_gets_one() -> None:
    """Ifup makes the bridge that a port names; nothing would ask for an address on it."""
    files = {"ifcfg-eth0": "DEVICE=eth0\nBRIDGE=br0\nBOOTPROTO=none\n"}
    assert changed(files) == {"ifcfg-br0": "DEVICE=br0\nTYPE=Bridge\nBOOTPROTO=dhcp\nONBOOT=yes\n"}


def test_initscripts_without_any_interface_get_one() -> None:
    alone = {"ifup-eth": "", "ifcfg-lo": "DEVICE=lo\n"}
    assert changed(alone) == {"ifcfg-eth0": "DEVICE=eth0\nTYPE=Ethernet\nBOOTPROTO=dhcp\nONBOOT=yes\n"}
    assert changed({**alone, **MANAGER}) == {}


def test_a_port_of_open_vswitch_is_left_to_it() -> None:
    files = {
        "ifcfg-br-ex": "DEVICE=br-ex\nDEVICETYPE=ovs\nTYPE=OVSBridge\nBOOTPROTO=static\nIPADDR=1.2.3.4\n",
        "ifcfg-eth0": "DEVICE=eth0\nDEVICETYPE=ovs\nTYPE=OVSPort\nOVS_BRIDGE=br-ex\nBOOTPROTO=none\n",
    }
    assert changed(files) == {
        "ifcfg-br-ex": "DEVICE=br-ex\nDEVICETYPE=ovs\nTYPE=OVSBridge\nBOOTPROTO=static\n"
    }
    assert any("Open vSwitch asks for DHCP" in text for text in notes(files))


def test_802_1x_is_pointed_out() -> None:
    files = {"ifcfg-eth0": "DEVICE=eth0\nKEY_MGMT=IEEE8021X\nIEEE_8021X_EAP_METHODS=TLS\nBOOTPROTO=dhcp\n"}
    assert any("802.1X" in text for text in notes(files))


def test_a_keyfile_of_the_same_device_becomes_dhcp_too() -> None:
    keyfile = f"{KEYFILES}/ens192.nmconnection"
    files = {
        **MANAGER,
        "ifcfg-ens192": "DEVICE=ens192\nBOOTPROTO=none\nONBOOT=no\n",
        keyfile: "[connection]\ntype=ethernet\ninterface-name=ens192\n"
        "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n",
    }
    assert changed(files) == {
        "ifcfg-ens192": "DEVICE=eth0\nBOOTPROTO=none\nONBOOT=no\n",
        keyfile: "[connection]\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=auto\n",
    }


def test_of_two_files_for_one_device_the_one_that_boots_stays_the_one() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\n",
        "ifcfg-home": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\nONBOOT=no\n",
    }
    assert changed(files) == {"ifcfg-home": "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=no\n"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("DEVICE=eth0\nif true; then\nIPADDR=1.2.3.4\nfi\n", "line 2, 3, 4 is no assignment"),
        ("DEVICE=eth0\n. /etc/address\nBOOTPROTO=none\n", "line 2 is no assignment"),
        ("DEVICE=eth0\n[ -f /x ] && IPADDR=1.2.3.4\n", "line 2 is no assignment"),
        ("DEVICE=eth0\nIPADDR='1.2.3.4\n", "line 2 is no assignment"),
        ("DEVICE=eth0\nIPADDR=1.2.3.4\\\n", "open at its end"),
        ("DEVICE=$(cat /x)\nIPADDR=1.2.3.4\n", "only a shell can tell"),
        ("DEVICE=eth0\nBOOTPROTO+=static\nIPADDR=1.2.3.4\n", "only a shell can tell"),
    ],
)
def test_shell_code_is_left_alone_with_the_reason(text: str, why: str) -> None:
    files = {"ifcfg-eth0": text}
    assert changed(files) == {}
    assert any(why in note for note in notes(files))


def test_variables_are_followed() -> None:
    files = {GLOBAL: "NIC=ens192\n", "ifcfg-x": "DEVICE=$NIC\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"}
    assert changed(files) == {"ifcfg-x": "DEVICE=eth0\nBOOTPROTO=dhcp\n"}


def test_a_rule_of_udev_and_hwaddr_name_the_same_nic() -> None:
    rule = 'SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="00:50:56:9a:10:21", NAME="eth1"\n'
    files = {
        "/etc/udev/rules.d/70-persistent-net.rules": rule,
        "ifcfg-eth1": "HWADDR=00:50:56:9A:10:21\nBOOTPROTO=static\nIPADDR=1.2.3.4\n",
    }
    assert changed(files) == {
        "/etc/udev/rules.d/70-persistent-net.rules": f"#{rule}",
        "ifcfg-eth1": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
    }


def test_what_cloud_init_wrote_is_treated_as_the_rest() -> None:
    text = (
        "# Created by cloud-init on instance boot automatically, do not edit.\n#\n"
        "BOOTPROTO=none\nDEFROUTE=yes\nDEVICE=ens3\nDNS1=10.0.0.2\nGATEWAY=10.0.0.1\n"
        "HWADDR=fa:16:3e:ed:9a:59\nIPADDR=10.0.0.5\nMTU=1450\nNETMASK=255.255.255.0\n"
        "ONBOOT=yes\nTYPE=Ethernet\nUSERCTL=no\n"
    )
    assert changed({"ifcfg-ens3": text})["ifcfg-ens3"] == (
        "# Created by cloud-init on instance boot automatically, do not edit.\n#\n"
        "BOOTPROTO=dhcp\nDEFROUTE=yes\nDEVICE=eth0\nMTU=1450\nONBOOT=yes\nTYPE=Ethernet\nUSERCTL=no\n"
    )


def test_what_else_keeps_the_network_down_is_said() -> None:
    files = {GLOBAL: "NETWORKING=no\n", "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n", **SERVICE}
    assert any("NETWORKING=no" in text for text in notes(files))
    machine = guest({ETH0: "DEVICE=eth0\nBOOTPROTO=dhcp\n"}, client=False)
    assert any("no DHCP client" in note.text for note in plan(machine).notes)


def test_a_link_to_another_file_is_one_file() -> None:
    data = {f"{FOLDER}/ifcfg-ens192": "DEVICE=ens192\nBOOTPROTO=none\nIPADDR=1.2.3.4\n"}
    (change,) = plan(guest(data, {ETH0: "ifcfg-ens192"})).changes
    assert change.path == f"{FOLDER}/ifcfg-ens192"
    assert len(change.reasons) == 3
