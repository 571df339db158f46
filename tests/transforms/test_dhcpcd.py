"""dhcpcd.conf: static blocks go, so that dhcpcd asks for an address as it does by itself."""

from __future__ import annotations

import pytest

from imgpatch.inspection.network import inspect_network
from tests.networks import after, guest, plan

PATH = "/etc/dhcpcd.conf"
PROGRAM = {"/sbin/dhcpcd": ""}
STATIC = """\
# head
hostname
static domain_name_servers=10.0.0.2

interface ens192
# the lan
static ip_address=10.0.0.5/24
static routers=10.0.0.1
static domain_name_servers=10.0.0.2 8.8.8.8
static domain_search=example.org
metric 100

profile back
static ip_address=192.168.1.23/24
"""
DHCP = """\
# head
hostname

interface eth0
# the lan
static domain_search=example.org
metric 100

profile back
static ip_address=192.168.1.23/24
"""


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({PATH: STATIC, **PROGRAM}) == DHCP
    assert after({PATH: STATIC, **PROGRAM}, nic_names="keep") == DHCP.replace("eth0", "ens192")


def test_it_is_a_stack_of_its_own() -> None:
    found = inspect_network(guest({PATH: STATIC, **PROGRAM}))
    assert found.stacks == ("dhcpcd",)
    assert [(nic.name, nic.static) for nic in found.nics] == [("ens192", True)]
    assert inspect_network(guest({PATH: STATIC})).stacks == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("denyinterfaces eth0 ens2\n", "denyinterfaces ens2\n"),
        ("denyinterfaces eth*\n", ""),
        ("denyinterfaces veth*\n", "denyinterfaces veth*\n"),
        ("denyinterfaces ens1\n", "denyinterfaces eth0\n"),
        ("allowinterfaces ens*\n", "allowinterfaces ens* eth0\n"),
        ("allowinterfaces ens1\n", "allowinterfaces eth0\n"),
        ("static domain_name_servers=8.8.8.8\n", "static domain_name_servers=8.8.8.8\n"),
        ("interface ens1\nnoipv4\n", "interface eth0\n"),
        (
            "interface wlan0\nstatic ip_address=10.0.0.5/24\n",
            "interface wlan0\nstatic ip_address=10.0.0.5/24\n",
        ),
    ],
)
def test_one_file(text: str, expected: str) -> None:
    tail = "interface ens1\nmetric 1\n"
    assert after({PATH: text + tail, **PROGRAM}) == expected + tail.replace("ens1", "eth0")


def test_nothing_changes_where_all_is_well() -> None:
    assert plan(guest({PATH: "hostname\nduid\n", **PROGRAM})).changes == ()
