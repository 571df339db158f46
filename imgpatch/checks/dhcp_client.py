"""A DHCP client is there and may start (A61; documents R-83)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.stacks import dhcpcd
from imgpatch.inspection.stacks.ifupdown import CLIENTS

BUILT_IN = {
    "systemd-networkd": "systemd-networkd.service",
    "netplan": "systemd-networkd.service",
    "NetworkManager": "NetworkManager.service",
    "wicked": "wicked.service",
    "dhcpcd": "dhcpcd.service",
}
"""The stacks that speak DHCP themselves, with their units; NetworkManager may be behind netplan too."""

PROGRAMS = (*CLIENTS, *dhcpcd.PROGRAMS, "/sbin/pump", "/usr/sbin/NetworkManager")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    stacks = machine.inspection.network.stacks
    units = {stack: BUILT_IN[stack] for stack in stacks if stack in BUILT_IN}
    masked = {stack for stack, unit in units.items() if is_masked(machine.guest, unit)}
    if not stacks:
        text = "nothing that configures the network was found; an address by DHCP was wanted"
        remedy = "have the guest ask for an address by DHCP on every network interface"
        yield Finding("R-83", Severity.UNKNOWN, text, remedy)
    elif units.keys() - masked:
        return
    elif masked:
        stack = min(masked)
        text = f"{units[stack]} is masked, and nothing else asks for an address by DHCP"
        remedy = f"in the guest: systemctl unmask {units[stack]}"
        path = f"/etc/systemd/system/{units[stack]}"
        yield Finding("R-83", Severity.MAY_NOT_BOOT, text, remedy, error="A61", path=path)
    elif not any(machine.guest.exists(path) for path in PROGRAMS):
        text = (
            f"{', '.join(stacks)} needs a DHCP client, and none of dhclient, dhcpcd and udhcpc is installed"
        )
        remedy = "install one in the guest (isc-dhcp-client, dhcp-client)"
        yield Finding("R-83", Severity.MAY_NOT_BOOT, text, remedy, error="A61")


def is_masked(guest: Guest, unit: str) -> bool:
    """Whether a unit may not be started: systemd.unit(5)."""
    stat = guest.stat(f"/etc/systemd/system/{unit}", follow=False)
    return stat is not None and stat.target == "/dev/null"
