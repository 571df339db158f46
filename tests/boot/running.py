"""The command as a user runs it, and what to ask of a guest that has booted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fixtures.report import BootReport, GuestReport, Outcome

HOME_NETWORK = "192.168.50."
"""Where every guest has a static address."""

EC2_ADDRESS = ("eth0", "172.31.16.15/20")
"""What the NVMe machine's DHCP server gives. It gives no route and no name server: QEMU's network is closed
to the outside (`restrict=on`)."""


def imgpatch(*arguments: str | Path) -> str:
    """Runs the command in a process of its own; what it printed."""
    argv = [sys.executable, "-m", "imgpatch", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def up(report: BootReport) -> GuestReport:
    """What a guest that came up says of itself."""
    assert report.outcome is Outcome.MULTI_USER, str(report)
    assert report.guest is not None
    return report.guest


def is_at_home(guest: GuestReport, interface: str) -> bool:
    """Whether it has its own address and no other, on the card that its files name."""
    (name, address), *others = guest.addresses or (("", ""),)
    return name == interface and address.startswith(HOME_NETWORK) and not others
