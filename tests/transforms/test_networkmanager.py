"""NetworkManager keyfiles: static becomes DHCP, on the one NIC that is there, with nothing else lost."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.networks import KEYFILES, after, guest, plan

FILE = f"{KEYFILES}/ens192.nmconnection"
STATIC = """\
# head
[connection]
id=ens192
uuid=d1b1c2a3-1313-4c55-9d66-0a1b2c3d4e5f
type=ethernet
interface-name=ens192

[ethernet]
mac-address=00:50:56:9A:10:21
mtu=1400

[ipv4]
address1=10.0.0.5/24,10.0.0.1
address2=10.0.0.6/24
dns=10.0.0.2;
dns-search=example.org;
ignore-auto-dns=true
method=manual
route1=10.9.0.0/16,10.0.0.9
route1_options=mtu=1000

[ipv6]
addresses1=2001:db8::5/64
may-fail=false
method=manual

[proxy]
"""
DHCP = """\
# head
[connection]
id=ens192
uuid=d1b1c2a3-1313-4c55-9d66-0a1b2c3d4e5f
type=ethernet
interface-name=eth0

[ethernet]
mtu=1400

[ipv4]
method=auto

[ipv6]
method=auto

[proxy]
"""


def connection(head: str, rest: str = "") -> str:
    return f"[connection]\nid=x\n{head}\n{rest}"


def test_static_becomes_dhcp_under_the_new_name() -> None:
    assert after({FILE: STATIC}) == DHCP.replace("[ipv4]\n", "[ipv4]\ndns-search=example.org;\n")


def test_with_names_kept_only_the_addressing_changes() -> None:
    kept = after({FILE: STATIC}, nic_names="keep")
    assert "interface-name=ens192\n" in kept
    assert "mac-address=00:50:56:9A:10:21\n" in kept
    assert "method=manual" not in kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (connection("type=ethernet\ninterface-name=ens1"), connection("type=ethernet\ninterface-name=eth0")),
        (
            connection("type=ethernet", "[ethernet]\nmac-address=00:50:56:9A:10:21\n"),
            connection("type=ethernet\ninterface-name=eth0", "[ethernet]\n"),
        ),
        (
            connection("type=ethernet\ninterface-name=eth0", "[ethernet]\nmac-address=00:50:56:9A:10:21\n"),
            connection("type=ethernet\ninterface-name=eth0", "[ethernet]\n"),
        ),
        (
            connection(
                "type=ethernet\ninterface-name=ens1", "[ethernet]\ncloned-mac-address=00:50:56:9A:10:21\n"
            ),
            connection("type=ethernet\ninterface-name=eth0", "[ethernet]\n"),
        ),
        (
            connection("type=ethernet\ninterface-name=ens1", "[ethernet]\ncloned-mac-address=preserve\n"),
            connection("type=ethernet\ninterface-name=eth0", "[ethernet]\ncloned-mac-address=preserve\n"),
        ),
        (
            connection("type=wifi\ninterface-name=wlp1s0", "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n"),
            connection("type=wifi\ninterface-name=wlp1s0", "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n"),
        ),
        (
            connection("type=bridge\ninterface-name=br9", "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n"),
            connection("type=bridge\ninterface-name=br9", "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n"),
        ),
    ],
)
def test_one_file(text: str, expected: str) -> None:
    assert after({FILE: text}) == expected


def test_a_bridge_takes_the_address_and_a_vlan_none() -> None:
    files = {
        f"{KEYFILES}/br0": connection(
            "uuid=u\ntype=bridge\ninterface-name=br0", "[ipv4]\nmethod=manual\naddress1=1.2.3.4/24,1.2.3.1\n"
        ),
        f"{KEYFILES}/port": connection("type=ethernet\ninterface-name=ens1\nmaster=u\nslave-type=bridge"),
        f"{KEYFILES}/vlan": connection(
            "type=vlan\ninterface-name=ens1.7",
            "[vlan]\nid=7\nparent=ens1\n[ipv4]\nmethod=manual\naddress1=7.2.3.4/24\n",
        ),
    }
    assert after(files, f"{KEYFILES}/br0").endswith("interface-name=br0\n[ipv4]\nmethod=auto\n")
    assert after(files, f"{KEYFILES}/port") == files[f"{KEYFILES}/port"].replace("ens1", "eth0")
    assert after(files, f"{KEYFILES}/vlan").endswith(
        "interface-name=eth0.7\n[vlan]\nid=7\nparent=eth0\n[ipv4]\nmethod=disabled\n"
    )


def test_a_port_that_is_found_by_its_mac_address_is_a_port() -> None:
    bridge = f"{KEYFILES}/br0"
    files = {
        bridge: connection(
            "type=bridge\ninterface-name=br0",
            "[bridge]\nmac-address=00:50:56:9A:10:21\nstp=false\n[ipv4]\nmethod=manual\naddress1=1.2.3.4/24\n",
        ),
        f"{KEYFILES}/port": connection(
            "type=ethernet\ncontroller=br0\nport-type=bridge", "[ethernet]\nmac-address=00:50:56:9A:10:21\n"
        ),
    }
    wanted = connection("type=bridge\ninterface-name=br0", "[bridge]\nstp=false\n[ipv4]\nmethod=auto\n")
    assert after(files, bridge) == wanted


def test_a_nic_without_an_address_of_its_own_takes_one() -> None:
    """Below a VLAN that had it, or where only IPv6 was used."""
    nic, vlan = f"{KEYFILES}/nic", f"{KEYFILES}/vlan"
    files = {
        nic: connection("type=ethernet\ninterface-name=ens1", "[ipv4]\nmethod=disabled\n"),
        vlan: connection(
            "type=vlan\ninterface-name=ens1.7",
            "[vlan]\nid=7\nparent=ens1\n[ipv4]\nmethod=manual\naddress1=7.2.3.4/24\n",
        ),
    }
    wanted = connection("type=ethernet\ninterface-name=eth0", "[ipv4]\nmethod=auto\n")
    assert after(files, nic) == wanted
    other = connection("type=ethernet\ninterface-name=ens1", "[ipv4]\nmethod=auto\n")
    assert "method=disabled" in after({**files, f"{KEYFILES}/other": other}, nic)


def test_a_server_without_connections_gets_one_that_only_root_reads() -> None:
    files = {
        "/usr/sbin/NetworkManager": "",
        "/etc/NetworkManager/conf.d/a.conf": "[main]\nno-auto-default=*\n",
    }
    (change,) = plan(guest(files)).changes
    assert (change.path, change.mode) == (f"{KEYFILES}/eth0.nmconnection", 0o600)
    assert plan(guest({"/usr/sbin/NetworkManager": ""})).changes == ()


@pytest.mark.skipif(not shutil.which("nmcli"), reason="NetworkManager is not installed")
def test_networkmanager_reads_a_dhcp_connection_of_eth0() -> None:
    command = ["nmcli", "--offline", "connection", "modify", "connection.id", "seen"]
    done = subprocess.run(command, input=after({FILE: STATIC}), text=True, capture_output=True, check=True)
    lines = done.stdout.split("\n")
    assert {"id=seen", "interface-name=eth0", "method=auto", "mtu=1400"} <= set(lines)
    assert "10.0.0" not in done.stdout
