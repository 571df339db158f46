"""Predictable names of network interfaces, which are not supported (documents R-66)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.transforms.nic_names import ARGUMENTS

_PREDICTABLE = re.compile(r"en(?:[spo]\d|x[0-9a-f])[\w.]*|em\d+|p\d+p\d+")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if not machine.edition.has("R-66"):
        return
    for nic in machine.inspection.network.nics[:1]:
        if nic.name is not None and _PREDICTABLE.fullmatch(nic.name):
            yield Finding(
                "R-66",
                Severity.MAY_NOT_BOOT,
                f"configures {nic.name} by a predictable name: EC2's network interface has another one, and "
                "would stay without an address",
                f"imgpatch apply calls it eth0 ({ARGUMENTS[0]}) and asks for DHCP",
                path=nic.sources[0] if nic.sources else None,
                transform="nic_names",
            )
