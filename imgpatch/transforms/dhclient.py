"""dhclient.conf(5) must not put the old network's router and name servers over what EC2's DHCP says (M-07).

The documents speak of static addresses; a `supersede` is one by another name. What names an interface
follows the renames (R-66).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgpatch.formats import dhclient as fmt
from imgpatch.guest import Guest, Kind
from imgpatch.inspection import Inspection
from imgpatch.plan import Context, Edit, Reason
from imgpatch.transforms.nic_names import new_names
from imgpatch.transforms.resolv_conf import is_lost

PLACES = (
    "/etc/dhclient.conf",
    "/etc/dhclient-*.conf",
    "/etc/dhcp3/dhclient.conf",
    "/etc/dhcp/dhclient.conf",
    "/etc/dhcp/dhclient-*.conf",
)
_OF_ADDRESS = frozenset(
    {"routers", "subnet-mask", "broadcast-address", "static-routes", "rfc3442-classless-static-routes"}
)
_SERVERS = "domain-name-servers"


def applies(inspection: Inspection) -> bool:
    return bool(inspection.network.stacks)


def edits(guest: Guest, context: Context) -> Iterable[Edit]:
    names = new_names(context)
    for path in dict.fromkeys(path for place in PLACES for path in guest.glob(place)):
        stat = guest.stat(path)
        if stat is None or stat.kind is not Kind.FILE:
            continue
        text = guest.text(path) or ""
        changes: list[tuple[int, int, str]] = []
        reasons: list[Reason] = []
        for statement in fmt.parse(text):
            number = text.count("\n", 0, statement.start) + 1
            if _is_of_old_network(statement):
                changes += fmt.commented_out(text, statement)
                said = " ".join(word.text for word in statement.words)
                found = "would go over what DHCP says, and is of the old network; commented out"
                reasons.append(Reason("M-07", f"line {number}: {said} {found}"))
            elif statement.words[0].text == "interface" and len(statement.words) > 1:
                word = statement.words[1]
                new = f'"{names.word(word.text.strip(chr(34)))}"'
                if word.text.startswith('"') and new != word.text:
                    changes.append((word.start, word.end, new))
                    reasons.append(Reason("R-66", f"line {number}: {word.text} will have the name {new}"))
        if changes:
            after = fmt.edited(text, changes)
            yield Edit(path, after.encode("utf-8", "surrogateescape"), tuple(reasons))


def _is_of_old_network(statement: fmt.Statement) -> bool:
    words = [word.text for word in statement.words]
    if len(words) < 3 or any(block[:1] in {("lease",), ("alias",)} for block in statement.blocks):
        return False
    if words[1] == _SERVERS and words[0] in {"supersede", "prepend"}:
        return all(re.fullmatch(r"[0-9.]+", word) and is_lost(word) for word in words[2:])
    return words[0] == "supersede" and words[1] in _OF_ADDRESS
