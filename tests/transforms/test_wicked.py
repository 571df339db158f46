"""SUSE's ifcfg files: static becomes DHCP, the file of a renamed NIC moves with it, nothing else is lost."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.commit import commit, revert
from imgpatch.formats import ifroute, sysconfig
from imgpatch.guest import Guest
from imgpatch.inspection.network import inspect_network
from imgpatch.inspection.stacks import wicked
from imgpatch.originals import kept_name
from imgpatch.plan import Choices, planned
from imgpatch.storage import Storage
from tests.networks import corpus, guest, mutations, plan
from tests.test_commit import DirectoryFiles, DirectoryTree

FOLDER = "/etc/sysconfig/network"
PCI = "eth-bus-pci-0000:00:11.0"
MAC = "00:50:56:aa:bb:cc"
STATIC = "BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='10.0.0.5/24'\n"
DHCP = "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"
GONE = None

Files = dict[str, str]
Result = dict[str, str | None]


def paths(files: Files) -> Files:
    return {name if name.startswith("/") else f"{FOLDER}/{name}": text for name, text in files.items()}


def outcome(files: Files, nic_names: str = "eth0", links: Files | None = None) -> Result:
    """The names of the files that change and what they are afterwards; a second plan is empty."""
    made = plan(guest(paths(files), links), nic_names)
    texts = {
        c.path: None if c.after is None else c.after.decode("utf-8", "surrogateescape") for c in made.changes
    }
    return {path.removeprefix(f"{FOLDER}/"): text for path, text in texts.items()}


ONE_FILE = {  # what ifcfg-eth0 holds, and what it holds afterwards; None: nothing changes
    "a static address": (STATIC, DHCP),
    "no BOOTPROTO is static": ("STARTMODE=auto\nIPADDR=1.2.3.4/8\n", "STARTMODE=auto\nBOOTPROTO=dhcp\n"),
    "an empty one too": ("BOOTPROTO=''\nSTARTMODE='auto'\n", DHCP),
    "DHCP stays": (DHCP, None),
    "DHCP of IPv4 stays": ("BOOTPROTO=dhcp4\nSTARTMODE=auto\n", None),
    "DHCP or a made-up address stays": ("BOOTPROTO=dhcp+autoip\nSTARTMODE=auto\n", None),
    "a made-up address": ("BOOTPROTO=autoip\nSTARTMODE=auto\n", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "DHCP of IPv6 alone": ("BOOTPROTO=dhcp6\nSTARTMODE=auto\n", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "both, and both required": ("BOOTPROTO=dhcp4+dhcp6\nSTARTMODE=on\n", "BOOTPROTO=dhcp\nSTARTMODE=on\n"),
    "nothing": ("BOOTPROTO=none\nSTARTMODE=auto\n", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "a word nobody knows": ("BOOTPROTO=DHCP\nSTARTMODE=auto\n", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "an address besides DHCP": (DHCP + "IPADDR_1='1.2.3.4/8'\n", DHCP),
    "an empty file": ("", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "started by hand": ("BOOTPROTO=dhcp\nSTARTMODE=manual\n", "BOOTPROTO=dhcp\nSTARTMODE=auto\n"),
    "never started": ("BOOTPROTO='dhcp'\nSTARTMODE='off'\n", DHCP),
    "no STARTMODE is by hand": ("BOOTPROTO='dhcp'\n", DHCP),
    "an unknown STARTMODE is by hand": ("BOOTPROTO='dhcp'\nSTARTMODE='always'\n", DHCP),
    **{
        f"STARTMODE={mode} brings it up": (f"BOOTPROTO=dhcp\nSTARTMODE={mode}\n", None)
        for mode in ("auto", "onboot", "on", "boot", "hotplug", "nfsroot", "ifplugd")
    },
    "all that belongs to addresses, with any suffix": (
        DHCP + "IPADDR_1=1.2.3.4\nNETMASK_1=255.0.0.0\nPREFIXLEN_1=8\nBROADCAST_1=1.255.255.255\nLABEL_1=0\n"
        "SCOPE_1=link\nIP_OPTIONS_1=x\nREMOTE_IPADDR_1=1.2.3.5\nNETWORK_1=1.0.0.0\nIPADDR_foo=5.6.7.8/8\n"
        "IPADDR6=fd00::1/64\nIPADDRxxx=9.9.9.9/8\nGATEWAY=1.1.1.1\n",
        DHCP,
    ),
    "what only sounds alike stays": (DHCP + "NETWORKING=x\nLABELS=y\nMY_IPADDR=1.2.3.4\n", None),
    "empty variables and comments stay": (
        "# head\n" + STATIC + "NETMASK=''\nBROADCAST=''\n# IPADDR='1.2.3.4'\nNETWORK=\n",
        "# head\n" + DHCP + "NETMASK=''\nBROADCAST=''\n# IPADDR='1.2.3.4'\nNETWORK=\n",
    ),
    "MTU, name, zone, options and hooks stay": (
        STATIC
        + "MTU='9000'\nNAME='82545EM'\nZONE=trusted\nETHTOOL_OPTIONS='-K eth0 rx on'\nUSERCONTROL='no'\n"
        "POST_UP_SCRIPT='wicked:x'\nCLOUD_NETCONFIG_MANAGE='yes'\nDHCLIENT_SET_HOSTNAME='yes'\n",
        DHCP + "MTU='9000'\nNAME='82545EM'\nZONE=trusted\nETHTOOL_OPTIONS='-K eth0 rx on'\nUSERCONTROL='no'\n"
        "POST_UP_SCRIPT='wicked:x'\nCLOUD_NETCONFIG_MANAGE='yes'\nDHCLIENT_SET_HOSTNAME='yes'\n",
    ),
    "a MAC address of its own": (DHCP + f"LLADDR='{MAC}'\n", DHCP),
    "a lease without the way out": (
        DHCP + "DHCLIENT_SET_DEFAULT_ROUTE='no'\n",
        DHCP + "DHCLIENT_SET_DEFAULT_ROUTE='yes'\n",
    ),
    "double quotes": (
        'BOOTPROTO="static"\nSTARTMODE="auto"\nIPADDR="1.2.3.4/8"\n',
        'BOOTPROTO="dhcp"\nSTARTMODE="auto"\n',
    ),
    "CRLF": (STATIC.replace("\n", "\r\n"), DHCP.replace("\n", "\r\n")),
    "no last line end": ("BOOTPROTO=static\nSTARTMODE=auto", "BOOTPROTO=dhcp\nSTARTMODE=auto"),
    "the last of several counts": (
        "BOOTPROTO=dhcp\nBOOTPROTO=static\nSTARTMODE=auto\nSTARTMODE=off\n",
        "BOOTPROTO=dhcp\nBOOTPROTO=dhcp\nSTARTMODE=auto\nSTARTMODE=auto\n",
    ),
    "several on a line": (
        "STARTMODE=auto IPADDR=1.2.3.4/8 MTU=1400\n",
        'STARTMODE=auto IPADDR="" MTU=1400\nBOOTPROTO="dhcp"\n',
    ),
    "a remark behind goes with its line": (DHCP + "IPADDR=1.2.3.4/8 # the office\nMTU=1\n", DHCP + "MTU=1\n"),
    "a value over two lines": (DHCP + "IPADDR='1.2.3.4/8\n'\nMTU=1\n", DHCP + "MTU=1\n"),
    "a continued line": (DHCP + "IPADDR=1.2.3.4\\\n/8\nMTU=1\n", DHCP + "MTU=1\n"),
    "a byte that is no UTF-8": (STATIC + "NAME='caf\udce9'\n", DHCP + "NAME='caf\udce9'\n"),
    "an address only perhaps set": (
        DHCP + "if x; then\nIPADDR=1.2.3.4/8\nfi\n",
        DHCP + 'if x; then\nIPADDR=""\nfi\n',
    ),
}


@pytest.mark.parametrize(("before", "after"), ONE_FILE.values(), ids=ONE_FILE)
def test_one_file(before: str, after: str | None) -> None:
    assert outcome({"ifcfg-eth0": before}) == ({} if after is None else {"ifcfg-eth0": after})


BOND = "BONDING_MASTER='yes'\nBONDING_MODULE_OPTS='{0}'\nBONDING_SLAVE_0='{1}'\nBONDING_SLAVE_1='{2}'\n"
PORT = "BOOTPROTO='none'\nSTARTMODE='{}'\n"
GUESTS: dict[str, tuple[Files, Result]] = {  # files and what becomes of those that change
    "the file is called after its NIC, and moves with it": (
        {"ifcfg-ens192": STATIC},
        {"ifcfg-ens192": GONE, "ifcfg-eth0": DHCP},
    ),
    "so do the files beside it": (
        {
            "ifcfg-ens192": DHCP,
            "ifrule-ens192": "ipv4 from all iif ens192 lookup 7\n",
            "ifsysctl-ens192": "# ens192\nnet.ipv4.conf.ens192.rp_filter=2\nnet/ipv6/conf/ens192/mtu=9\n",
        },
        {
            "ifcfg-ens192": GONE,
            "ifcfg-eth0": DHCP,
            "ifrule-ens192": GONE,
            "ifrule-eth0": "ipv4 from all iif eth0 lookup 7\n",
            "ifsysctl-ens192": GONE,
            "ifsysctl-eth0": "# ens192\nnet.ipv4.conf.eth0.rp_filter=2\nnet/ipv6/conf/eth0/mtu=9\n",
        },
    ),
    "the NIC with the gateway is the primary, and the two change names": (
        {
            "ifcfg-eth0": STATIC.replace("10.0.0.5", "10.7.0.5"),
            "ifcfg-eth1": STATIC,
            "routes": "default 10.0.0.1 - -\n",
        },
        {"ifcfg-eth0": DHCP, "ifcfg-eth1": DHCP.replace("auto", "hotplug"), "routes": GONE},
    ),
    "the gateway may be in the file of routes of one NIC": (
        {"ifcfg-eth0": DHCP, "ifcfg-eth1": STATIC, "ifroute-eth1": "default 10.0.0.1\n"},
        {"ifcfg-eth1": DHCP.replace("auto", "hotplug"), "ifroute-eth1": GONE},
    ),
    "a further NIC is not waited for": (
        {"ifcfg-eth0": DHCP, "ifcfg-eth1": STATIC, "ifcfg-eth2": DHCP.replace("auto", "off")},
        {"ifcfg-eth1": DHCP.replace("auto", "hotplug")},
    ),
    "a VLAN is renamed and loses its address": (
        {
            "ifcfg-ens1": DHCP,
            "ifcfg-ens1.7": STATIC + "ETHERDEVICE='ens1'\nVLAN_ID='7'\n",
            "ifroute-ens1.7": "1.0.0.0/8 10.0.0.1\n",
        },
        {
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": DHCP,
            "ifcfg-ens1.7": GONE,
            "ifcfg-eth0.7": "BOOTPROTO='static'\nSTARTMODE='auto'\nETHERDEVICE='eth0'\nVLAN_ID='7'\n",
            "ifroute-ens1.7": GONE,
        },
    ),
    "a VLAN that asks for an address is not waited for": (
        {"ifcfg-eth0": DHCP, "ifcfg-vlan7": DHCP + "ETHERDEVICE='eth0'\n"},
        {"ifcfg-vlan7": DHCP.replace("auto", "hotplug") + "ETHERDEVICE='eth0'\n"},
    ),
    "a bond takes the address, its ports never do": (
        {
            "ifcfg-bond0": STATIC + BOND.format("mode=active-backup primary=ens2 miimon=100", "ens1", "ens2"),
            "ifcfg-ens1": PORT.format("hotplug"),
            "ifcfg-ens2": PORT.format("auto") + f"LLADDR={MAC}\n",
        },
        {
            "ifcfg-bond0": DHCP + BOND.format("mode=active-backup primary=eth1 miimon=100", "eth0", "eth1"),
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": PORT.format("hotplug"),
            "ifcfg-ens2": GONE,
            "ifcfg-eth1": PORT.format("hotplug"),
        },
    ),
    "a bond must not ask hosts that are gone for its link": (
        {
            "ifcfg-bond0": DHCP
            + BOND.format("mode=1 arp_interval=60 arp_ip_target=1.2.3.4,1.2.3.5", "eth0", "eth1")
        },
        {"ifcfg-bond0": DHCP + BOND.format("mode=1 miimon=100", "eth0", "eth1")},
    ),
    "a bridge takes the address": (
        {"ifcfg-br0": STATIC + "BRIDGE='yes'\nBRIDGE_PORTS='ens1 ens2'\n", "ifcfg-ens1": PORT.format("auto")},
        {
            "ifcfg-br0": DHCP + "BRIDGE='yes'\nBRIDGE_PORTS='eth0 eth1'\n",
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": PORT.format("auto"),
        },
    ),
    "a bridge on a bond": (
        {
            "ifcfg-br0": STATIC + "BRIDGE='yes'\nBRIDGE_PORTS='bond0'\n",
            "ifcfg-bond0": "BOOTPROTO=none\nSTARTMODE=auto\nBONDING_MASTER=yes\nBONDING_SLAVE0=eth0\n",
        },
        {"ifcfg-br0": DHCP + "BRIDGE='yes'\nBRIDGE_PORTS='bond0'\n"},
    ),
    "a team takes the address": (
        {
            "ifcfg-team0": STATIC + "TEAM_RUNNER=loadbalance\nTEAM_PORT_DEVICE_0=p1p1\n",
            "ifcfg-p1p1": PORT.format("auto"),
        },
        {
            "ifcfg-team0": DHCP + "TEAM_RUNNER=loadbalance\nTEAM_PORT_DEVICE_0=eth0\n",
            "ifcfg-p1p1": GONE,
            "ifcfg-eth0": PORT.format("auto"),
        },
    ),
    "a port that names its master": (
        {"ifcfg-br0": STATIC + "BRIDGE=yes\n", "ifcfg-eth0": "STARTMODE=auto\nMASTER_DEVICE=br0\n"},
        {"ifcfg-br0": DHCP + "BRIDGE=yes\n"},
    ),
    "tunnels, wireless and what stands on no NIC are left alone": (
        {
            "ifcfg-eth0": DHCP,
            "ifcfg-tun0": STATIC + "TUNNEL=tun\n",
            "ifcfg-gre1": STATIC + "TUNNEL=gre\n",
            "ifcfg-net5": STATIC + "WIRELESS_MODE=Managed\n",
            "ifcfg-dummy0": STATIC + f"LLADDR={MAC}\n",
            "ifcfg-br9": STATIC + "BRIDGE=yes\nBRIDGE_PORTS=dummy0\n",
            "ifcfg-lo": "IPADDR=127.0.0.1/8\nSTARTMODE=nfsroot\nBOOTPROTO=static\n",
            "ifroute-tun0": "10.8.0.0/16 - - tun0\n",
        },
        {},
    ),
    "a tunnel knows the new name of its NIC": (
        {"ifcfg-ens1": DHCP, "ifcfg-sit1": STATIC + "TUNNEL=sit\nTUNNEL_DEVICE=ens1\n"},
        {"ifcfg-ens1": GONE, "ifcfg-eth0": DHCP, "ifcfg-sit1": STATIC + "TUNNEL=sit\nTUNNEL_DEVICE=eth0\n"},
    ),
    "a NIC that only a VLAN names gets a file": (
        {"ifcfg-vlan7": STATIC + "ETHERDEVICE='ens1'\n"},
        {"ifcfg-eth0": DHCP, "ifcfg-vlan7": "BOOTPROTO='static'\nSTARTMODE='auto'\nETHERDEVICE='eth0'\n"},
    ),
    "routes that wait for the name eth0 do not get it": (
        {"ifcfg-ens1": STATIC, "ifroute-eth0": "default 10.0.0.1\n", "routes": "default 10.0.0.1 - eth0\n"},
        {"ifcfg-ens1": GONE, "ifcfg-eth0": DHCP, "ifroute-eth0": GONE, "routes": GONE},
    ),
    "of several NICs the one that is there is waited for": (
        {"ifcfg-eth0": DHCP.replace("auto", "hotplug"), "ifcfg-eth1": DHCP.replace("auto", "manual")},
        {"ifcfg-eth0": DHCP},
    ),
    "a bond of places": (
        {
            "ifcfg-bond0": DHCP + f"BONDING_MASTER=yes\nBONDING_SLAVE_0={PCI}\n",
            f"ifcfg-{PCI}": PORT.format("off"),
        },
        {
            "ifcfg-bond0": DHCP + "BONDING_MASTER=yes\nBONDING_SLAVE_0=eth0\n",
            f"ifcfg-{PCI}": GONE,
            "ifcfg-eth0": PORT.format("off"),
        },
    ),
    "a file called after a MAC address": (
        {f"ifcfg-eth-id-{MAC}": STATIC, f"ifroute-eth-id-{MAC}": "# none\n"},
        {
            f"ifcfg-eth-id-{MAC}": GONE,
            "ifcfg-eth0": DHCP,
            f"ifroute-eth-id-{MAC}": GONE,
            "ifroute-eth0": "# none\n",
        },
    ),
    "a file called after a place": ({f"ifcfg-{PCI}": STATIC}, {f"ifcfg-{PCI}": GONE, "ifcfg-eth0": DHCP}),
    "routes of the old network go, also those to nowhere; of others they stay": (
        {
            "ifcfg-ens1": STATIC,
            "ifcfg-tun0": "IPADDR=172.16.0.1/24\nTUNNEL=tun\n",
            "routes": "# all of them\ndefault 10.0.0.1 - -\n192.168.0.0 10.0.0.9 255.255.0.0 ens1 # x\n"
            "172.20.0.0/16 172.16.0.9 - -\n1.0.0.0/8 - - tun0\n127.0.0.0/8 - - lo\n"
            "10.66.0.0/16 - - - unreachable\n10.67.0.0/16 10.0.0.9 - ens1 \\\n  metric 5\n",
        },
        {
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": DHCP,
            "routes": "# all of them\n172.20.0.0/16 172.16.0.9 - -\n1.0.0.0/8 - - tun0\n127.0.0.0/8 - - lo\n",
        },
    ),
    "a file of routes with remarks moves with them": (
        {"ifcfg-ens1": STATIC, "ifroute-ens1": "# to the office\n192.168.0.0/16 10.0.0.9 - -\n"},
        {"ifcfg-ens1": GONE, "ifcfg-eth0": DHCP, "ifroute-ens1": GONE, "ifroute-eth0": "# to the office\n"},
    ),
    "name servers go with the address; search domains stay": (
        {
            "ifcfg-eth0": STATIC,
            "config": '# DNS\nNETCONFIG_DNS_POLICY="auto"\nNETCONFIG_DNS_STATIC_SERVERS="10.0.0.2 10.0.0.3"\n'
            'NETCONFIG_DNS_STATIC_SEARCHLIST="corp.example"\nNETCONFIG_MODULES_ORDER="dns-resolver nis"\n',
        },
        {
            "ifcfg-eth0": DHCP,
            "config": '# DNS\nNETCONFIG_DNS_POLICY="auto"\nNETCONFIG_DNS_STATIC_SERVERS=""\n'
            'NETCONFIG_DNS_STATIC_SEARCHLIST="corp.example"\nNETCONFIG_MODULES_ORDER="dns-resolver nis"\n',
        },
    ),
    "name servers beside DHCP stay": (
        {"ifcfg-eth0": DHCP, "config": 'NETCONFIG_DNS_STATIC_SERVERS="10.0.0.2"\n'},
        {},
    ),
    "a policy that would not take the lease's name servers": (
        {
            "ifcfg-eth0": STATIC,
            "config": "NETCONFIG_DNS_POLICY='STATIC'\nNETCONFIG_DNS_STATIC_SERVERS='10.0.0.2'\n",
        },
        {"ifcfg-eth0": DHCP, "config": "NETCONFIG_DNS_POLICY='auto'\nNETCONFIG_DNS_STATIC_SERVERS=''\n"},
    ),
    "a policy that names interfaces": (
        {"ifcfg-ens1": DHCP, "config": "NETCONFIG_DNS_POLICY='ens1  STATIC'\nMANDATORY_DEVICES='ens1'\n"},
        {
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": DHCP,
            "config": "NETCONFIG_DNS_POLICY='eth0  STATIC'\nMANDATORY_DEVICES='eth0'\n",
        },
    ),
    "what is not there is not mandatory": (
        {
            "ifcfg-eth0": DHCP,
            "ifcfg-eth1": DHCP.replace("auto", "hotplug"),
            "config": "MANDATORY_DEVICES='eth0 eth1'\n",
        },
        {"config": "MANDATORY_DEVICES='eth0'\n"},
    ),
    "a lease without the way out, for all": (
        {"ifcfg-eth0": STATIC, "dhcp": 'DHCLIENT_SET_DEFAULT_ROUTE="no"\n'},
        {"ifcfg-eth0": DHCP + "DHCLIENT_SET_DEFAULT_ROUTE='yes'\n"},
    ),
    "the firewall's zones": (
        {
            "ifcfg-ens1": DHCP,
            "/etc/sysconfig/SuSEfirewall2": 'FW_DEV_INT="ens1 any"\nFW_SERVICES_INT_TCP="ens1"\n',
        },
        {
            "ifcfg-ens1": GONE,
            "ifcfg-eth0": DHCP,
            "/etc/sysconfig/SuSEfirewall2": 'FW_DEV_INT="eth0 any"\nFW_SERVICES_INT_TCP="ens1"\n',
        },
    ),
    "saved copies and aliases are no interfaces": (
        {
            "ifcfg-eth0": DHCP,
            **{f"ifcfg-eth0{end}": STATIC for end in wicked.IGNORED},
            **{f"ifcfg-eth0{end}": STATIC for end in (".YaST2save", ".save", ".bak2", ":1")},
            ".ifcfg-eth0.imgpatch.orig": STATIC,
            "ifcfg.template": STATIC,
            "ifcfg-": STATIC,
            "ifroute-eth0.bak": "default 1.2.3.4\n",
        },
        {},
    ),
}


@pytest.mark.parametrize(("files", "expected"), GUESTS.values(), ids=GUESTS)
def test_a_guest(files: Files, expected: Result) -> None:
    assert outcome(files) == expected


def test_with_names_kept_no_file_moves() -> None:
    files = {
        "ifcfg-ens1": STATIC,
        "ifcfg-vlan7": "STARTMODE=auto\nETHERDEVICE=ens1\n",
        f"ifcfg-id-{MAC}": DHCP,
    }
    assert outcome(files, "keep") == {
        "ifcfg-ens1": DHCP.replace("auto", "hotplug"),
        "ifcfg-vlan7": "STARTMODE=hotplug\nETHERDEVICE=ens1\n",
    }


def test_a_rule_that_gives_the_name_is_followed() -> None:
    rule = f'SUBSYSTEM=="net", ACTION=="add", ATTR{{address}}=="{MAC}", NAME="lan0"\n'
    changes = outcome({"ifcfg-lan0": STATIC, "/etc/udev/rules.d/70-persistent-net.rules": rule})
    assert changes == {
        "ifcfg-lan0": GONE,
        "ifcfg-eth0": DHCP,
        "/etc/udev/rules.d/70-persistent-net.rules": f"#{rule}",
    }


def test_a_wicked_that_runs_and_has_no_file_gets_one() -> None:
    alias = {"/etc/systemd/system/network.service": "/usr/lib/systemd/system/wicked.service"}
    assert outcome({"ifcfg-lo": "IPADDR=127.0.0.1/8\n"}, links=alias) == {"ifcfg-eth0": DHCP}
    assert outcome({"ifcfg-lo": "IPADDR=127.0.0.1/8\n"}) == {}


def test_a_moved_file_keeps_its_mode_and_says_why() -> None:
    made = plan(guest(paths({"ifcfg-ens1": STATIC})))
    assert [(c.path, c.mode, c.reasons[0].rule) for c in made.changes] == [
        (f"{FOLDER}/ifcfg-ens1", None, "R-66"),
        (f"{FOLDER}/ifcfg-eth0", 0o644, "R-66"),
    ]
    assert [(r.rule, r.text) for r in made.changes[1].reasons[1:]] == [
        ("M-06", "line 1: ens1 has static addressing, wanted dhcp"),
        ("M-07", "line 3: IPADDR=10.0.0.5/24 goes with the static address"),
    ]


@pytest.mark.parametrize(
    ("files", "client", "said"),
    [
        ({"ifcfg-tun0": "TUNNEL=tun\n"}, True, "stand on no NIC that EC2 has: ifcfg-br0, ifcfg-tun0"),
        ({"ifcfg-eth0.YaST2save": STATIC}, True, "saved copies or aliases"),
        ({"ifcfg-eth0": "STARTMODE=auto\nNAME='open\n"}, True, "never closed, so nothing can be added"),
        ({"ifcfg-eth0": DHCP, "/etc/wicked/ifconfig/eth1.xml": "<interface/>"}, True, "wicked's own XML"),
        ({"ifcfg-eth0": DHCP}, False, "no DHCP client"),
    ],
)
def test_what_is_left_alone_is_said(files: Files, client: bool, said: str) -> None:
    notes = plan(guest({f"{FOLDER}/ifcfg-br0": "", **paths(files)}, client=client)).notes
    assert any(said in note.text for note in notes)


MANUAL = "nameserver 192.168.1.1\n"
WRITTEN = f"### /etc/resolv.conf is a symlink to file autogenerated by netconfig!\n{MANUAL}"


@pytest.mark.parametrize(
    ("text", "config", "stays"),
    [
        (WRITTEN, "", True),
        (MANUAL, "", False),
        (WRITTEN, "NETCONFIG_DNS_POLICY=''\n", False),
        (WRITTEN, "NETCONFIG_MODULES_ORDER='ntp-runtime'\n", False),
    ],
)
def test_resolv_conf_is_netconfigs_where_it_wrote_it(text: str, config: str, stays: bool) -> None:
    changes = outcome({"ifcfg-eth0": DHCP, "config": config, "/etc/resolv.conf": text})
    assert ("/etc/resolv.conf" not in changes) is stays


def test_no_original_is_read() -> None:
    """Wicked takes ifcfg-*, SLES 11 what ls(1) lists: neither sees a name with a dot first."""
    names = ("ifcfg-eth0", "ifroute-eth0", "routes", "config", "ifrule-eth0", "ifsysctl-eth0")
    kept = [kept_name(f"{FOLDER}/{name}", Choices().original_suffix) for name in names]
    assert all(path.startswith(f"{FOLDER}/.") and path.endswith(wicked.IGNORED) for path in kept)
    machine = guest(dict.fromkeys(kept, STATIC))
    assert (wicked.files(machine), wicked.leftovers(machine), wicked.beside(machine)) == ((), (), ())


# What holds on every real file

SUSE = re.compile(r"suse|sles|wicked|yast|kiwi_|xcat|STARTMODE")


def suse_files() -> Iterator[tuple[str, Path]]:
    """Each as the file of an interface of its own name, where it has one."""
    for file in corpus("ifcfg"):
        if SUSE.search(file.name) or b"STARTMODE" in file.read_bytes():
            called = re.search(r"(ifcfg|ifroute)-([A-Za-z0-9.]{1,15})(?=$|\.exp$|-|_second)", file.name)
            kind, name = called.groups() if called else ("ifcfg", "eth0")
            routes = file.name.endswith("_routes")
            yield wicked.ROUTES if routes else f"{FOLDER}/{kind}-{name.removesuffix('.exp')}", file


CASES = list(suse_files())
needs_corpora = pytest.mark.skipif(not CASES, reason="the corpora are not here")
NAMED = re.compile(
    r"BOOTPROTO|STARTMODE|DHCLIENT_SET_DEFAULT_ROUTE|LLADDR|(IPADDR|PREFIXLEN|NETMASK|BROADCAST|NETWORK|REMOTE_IPADDR|LABEL|SCOPE|GATEWAY).*"
)
NAMING = re.compile(r"BONDING_|BRIDGE_PORTS|TEAM_PORT|OVS_|ETHERDEVICE|DEVICE|TUNNEL_")


def result_of(path: str, data: bytes) -> tuple[Guest, Guest]:
    machine = guest({path: data, f"{FOLDER}/ifcfg-lo": "IPADDR=127.0.0.1/8\n"})
    return machine, planned(machine, {change.path: change.after for change in plan(machine).changes})


def text_after(path: str, after: Guest) -> str | None:
    """The file afterwards, wherever it went."""
    kind, _, name = path.rpartition("/")[2].partition("-")
    names = (name, re.sub(r"^[a-z]+\w*", "eth0", name, count=1))
    return next((text for n in names if (text := after.text(f"{FOLDER}/{kind}-{n}")) is not None), None)


@needs_corpora
def test_the_formats_lose_nothing() -> None:
    for _, file in CASES:
        for data in (file.read_bytes(), *mutations(file.read_bytes(), file.name)):
            text = data.decode("utf-8", "surrogateescape")
            assert ifroute.unparse(ifroute.parse(text)) == text
            assert sysconfig.changed(text, lambda _: None) == text


@needs_corpora
def test_none_crashes_and_a_second_plan_is_empty() -> None:
    for path, file in CASES:
        for data in (file.read_bytes(), *mutations(file.read_bytes(), file.name, cuts=3)):
            plan(guest({path: data}))


@needs_corpora
def test_every_file_is_changed_or_left_alone_with_a_reason() -> None:
    for path, file in CASES:
        machine = guest({path: file.read_bytes(), f"{FOLDER}/ifcfg-eth9": DHCP})
        made = plan(machine)
        noted = any(path.rpartition("/")[2] in note.text for note in made.notes)
        place = inspect_network(machine).places.get(path.partition("ifcfg-")[2])
        assert made.changes or noted or place, file


@needs_corpora
def test_only_named_lines_change() -> None:
    for path, file in CASES:
        machine, after = result_of(path, file.read_bytes())
        text = text_after(path, after)
        if text is None or "route" in path:
            continue
        before = (machine.text(path) or "").split("\n")
        kept = [line for line in before if not NAMED.match(line.strip()) and not NAMING.match(line.strip())]
        left = [
            line
            for line in text.split("\n")
            if not NAMED.match(line.strip()) and not NAMING.match(line.strip())
        ]
        assert left == kept, file


def variables(text: str, folder: Path) -> dict[str, str]:
    """What a shell has after sourcing it."""
    file = folder / "sourced"
    file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    command = ["env", "-i", "bash", "--norc", "-c", f'. "{file}"; declare -p']
    done = subprocess.run(command, capture_output=True, check=False)
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
    pairs = (line.split(" ", 2)[2].partition("=") for line in lines if line.startswith("declare -- "))
    return {name: value for name, _, value in pairs if not name.startswith(("BASH", "_"))}


@needs_corpora
@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_a_shell_finds_all_that_is_not_named_as_it_was(tmp_path: Path) -> None:
    judged = 0
    for path, file in CASES:
        machine, after = result_of(path, file.read_bytes())
        text = text_after(path, after)
        before = machine.text(path) or ""
        if "route" in path or text is None or "$" in before or "`" in before:
            continue
        old, new = variables(before, tmp_path), variables(text, tmp_path)
        same = {name for name in old if not NAMED.fullmatch(name) and not NAMING.match(name)}
        assert {name: new.get(name) for name in same} == {name: old[name] for name in same}, file
        assert sysconfig.is_sound(before) <= sysconfig.is_sound(text)
        judged += text != before
    assert judged > 40


# What holds on anything

NAMES = [
    "IPADDR",
    "IPADDR_1",
    "NETMASK_1",
    "BOOTPROTO",
    "STARTMODE",
    "MTU",
    "LLADDR",
    "ETHERDEVICE",
    "BRIDGE_PORTS",
]
VALUES = [
    "static",
    "dhcp",
    "'1.2.3.4/24'",
    '"auto"',
    "off",
    "ens1",
    "'ens1 ens2'",
    "''",
    "$MTU",
    "x\\\ny",
    "'",
    "`x`",
]
LINES = st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES))
NOISE = st.sampled_from(
    ["# note", "", "  ", "if x; then", "fi", "export MTU=3 IPADDR=4", "default 1.2.3.4 - ens1", "\r"]
)
TEXTS = st.lists(LINES | NOISE, max_size=8).map("\n".join)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_any_files_are_planned_once(nic: str, vlan: str, routes: str) -> None:
    plan(guest(paths({"ifcfg-ens1": nic, "ifcfg-ens1.7": vlan, "routes": routes, "ifroute-ens1": routes})))


@settings(max_examples=200, derandomize=True)
@given(st.text("AB='\"\\# \n=-$`x", max_size=60))
def test_the_formats_lose_nothing_of_any_text(text: str) -> None:
    assert ifroute.unparse(ifroute.parse(text)) == text
    assert sysconfig.changed(text, lambda _: None) == text


@settings(max_examples=200, derandomize=True)
@given(TEXTS, st.sampled_from(["dhcp", "", "a b", "it's"]))
def test_what_is_set_is_read_back(text: str, value: str) -> None:
    if sysconfig.is_sound(text):
        assert sysconfig.values(sysconfig.with_value(text, "BOOTPROTO", value))["BOOTPROTO"] == value


@settings(max_examples=200, derandomize=True)
@given(TEXTS)
def test_what_is_taken_out_holds_nothing_and_the_rest_stays(text: str) -> None:
    after = sysconfig.changed(text, lambda v: sysconfig.GONE if v.name.startswith("IPADDR") else None)
    old, new = sysconfig.values(text), sysconfig.values(after)
    assert not any(new.get(name) for name in new if name.startswith("IPADDR") and new[name] is not None)
    assert {n: v for n, v in new.items() if not n.startswith("IPADDR")} == {
        n: v for n, v in old.items() if not n.startswith("IPADDR")
    }


class Folder(DirectoryTree):
    def listdir(self, path: str) -> list[str]:
        return super().listdir(path) if self.host(path).is_dir() else []


def test_files_that_moved_are_put_back(tmp_path: Path) -> None:
    """Two that change names with each other, one that only goes, one that only comes."""
    before = {
        f"{FOLDER}/ifcfg-eth0": DHCP + "NAME=first\n",
        f"{FOLDER}/ifcfg-ens1": STATIC + "NAME=second\n",
        f"{FOLDER}/ifroute-ens1": "default 10.0.0.1\n",
    }
    tree = Folder(tmp_path)
    for path, text in before.items():
        tree.host(path).parent.mkdir(parents=True, exist_ok=True)
        tree.host(path).write_text(text, encoding="utf-8")
    machine, files = Guest(tree, Storage()), DirectoryFiles(tree)
    commit(plan(machine), machine, files, Choices().original_suffix, edition="2026")
    assert (machine.text(f"{FOLDER}/ifcfg-eth0") or "").endswith("NAME=second\n")
    assert (machine.text(f"{FOLDER}/ifcfg-eth1") or "").endswith("NAME=first\n")
    assert wicked.files(machine) == (f"{FOLDER}/ifcfg-eth0", f"{FOLDER}/ifcfg-eth1")
    assert plan(machine).changes == ()
    revert(machine, files)
    assert {path: machine.text(path) for path in before} == before
    assert sorted(machine.listdir(FOLDER)) == sorted(path.rpartition("/")[2] for path in before)
