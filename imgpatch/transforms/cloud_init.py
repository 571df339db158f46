"""cloud-init's own network configuration becomes DHCP, on EC2's NIC (M-06, M-07, M-08).

On EC2 the instance is new to cloud-init, and what it is handed here replaces what the guest's files say.
Version 2 is netplan's; version 1 is a list of things with a type, each with its subnets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from imgpatch.errors import FormatError
from imgpatch.formats.netplan import Document, Path, Value
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection, cloud_init
from imgpatch.inspection.network import Network, Place
from imgpatch.inspection.network import alone as network_alone
from imgpatch.inspection.stacks import netplan as netplan_stack
from imgpatch.inspection.stacks import plain_mac
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms import netplan
from imgpatch.transforms.nic_names import Names, new_names

_OF_ADDRESS = (
    "address",
    "netmask",
    "gateway",
    "broadcast",
    "pointopoint",
    "scope",
    "dns_nameservers",
    "routes",
)
_OF_ROUTES = ("gateway", "routes")
_NAMES = ("name", "vlan_link", "interface", *cloud_init.PORTS)
_PRIMARY_PORT = ("bond-primary", "primary")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    for path in context.inspection.network.cloud_init:
        document = cloud_init.read(guest, path)
        if document is None:
            continue
        said = [*netplan_stack.said({path: document}), *cloud_init.interfaces(path, document)]
        network = network_alone(context.inspection.network, said)
        alone = replace(context, inspection=replace(context.inspection, network=network))
        one = _version_1 if cloud_init.is_version_1(document) else _version_2
        try:
            for item in one(path, document, alone):
                if isinstance(item, Note):
                    yield item
                    continue
                after, reasons = item
                text = cloud_init.unwrapped(after, guest.text(path) or "")
                yield Edit(path, text.encode("utf-8", "surrogateescape"), reasons)
        except FormatError as error:
            yield Note(NoteKind.WARNING, "M-06", f"{path}: {error}; the file is left as it is")
    for path in cloud_init.unreadable(guest):
        text = f"{path}: a network configuration in YAML that cannot be edited; the file is left as it is"
        yield Note(NoteKind.WARNING, "M-06", text)
    yield from _outlook(guest, context.inspection.network)


_Rewritten = tuple[Document, tuple[Reason, ...]]


def _version_2(path: str, document: Document, context: Context) -> Iterator[_Rewritten | Note]:
    for item in netplan.rewritten({path: document}, context):
        yield item if isinstance(item, Note) else item[1:]


def _outlook(guest: Guest, network: Network) -> Iterator[Note]:
    """What cloud-init will do by itself at the first boot on EC2."""
    if cloud_init.is_disabled(guest):
        return
    sources = cloud_init.datasources(guest)
    if sources is not None and cloud_init.EC2 not in sources:
        text = (
            f"cloud-init's datasource_list is {', '.join(sources) or 'empty'}: without Ec2 it takes neither"
        )
        yield Note(NoteKind.WARNING, OWN_RULE, f"{text} the key pair nor the user data of the instance")
        return
    written = cloud_init.generated(guest)
    if written and not network.cloud_init and not cloud_init.is_network_disabled(guest):
        text = "cloud-init will write them anew at the first boot on EC2, by what EC2 tells it"
        yield Note(NoteKind.DECISION, "M-06", f"{', '.join(written)}: {text}")


@dataclass(slots=True)
class _State:
    """One file of version 1."""

    network: Network
    names: Names
    reasons: list[Reason] = field(default_factory=list)
    unwanted: list[Path] = field(default_factory=list)
    """Items of lists that go, in the order of the file."""

    def say(self, rule: str, path: Path, text: str) -> None:
        self.reasons.append(Reason(rule, f"{'.'.join(map(str, path[1:]))}: {text}"))


def _version_1(path: str, document: Document, context: Context) -> Iterator[_Rewritten | Note]:
    state = _State(context.inspection.network, new_names(context))
    before = document.text
    static = any(i.static for i in cloud_init.interfaces(path, document))
    for index, item in cloud_init.items(document).items():
        here: Path = (*cloud_init.ITEMS, index)
        if item.get("type") in {"nameserver", "route"}:
            if static or item.get("type") == "route":
                state.say("M-07", here, f"the {item['type']} is of the old network")
                state.unwanted.append(here)
            continue
        place = state.network.places.get(str(item.get("name")))
        if place is not None:
            document = _item(document, here, item, place, state)
        document = _named(document, here, item, state)
    for unwanted in reversed(state.unwanted):
        document = document.remove_item(unwanted)
    if document.text != before:
        yield document, tuple(state.reasons)


def _item(document: Document, path: Path, item: Mapping[str, Value], place: Place, state: _State) -> Document:
    virtual = item.get("type") != "physical"
    if "mac_address" in item and (virtual or state.names.settled) and plain_mac(str(item["mac_address"])):
        why = "EC2 lets only its own NIC's through" if virtual else "EC2's NIC does not have it"
        state.say(OWN_RULE if virtual else "R-66", (*path, "mac_address"), why)
        document = document.remove((*path, "mac_address"))
    subnets = item.get("subnets")
    if not isinstance(subnets, list) or not subnets:
        if place.primary and place.dhcp:
            state.say("M-08", path, "addressed by DHCP")
            if "subnets" in item:
                document = document.remove((*path, "subnets"))
            document = document.fill((*path, "subnets"), "[{type: dhcp4}]")
        return document
    return _subnets(document, (*path, "subnets"), place, state)


def _subnets(document: Document, path: Path, place: Place, state: _State) -> Document:
    listed = document.at(path)
    types = {
        i: s.get("type")
        for i, s in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(s, dict)
    }
    static = [i for i, kind in types.items() if kind in cloud_init.STATIC]
    addressed = any(kind in cloud_init.DHCP for kind in types.values())
    wanted = place.dhcp and not addressed and (bool(static) or place.primary)
    first = (static or list(types))[:1] if wanted else []
    if not first and len(static) == len(types):
        first = static[:1]  # a list may not be left empty
    for index in types:
        here = (*path, index)
        if index in first:
            new = "dhcp4" if wanted else "manual"
            state.say("M-06" if wanted else "M-07", here, f"its type was {types[index]}, wanted {new}")
            document = document.set_scalar((*here, "type"), new)
        elif index in static:
            state.say("M-07", here, "one more static address")
            state.unwanted.append(here)
            continue
        gone = _OF_ADDRESS if index in first else _OF_ROUTES
        for key in gone:
            if key in document.mapping(here):
                state.say("M-07", (*here, key), "goes with the old network")
                document = document.remove((*here, key))
    return document


def _named(document: Document, path: Path, item: Mapping[str, Value], state: _State) -> Document:
    places: list[Path] = [(*path, key) for key in _NAMES]
    places += [(*path, key, i) for key in cloud_init.PORTS for i in range(len(_ports(item.get(key))))]
    places += [(*path, "params", key) for key in _PRIMARY_PORT]
    for place in places:
        value = document.at(place)
        new = state.names.word(value) if isinstance(value, str) else value
        if isinstance(new, str) and new != value:
            state.say("R-66", place, f"{value} will have the name {new}")
            document = document.set_scalar(place, new)
    return document


def _ports(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []
