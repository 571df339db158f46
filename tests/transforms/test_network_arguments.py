"""`ip=` and its kin, on the kernel command line and in what an initramfs is made with."""

from __future__ import annotations

import pytest

from imgpatch.storage import Storage
from imgpatch.transforms.kernel_arguments import Arguments
from imgpatch.transforms.network_arguments import NetworkArguments
from tests.networks import INTERFACES, after, context, guest, plan

LAN = (
    "auto ens1 ens2\niface ens1 inet static\n address 10.0.0.5/24\n gateway 10.0.0.1\niface ens2 inet dhcp\n"
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ip=10.0.0.5::10.0.0.1:255.255.255.0:filer:ens1:none", "ip=dhcp"),
        ("ip=10.0.0.5::10.0.0.1:24::ens1:off:10.0.0.2", "ip=dhcp"),
        ("ip=10.0.0.5", "ip=dhcp"),
        ("ip=[2001:db8::5]::[2001:db8::1]:64:filer:ens1:none", "ip=dhcp"),
        ("ip=10.1.0.5::10.1.0.1:255.255.255.0:filer:ens2:none", None),
        ("ip=::::filer:ens1:dhcp", "ip=::::filer:eth0:dhcp"),
        ("ip=ens1:dhcp", "ip=eth0:dhcp"),
        ("ip=ens1:dhcp:1500:00:50:56:aa:bb:cc", "ip=eth0:dhcp:1500"),
        ("ip=ens2:dhcp", None),
        ("ip=dhcp", "ip=dhcp"),
        ("ip=off", "ip=off"),
        ("ip=dhcp,dhcp6", "ip=dhcp,dhcp6"),
        ("ip=", "ip="),
        ("ip=:::::", "ip=:::::"),
        ("ip=[", "ip=["),
        ("ifname=lan0:00:50:56:aa:bb:cc", None),
        ("BOOTIF=01-00-50-56-aa-bb-cc", None),
        ("nameserver=10.0.0.2", None),
        ("nameserver=8.8.8.8", "nameserver=8.8.8.8"),
        ("rd.route=10.9.0.0/16:10.0.0.9", None),
        ("vlan=ens1.7:ens1", "vlan=eth0.7:eth0"),
        ("bond=bond0:ens1,ens2:mode=1", "bond=bond0:eth0,eth1:mode=1"),
        ("bridge=br0:ens1", "bridge=br0:eth0"),
        ("console=ttyS0", "console=ttyS0"),
    ],
)
def test_one_argument(word: str, expected: str | None) -> None:
    name, _, value = word.partition("=")
    changed = NetworkArguments.of(context(guest({INTERFACES: LAN}))).word(name, value)
    assert (word if changed is None else changed[0]) == expected


def test_with_names_kept_hardware_stays() -> None:
    arguments = NetworkArguments.of(context(guest({INTERFACES: LAN}), "keep"))
    assert arguments.word("ifname", "lan0:00:50:56:aa:bb:cc") is None
    assert arguments.word("ip", "ens1:dhcp") is None


CONF = "/etc/initramfs-tools/initramfs.conf"
IP = "MODULES=most\nDEVICE=ens1\nIP=10.0.0.5::10.0.0.1:255.255.255.0::ens1:off # static\n"


def test_initramfs_tools_asks_by_dhcp() -> None:
    assert after({CONF: IP, INTERFACES: LAN}, CONF) == "MODULES=most\nDEVICE=eth0\nIP=dhcp # static\n"
    notes = plan(guest({CONF: IP, INTERFACES: LAN})).notes
    assert [note.rule for note in notes if note.text.startswith(CONF)] == ["M-06"]


def test_dracut_is_handed_dhcp() -> None:
    path = "/etc/dracut.conf.d/net.conf"
    text = 'kernel_cmdline+=" rd.neednet=1 ip=10.0.0.5::10.0.0.1:24::ens1:none nameserver=10.0.0.2 "\n'
    assert after({path: text, INTERFACES: LAN}, path) == 'kernel_cmdline+=" rd.neednet=1 ip=dhcp "\n'


def test_a_kernel_line_keeps_the_rest() -> None:
    arguments = Arguments(Storage(), (), "", NetworkArguments.of(context(guest({INTERFACES: LAN}))))
    line = "ro rd.neednet=1 ip=10.0.0.5::10.0.0.1:24::ens1:none  ifname=lan0:00:50:56:aa:bb:cc quiet"
    assert arguments.line(line, initrd=True) == "ro rd.neednet=1 ip=dhcp quiet"
    assert [reason.rule for reason in arguments.take_reasons()] == ["M-06", "R-66"]
