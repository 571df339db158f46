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


ONE = connection("type=ethernet\ninterface-name=eth0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            connection("type=ethernet\ninterface-name=eth0\nautoconnect=false"),
            connection("type=ethernet\ninterface-name=eth0\nautoconnect=true"),
        ),
        (connection("type=ethernet\ninterface-name=eth0\npermissions=user:ann:;"), ONE),
        (f"{ONE}[ipv4]\nmethod=auto\nnever-default=true\n", f"{ONE}[ipv4]\nmethod=auto\n"),
        (
            f"{ONE}[ipv4]\nmethod=auto\nignore-auto-routes=true\nroute-table=7\nroute1=0.0.0.0/0,10.0.0.1\n",
            f"{ONE}[ipv4]\nmethod=auto\n",
        ),
        (f"{ONE}[ipv4]\nmethod=auto\nignore-auto-dns=true\ndns=10.0.0.2;\n", f"{ONE}[ipv4]\nmethod=auto\n"),
        (
            f"{ONE}[ipv4]\nmethod=auto\nignore-auto-dns=true\ndns=8.8.8.8;\n",
            f"{ONE}[ipv4]\nmethod=auto\nignore-auto-dns=true\ndns=8.8.8.8;\n",
        ),
    ],
)
def test_the_one_nic_comes_up_and_believes_dhcp(text: str, expected: str) -> None:
    assert after({FILE: text}) == expected


def test_of_several_connections_that_do_not_start_one_does() -> None:
    off = connection("type=ethernet\ninterface-name=eth0\nautoconnect=false")
    files = {f"{KEYFILES}/a": off, f"{KEYFILES}/b": off.replace("auto", "autoconnect-priority=5\nauto", 1)}
    assert after(files, f"{KEYFILES}/a") == off
    assert "autoconnect=true" in after(files, f"{KEYFILES}/b")
    started = {**files, f"{KEYFILES}/c": ONE}
    assert plan(guest(started)).changes == ()


def test_several_connections_of_one_nic_all_become_dhcp() -> None:
    first = f"{ONE}[ipv4]\nmethod=manual\naddress1=10.0.0.5/24,10.0.0.1\n"
    second = first.replace("type=", "autoconnect-priority=9\ntype=")
    files = {f"{KEYFILES}/a": first, f"{KEYFILES}/b": second}
    for path, text in files.items():
        assert after(files, path) == text.replace("manual\naddress1=10.0.0.5/24,10.0.0.1", "auto")


def test_what_a_package_ships_is_shadowed_in_etc_for_root_alone() -> None:
    path = "/usr/lib/NetworkManager/system-connections/lan.nmconnection"
    own = f"{KEYFILES}/lan.nmconnection"
    (change,) = plan(guest({path: ONE.replace("eth0", "ens1")})).changes
    assert (change.path, change.after, change.mode) == (own, ONE.encode(), 0o600)
    assert plan(guest({path: ONE.replace("eth0", "ens1"), own: ONE})).changes == ()


def test_a_connection_with_802_1x_is_warned_of() -> None:
    notes = plan(guest({FILE: f"{ONE}[802-1x]\neap=tls;\n"})).notes
    assert [note.rule for note in notes if "802.1X" in note.text] == ["M-08"]


CONF = "/etc/NetworkManager/conf.d/lab.conf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unmanaged-devices=interface-name:ens2", "unmanaged-devices=interface-name:ens2"),
        (
            "unmanaged-devices=interface-name:eth*;interface-name:tap*",
            "unmanaged-devices=interface-name:eth*;interface-name:tap*;except:interface-name:eth0",
        ),
        (
            "unmanaged-devices=*,except:interface-name:ens1",
            "unmanaged-devices=*,except:interface-name:eth0",
        ),
        (
            "unmanaged-devices=*;except:mac:00:50:56:aa:bb:cc;",
            "unmanaged-devices=*;except:mac:00:50:56:aa:bb:cc;except:interface-name:eth0",
        ),
        ("unmanaged-devices=*,except:type:wifi", "unmanaged-devices=*,except:type:wifi"),
        ("unmanaged-devices=*,except:type:ethernet", "unmanaged-devices=*,except:type:ethernet"),
    ],
)
def test_a_list_of_unmanaged_devices_does_not_catch_eth0(text: str, expected: str) -> None:
    lan = ONE.replace("eth0", "ens1") + "[ethernet]\nmac-address=00:50:56:AA:BB:CC\n"
    assert after({CONF: f"[keyfile]\n{text}\n", FILE: lan}) == f"[keyfile]\n{expected}\n"


def test_a_device_section_that_keeps_it_off_is_said_and_random_macs_go() -> None:
    text = "[device]\nmatch-device=interface-name:eth*\nmanaged=0\n"
    text += "[connection]\nethernet.cloned-mac-address=random\nwifi.cloned-mac-address=random\n"
    made = plan(guest({CONF: text, FILE: ONE}))
    (change,) = made.changes
    assert change.after == text.replace("ethernet.cloned-mac-address=random\n", "").encode()
    assert [note.rule for note in made.notes] == ["M-08"]


def test_a_packages_configuration_is_shadowed() -> None:
    shipped = {
        "/usr/lib/NetworkManager/conf.d/lab.conf": "[keyfile]\nunmanaged-devices=interface-name:eth*\n"
    }
    changes = {c.path: c.after for c in plan(guest({**shipped, FILE: ONE.replace("eth0", "ens1")})).changes}
    assert sorted(changes) == [CONF, FILE]
    assert (changes[CONF] or b"").endswith(b"interface-name:eth*;except:interface-name:eth0\n")
