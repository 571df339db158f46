"""Files of other programs that name a NIC by its old name are pointed out, not changed (R-66)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.inspection.stacks import ifupdown, netplan, networkd, networkmanager, wicked
from imgpatch.plan import Context, Edit, Note, NoteKind
from imgpatch.transforms.nic_names import new_names

PLACES = (
    "/etc/sysctl.conf",
    "/etc/sysctl.d/*",
    "/etc/default/*",
    "/etc/dhcp/*",
    "/etc/dnsmasq.conf",
    "/etc/dnsmasq.d/*",
    "/etc/firewalld/*.conf",
    "/etc/firewalld/zones/*",
    "/etc/frr/*",
    "/etc/hostapd/*",
    "/etc/iptables/*",
    "/etc/keepalived/*",
    "/etc/network/if-*.d/*",
    "/etc/NetworkManager/*.conf",
    "/etc/NetworkManager/conf.d/*",
    "/etc/NetworkManager/dispatcher.d/*",
    "/etc/nftables.conf",
    "/etc/nftables.d/*",
    "/etc/rc.local",
    "/etc/shorewall/*",
    "/etc/sysconfig/*",
    "/etc/sysconfig/network/if-*.d/*",
    "/etc/sysconfig/network/scripts/*",
    "/etc/ufw/*",
    "/etc/snmp/*",
)
"""Configuration of programs that commonly name a NIC: firewalls, DHCP and DNS servers, routing."""
_LARGEST = 1 << 20


def applies(inspection: Inspection) -> bool:
    return bool(inspection.network.renames)


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    names = new_names(context)
    own = {
        *ifupdown.files(guest),
        *networkd.files(guest),
        *netplan.files(guest),
        *networkmanager.files(guest),
        *wicked.files(guest),
    }
    for path in dict.fromkeys(path for place in PLACES for path in guest.glob(place)):
        stat = guest.stat(path)
        if path in own or stat is None or stat.kind is not Kind.FILE or stat.size > _LARGEST:
            continue
        lines = (guest.text(path) or "").split("\n")
        found = [
            number
            for number, line in enumerate(lines, 1)
            if not line.lstrip().startswith(("#", ";")) and names.inside(_spaced(line)) != _spaced(line)
        ]
        if found:
            where = ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
            text = f"{path}: line {where} names a network interface that will have another name"
            yield Note(NoteKind.WARNING, "R-66", f"{text}; look at {posixpath.basename(path)} yourself")


def _spaced(line: str) -> str:
    """Keys of sysctl have the name between dots: net.ipv4.conf.ens192.rp_filter."""
    key, equals, value = line.partition("=")
    return f"{key.replace('.', ' ')}{equals}{value}" if key.strip().startswith("net.") else line
