"""The laws that hold on every real network file, as it stands and spoiled, and what its reader says after."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.guest import Guest
from imgpatch.plan import Transform, make_plan, planned
from tests.networks import INTERFACES, KEYFILES, MODULES, context, corpus, guest, mutations, plan

PLACES = {
    "interfaces": INTERFACES,
    "networkd": "/etc/systemd/network/10-x.network",
    "netplan": "/etc/netplan/50-x.yaml",
    "nmconnection": f"{KEYFILES}/x.nmconnection",
}
CASES = [(place, file) for category, place in PLACES.items() for file in corpus(category)]
pytestmark = pytest.mark.skipif(not CASES, reason="the corpora are not here")


def place_of(place: str, file: Path) -> str:
    return place.replace(".network", ".netdev") if file.suffix == ".netdev" else place


def changed(place: str, file: Path) -> tuple[str, str]:
    data = file.read_bytes()
    machine = guest({place: data})
    changes = {change.path: change.after for change in plan(machine).changes}
    after = changes.get(place, data) or b""
    return data.decode("utf-8", "surrogateescape"), after.decode("utf-8", "surrogateescape")


def test_none_crashes_and_a_second_plan_is_empty() -> None:
    for place, file in CASES:
        data = file.read_bytes()
        for spoiled in (data, *mutations(data, file.name, cuts=1)[1::3]):
            plan(guest({place_of(place, file): spoiled}))


PIECES = [
    "iface",
    "eth0",
    "ens1",
    "ens1.7",
    "inet",
    "static",
    "manual",
    "auto",
    "address",
    "1.2.3.4/24",
    "[Match]",
]
PIECES += [
    "[Network]",
    "Name=ens1",
    "Address=1.2.3.4/24",
    "[connection]",
    "interface-name=ens1",
    "[ipv4]",
    "gateway",
]
PIECES += [
    "method=manual",
    "mapping",
    "map",
    "=",
    ":",
    "#",
    " ",
    " ",
    "\n",
    "\n",
    "\\\n",
    "bridge_ports",
    "en*",
    "Bridge=br0",
]


OTHER_PLACES = [
    "/etc/dhcpcd.conf",
    "/etc/dhcp/dhclient.conf",
    "/etc/NetworkManager/NetworkManager.conf",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/cloud/cloud.cfg.d/50.cfg",
    "/etc/resolv.conf",
    "/etc/systemd/network/10-x.link",
]
OTHER_PIECES = [
    *("interface", "static", "ip_address=", "routers=", "allowinterfaces", "denyinterfaces", "supersede"),
    *(
        "domain-name-servers",
        "{",
        "}",
        ";",
        '"ens1"',
        "[keyfile]",
        "unmanaged-devices=",
        "interface-name:ens*",
    ),
    *("except:", "*", "IP=", "DEVICE=", ":", "[", "]", "'", '"', "network:", "  version: 1", "  config:"),
    *("  - type: physical", "    name: ens1", "    subnets: [{type: static}]", "nameserver", "10.0.0.2"),
    *("[Link]", "Name=lan0", "MACAddress=00:50:56:aa:bb:cc", "MACAddressPolicy=random", "ens1", "eth0", "#"),
    *(" ", " ", " ", "\n", "\n", "\n", "\r\n"),
]


@settings(max_examples=250, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(OTHER_PIECES), max_size=30).map("".join), st.sampled_from(OTHER_PLACES))
def test_any_text_of_the_smaller_files_is_planned_once(text: str, place: str) -> None:
    lan = {
        INTERFACES: "auto ens1\niface ens1 inet dhcp\n",
        "/usr/sbin/NetworkManager": "",
        "/sbin/dhcpcd": "",
    }
    plan(guest({**lan, place: text}))


@settings(max_examples=250, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.sampled_from(list(PLACES.values())))
def test_any_text_is_planned(text: str, place: str) -> None:
    machine = guest({place: text})
    make_plan(machine, cast("Sequence[Transform]", MODULES), context(machine))


def test_comments_of_their_own_line_all_stay() -> None:
    for place, file in CASES:
        before, after = changed(place_of(place, file), file)
        for mark in re.findall(r"^[ \t]*#.*$", before, re.MULTILINE):
            assert mark in after, file


def test_no_static_address_of_a_nic_is_left_in_interfaces() -> None:
    for file in corpus("interfaces"):
        before, after = changed(INTERFACES, file)
        left = re.findall(r"^\s*iface (?:eth|en)\w*[:\w]* inet6? static", after, re.MULTILINE)
        assert not left, (file, before)


@pytest.mark.skipif(not shutil.which("ifquery"), reason="ifupdown is not installed")
def test_ifupdown_reads_the_result_where_it_read_the_original(tmp_path: Path) -> None:
    def answer(text: str) -> tuple[int, str]:
        path = tmp_path / "interfaces"
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        command = ["ifquery", "-i", str(path), "--state-dir", str(tmp_path), "--list", "-a"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    for file in corpus("interfaces"):
        before, after = changed(INTERFACES, file)
        if after != before and answer(before) == (0, ""):
            assert answer(after) == (0, ""), file


GENERATOR = Path("/usr/lib/netplan/generate")  # the program itself: its wrapper takes ten times as long
GENERATE = [str(GENERATOR)] if GENERATOR.exists() else ["netplan", "generate"]


def generate(machine: Guest, path: str, root: Path) -> str | None:
    """What netplan has to complain of; None where it is content."""
    target = root / path.removeprefix("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(machine.read(path) or b"")
    target.chmod(0o600)
    command = [*GENERATE, "--root-dir", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None


@pytest.mark.skipif(not shutil.which("netplan"), reason="netplan is not installed")
def test_netplan_generates_from_the_result_where_it_did_from_the_original(tmp_path: Path) -> None:
    judged = 0
    for number, file in enumerate(corpus("netplan")):
        path = PLACES["netplan"]
        machine = guest({path: file.read_bytes()})
        changes = plan(machine).changes
        after = planned(machine, {change.path: change.after for change in changes})
        if not changes:
            continue
        refused = generate(after, path, tmp_path / f"{number}-after")
        if refused is not None:
            assert generate(machine, path, tmp_path / f"{number}-before") is not None, (file, refused)
        judged += refused is None
    assert judged > 40


@pytest.mark.skipif(not shutil.which("nmcli"), reason="NetworkManager is not installed")
def test_networkmanager_reads_the_result_where_it_read_the_original() -> None:
    def answer(text: str) -> int:
        command = ["nmcli", "--offline", "connection", "modify", "connection.id", "x"]
        data = text.encode("utf-8", "surrogateescape")
        return subprocess.run(command, input=data, capture_output=True, check=False).returncode

    judged = 0
    for file in corpus("nmconnection"):
        before, after = changed(PLACES["nmconnection"], file)
        if before != after and answer(before) == 0:
            assert answer(after) == 0, file
            judged += 1
    assert judged > 20
