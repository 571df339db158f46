"""Name servers of the old network in /etc/resolv.conf give way where no DHCP client rewrites the file (M-07).

dhclient, dhcpcd and udhcpc write it with the lease, and so does NetworkManager unless it is told not to;
systemd-networkd never does. The documents are silent: 169.254.169.253 is the Amazon DNS server of every VPC.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator

from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.stacks import dhcpcd, ifcfg, ifupdown, netplan, networkmanager, unit_enabled, wicked
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason

PATH = "/etc/resolv.conf"
AMAZON_DNS = "169.254.169.253"
_MADE_AT_BOOT = ("/run/", "/var/run/", "/dev/")


def _resolved_starts(guest: Guest) -> bool:
    return unit_enabled(guest, "systemd-resolved.service")


def _resolvconf_is_there(guest: Guest) -> bool:
    return guest.exists("/sbin/resolvconf") or guest.exists("/usr/sbin/resolvconf")


_MAKERS: tuple[tuple[str, str, Callable[[Guest], bool]], ...] = (
    ("/systemd/resolve/", "systemd-resolved", _resolved_starts),
    ("/resolvconf/", "resolvconf", _resolvconf_is_there),
)


def applies(inspection: Inspection) -> bool:
    return bool(inspection.network.stacks)


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    link = guest.stat(PATH, follow=False)
    stat = guest.stat(PATH)
    real = guest.resolve(PATH)
    if link is not None and link.kind is Kind.LINK and real.startswith(_MADE_AT_BOOT):
        yield from _maker(guest, real)
        return
    if stat is None and link is not None:
        yield Note(
            NoteKind.WARNING, OWN_RULE, f"{PATH}: a link to {real}, which is not there; no name is resolved"
        )
    if stat is None or stat.kind is not Kind.FILE or is_rewritten(guest, context.inspection.network):
        return
    lines = (guest.text(PATH) or "").split("\n")
    servers = {
        i: words[1]
        for i, line in enumerate(lines)
        if (words := line.split())[:1] == ["nameserver"] and words[1:]
    }
    if not servers or not all(is_lost(server) for server in servers.values()):
        return
    for index in servers:
        lines[index] = f"# {lines[index]}"
    first = min(servers)
    end = "\r" if lines[first].endswith("\r") else ""
    lines.insert(first, f"nameserver {AMAZON_DNS}{end}")
    found = f"{', '.join(servers.values())} cannot be reached from EC2 and nothing rewrites this file"
    reason = Reason(OWN_RULE, f"{found}; {AMAZON_DNS} answers in every VPC")
    yield Edit(real, "\n".join(lines).encode("utf-8", "surrogateescape"), (reason,))


def _maker(guest: Guest, real: str) -> Iterator[Note]:
    """What makes the file that the link leads to must start at boot."""
    for part, name, is_there in _MAKERS:
        if part in real and not is_there(guest):
            text = f"{PATH}: a link to {real}, which {name} would make, and that does not start at boot"
            yield Note(NoteKind.WARNING, OWN_RULE, f"{text}; no name is resolved")


def is_rewritten(guest: Guest, network: Network) -> bool:
    """Whether what brings the primary NIC up writes the name servers it is given into the file."""
    sources = network.nics[0].sources if network.nics else ()
    if any(path in ifupdown.files(guest) or path == dhcpcd.PATH for path in sources):
        return True
    if dhcpcd.STACK in network.stacks and not sources:
        return True
    if any(path in ifcfg.files(guest) for path in sources):
        return ifcfg.takes_name_servers(guest) and not (ifcfg.by_manager(guest) and _keeps_out(guest))
    if any(path in wicked.files(guest) for path in sources):
        return wicked.netconfig_writes(guest, guest.text(PATH) or "")
    link = guest.stat(PATH, follow=False)
    if link is not None and link.kind is Kind.LINK and not guest.resolve(PATH).startswith(_MADE_AT_BOOT):
        return False  # NetworkManager leaves a link to elsewhere alone
    manager = networkmanager.STACK in network.stacks and (
        not sources or any(s in networkmanager.files(guest) for s in sources) or _renderer(guest)
    )
    return manager and not _keeps_out(guest)


def _renderer(guest: Guest) -> bool:
    """Whether netplan hands its interfaces to NetworkManager."""
    documents = (netplan.read(guest, path) for path in netplan.files(guest))
    return any(d is not None and d.at(("network", "renderer")) == "NetworkManager" for d in documents)


def _keeps_out(guest: Guest) -> bool:
    """NetworkManager.conf(5): dns=none and rc-manager=unmanaged leave the file alone."""
    found = {}
    for lines in networkmanager.configuration(guest).values():
        found.update({line.key: line.value for line in lines if line.section == "main" and line.key})
    return found.get("dns") == "none" or found.get("rc-manager") == "unmanaged"


def is_lost(server: str) -> bool:
    """An address of a private network that is not the machine's own."""
    try:
        address = ipaddress.ip_address(server.split("%")[0])
    except ValueError:
        return False
    return address.is_private and not address.is_loopback and not address.is_link_local
