"""A kept original is never read as configuration: the real readers of network folders are asked.

ifupdown and netplan are run; systemd takes files by suffix and NetworkManager by the rule written down in
nm_keyfile_utils_ignore_filename, which the inspection mirrors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.pins import find_pins
from imgpatch.inspection.stacks import ifupdown, netplan, networkd, networkmanager
from imgpatch.originals import kept_name
from imgpatch.plan import Choices
from imgpatch.storage import Storage

SUFFIX = Choices().original_suffix
STATIC = "auto old0\niface old0 inet static\n address 192.0.2.1/24\n"


def keep(root: Path, path: str, text: str) -> Path:
    """Writes a kept original into a root folder."""
    kept = root / kept_name(path, SUFFIX).removeprefix("/")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, encoding="utf-8")
    kept.chmod(0o600)
    return kept


@pytest.mark.skipif(not shutil.which("ifquery"), reason="ifupdown is not installed")
@pytest.mark.parametrize("source", ["source {}/*", "source-directory {}"])
@pytest.mark.parametrize("name", ["eth0", "50-cloud-init.cfg", "setup"])
def test_ifupdown(tmp_path: Path, source: str, name: str) -> None:
    folder = tmp_path / "etc/network/interfaces.d"
    keep(tmp_path, f"/etc/network/interfaces.d/{name}", STATIC)
    (folder / "new0").write_text("auto new0\niface new0 inet dhcp\n", encoding="utf-8")
    main = tmp_path / "etc/network/interfaces"
    main.write_text(source.format(folder) + "\n", encoding="utf-8")
    keep(tmp_path, "/etc/network/interfaces", STATIC)
    command = ["ifquery", "-i", str(main), "--state-dir", str(tmp_path), "--list", "-a"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) == {"lo", "new0"}


@pytest.mark.skipif(not shutil.which("ifquery"), reason="ifupdown is not installed")
def test_ifupdown_would_read_a_name_without_the_dot(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / f"eth0{SUFFIX}").write_text(STATIC, encoding="utf-8")
    (tmp_path / "i").write_text(f"source {tmp_path}/d/*\n", encoding="utf-8")
    command = ["ifquery", "-i", str(tmp_path / "i"), "--state-dir", str(tmp_path), "--list", "-a"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "old0" in answer.stdout


@pytest.mark.skipif(not shutil.which("netplan"), reason="netplan is not installed")
def test_netplan(tmp_path: Path) -> None:
    keep(tmp_path, "/etc/netplan/01-netcfg.yaml", "network: {ethernets: {old0: {dhcp4: true}}}\n")
    new = tmp_path / "etc/netplan/01-netcfg.yaml"
    new.write_text("network: {version: 2, ethernets: {new0: {dhcp4: true}}}\n", encoding="utf-8")
    new.chmod(0o600)
    subprocess.run(["netplan", "generate", "--root-dir", str(tmp_path)], check=True, capture_output=True)
    made = os.listdir(tmp_path / "run/systemd/network")
    assert made == ["10-netplan-new0.network"]


PATHS = (
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/eth0",
    "/etc/netplan/01-netcfg.yaml",
    "/etc/systemd/network/10-eth0.network",
    "/etc/systemd/network/10-eth0.network.d/dns.conf",
    "/etc/systemd/network/10-br0.netdev",
    "/etc/systemd/network/10-eth0.link",
    "/etc/NetworkManager/system-connections/eth0.nmconnection",
    "/etc/NetworkManager/system-connections/eth0",
    "/etc/udev/rules.d/70-persistent-net.rules",
)


def test_the_inspection_reads_no_original_either() -> None:
    files = {kept_name(path, SUFFIX): STATIC.encode() for path in PATHS}
    source = b"source /etc/network/interfaces.d/*\nsource-directory /etc/network/interfaces.d\n"
    files["/etc/network/interfaces"] = source
    files["/etc/systemd/network/10-eth0.network"] = b"[Match]\nName=eth0\n"
    guest = Guest(MemoryTree(files), Storage())
    assert ifupdown.files(guest) == ("/etc/network/interfaces",)
    assert networkmanager.files(guest) == ()
    assert netplan.files(guest) == ()
    assert networkd.netdevs(guest) == ()
    assert networkd.dropins(guest, "/etc/systemd/network/10-eth0.network") == ()
    assert find_pins(guest) == ()


@pytest.mark.parametrize("path", PATHS)
def test_the_name_is_outside_every_rule_by_suffix(path: str) -> None:
    """By suffix (systemd, udev): *.network, *.netdev, *.link, *.conf, *.rules; by dot: NetworkManager."""
    name = os.path.basename(kept_name(path, SUFFIX))
    assert not name.endswith((".network", ".netdev", ".link", ".conf", ".rules", ".yaml", ".nmconnection"))
    assert name.startswith(".") or path == "/etc/network/interfaces"


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        (".eth0.nmconnection.imgpatch.orig", True),
        ("eth0.nmconnection.imgpatch.orig", False),
        ("eth0.nmconnection.bak", False),
        ("eth0~", True),
        ("eth0.aB3dE6", True),
        ("ca.pem", True),
        ("eth0", False),
    ],
)
def test_what_networkmanager_passes_over(name: str, ignored: bool) -> None:
    assert networkmanager.is_ignored(name) is ignored
