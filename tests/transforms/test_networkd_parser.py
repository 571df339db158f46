"""systemd-networkd itself reads every result without a complaint that it did not have of the original.

It runs in namespaces of its own, with a TAP device for a NIC; nothing outside sees it or is changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgpatch.guest import Guest
from imgpatch.plan import planned
from tests.networks import corpus, guest, plan

NETWORKD = Path("/usr/lib/systemd/systemd-networkd")
FOLDER = "/etc/systemd/network"
SCRIPT = """\
mount --bind "$1" /etc/systemd/network && mkdir -p /run/systemd/netif &&
mount -t tmpfs none /run/systemd/netif && mkdir /run/systemd/netif/links /run/systemd/netif/leases &&
chmod -R 777 /run/systemd/netif && ip tuntap add eth0 mode tap &&
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console exec timeout "$2" "$3"
"""
COMPLAINT = re.compile(r"^/etc/systemd/network/([^:]+)(?::\d+)?: (.*)$", re.MULTILINE)
pytestmark = [
    pytest.mark.skipif(not corpus("networkd"), reason="the corpora are not here"),
    pytest.mark.skipif(not NETWORKD.exists() or not shutil.which("unshare"), reason="no systemd-networkd"),
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root here"),
]


def complaints(folder: Path) -> dict[str, set[str]]:
    """What networkd says of each file it passes over or takes a line of amiss."""
    command = ["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sh", str(folder), "6", str(NETWORKD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = done.stdout + done.stderr
    if "Enumeration completed" not in said:
        pytest.skip(f"systemd-networkd does not run in a namespace here: {said[-200:]}")
    found: dict[str, set[str]] = {}
    for name, text in COMPLAINT.findall(said):
        found.setdefault(name, set()).add(text)
    return found


def write(machine: Guest, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    for name in machine.listdir(FOLDER):
        (folder / name).write_bytes(machine.read(f"{FOLDER}/{name}") or b"")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that networkd can read after it has given up root; those of pytest are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_networkd_has_no_complaint_of_its_own_about_a_result(open_folder: Path) -> None:
    files: dict[str, bytes] = {}
    afterwards: dict[str, bytes | None] = {}
    for number, file in enumerate(corpus("networkd")):
        path = f"{FOLDER}/{number:03}{file.suffix}"
        files[path] = file.read_bytes()
        changes = plan(guest({path: files[path]})).changes
        afterwards.update({change.path: change.after for change in changes if change.path == path})
    machine = guest(files)
    write(machine, open_folder / "before")
    write(planned(machine, afterwards), open_folder / "after")
    before, after = complaints(open_folder / "before"), complaints(open_folder / "after")
    assert len(afterwards) > 30
    assert sum(name.endswith(".network") for name in files) > len(after)
    for name, said in after.items():
        assert said <= before.get(name, set()), (name, corpus("networkd")[int(name[:3])])
