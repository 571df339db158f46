"""A bridge or bond on EC2's NIC sends with that NIC's MAC address, the only one EC2 lets through.

Since systemd 242 udev gives every virtual interface an address of its own (MACAddressPolicy=persistent in
99-default.link), and so does systemd-networkd; systemd.link(5), systemd.netdev(5). The documents are silent.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.stacks import is_pattern, netplan, networkd
from imgpatch.plan import OWN_RULE, Context, Edit, Note, Reason

_LINK = "[Match]\nOriginalName={name}\n\n[Link]\nMACAddressPolicy=none\n"
_NETDEV = "[NetDev]\nMACAddress=none\n"
_DEFAULT_LINKS = ("/usr/lib/systemd/network/99-default.link", "/lib/systemd/network/99-default.link")


def applies(inspection: Inspection) -> bool:
    return any(_masters(inspection.network))


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    if not any(guest.exists(path) for path in _DEFAULT_LINKS):
        return
    network = context.inspection.network
    for name in _masters(network):
        why = Reason(OWN_RULE, f"{name} must have the MAC address of the NIC below it, not a generated one")
        link = f"{networkd.FOLDER}/10-imgpatch-{name}.link"
        if guest.read(link) is None:
            yield Edit(link, _LINK.format(name=name).encode(), (why,))
        dropin = f"{networkd.FOLDER}/10-netplan-{name}.netdev.d/imgpatch.conf"
        if netplan.STACK in network.stacks and guest.read(dropin) is None:
            yield Edit(dropin, _NETDEV.encode(), (why,))


def _masters(network: Network) -> list[str]:
    """The bridges and bonds that take the address on the primary NIC."""
    nics = {nic.name for nic in network.nics} | {nic.mac for nic in network.nics}
    return [
        name
        for name, place in network.places.items()
        if place.primary and place.dhcp and name not in nics and not is_pattern(name) and "/" not in name
    ]
