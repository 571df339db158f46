"""What becomes of the network in a kernel command line: `ip=` and its kin (dracut.cmdline(7), nfsroot.txt).

Not a transform, the rules of one. An initramfs that needs the network, and systemd-network-generator(8)
after it, take the machine's address from there before any file: a static one of the old network, a name
that is gone or a MAC address that EC2's NIC does not have leave the machine without a network (M-06, M-07).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from imgpatch.inspection.network import Network
from imgpatch.plan import Context, Reason
from imgpatch.transforms.nic_names import Names, new_names
from imgpatch.transforms.resolv_conf import is_lost

_DEVICE_LISTS = frozenset({"vlan", "bond", "bridge", "team", "bootdev", "ksdevice"})
_DEVICE = 5
"""Which field of `client:server:gateway:netmask:hostname:device:method` names the interface."""


@dataclass(frozen=True, slots=True)
class NetworkArguments:
    """Rewrites one argument at a time."""

    network: Network
    names: Names

    @classmethod
    def of(cls, context: Context) -> NetworkArguments:
        return cls(context.inspection.network, new_names(context))

    def word(self, name: str, value: str) -> tuple[str | None, Reason] | None:
        """The new argument (None: it goes) with the reason; None altogether where it stays as it is."""
        new = self._value(name, value)
        if new == value:
            return None
        word = f"{name}={value}"
        if new is None:
            rule = "R-66" if name in {"ifname", "BOOTIF"} else "M-07"
            return None, Reason(rule, f"{word} is of the old machine's network")
        rule = "M-06" if new == "dhcp" else "R-66"
        return f"{name}={new}", Reason(rule, f"{word} becomes {name}={new}")

    def _value(self, name: str, value: str) -> str | None:
        if name == "ip":
            return self.address(value)
        if name in {"ifname", "BOOTIF"}:
            return None if self.names.settled else value
        if name == "nameserver":
            return None if is_lost(value.strip("[]")) else value
        if name == "rd.route":
            return None
        if name in _DEVICE_LISTS:
            return re.sub(r"[^:,]+", lambda match: self.names.word(match.group()), value)
        return value

    def address(self, value: str) -> str | None:
        """The value of `ip=`; None for that of a NIC that EC2 does not have."""
        fields = re.findall(r"(?:^|(?<=:))(?:\[[^\]]*\]|[^:\[]*)", value)
        at = _DEVICE if len(fields) > _DEVICE and (not fields[0] or _is_address(fields[0])) else 0
        place = self.network.places.get(fields[at])
        if place is not None and not place.primary:
            return None
        if _is_address(fields[0]):
            return "dhcp"
        if at == 0 and len(fields) == 1:
            return value
        mac = 3  # `device:method:mtu:mac`, and the MAC address has colons of its own
        kept = fields[:mac] if at == 0 and self.names.settled and len(fields) > mac else fields
        return ":".join(self.names.word(part) if i == at else part for i, part in enumerate(kept))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
