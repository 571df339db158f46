"""Static addressing in netplan's files becomes DHCP, on EC2's NIC (M-06, M-07, M-08)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imgpatch.errors import FormatError
from imgpatch.formats.netplan import Document, Path, Value, parse
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network, Place, renamed
from imgpatch.inspection.stacks import is_pattern, netplan
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.networkmanager import ADDRESSING, NO_ADDRESS
from imgpatch.transforms.nic_names import Names, new_names
from imgpatch.transforms.resolv_conf import is_lost

_ON_NICS = ("ethernets", "bonds", "bridges", "vlans")
_ROUTES = ("routes", "routing-policy")
_OVERRIDES = ("dhcp4-overrides", "dhcp6-overrides")
_NOT_AT_BOOT = frozenset({"manual", "off"})
_NAME_KEYS = ("path-cost", "port-priority")


@dataclass(slots=True)
class _State:
    """One run over all files of netplan.

    Attributes:
        called: id of a definition -> the name of its interface, None where it is matched by hardware.
        ids: id -> new id, for those that are names of interfaces.
        static: ids that have a static address or gateway in some file.
        dhcp: ids of which some file says dhcp4: true, as it is or already made.
        optional: ids that some file calls optional.
        path: the file at hand.
    """

    network: Network
    names: Names
    called: Mapping[str, str | None]
    ids: Mapping[str, str]
    static: frozenset[str]
    dhcp: set[str]
    optional: set[str]
    path: str = ""
    reasons: list[Reason] = field(default_factory=list)

    def say(self, rule: str, path: Path, text: str) -> None:
        self.reasons.append(Reason(rule, f"{'.'.join(map(str, path[1:]))}: {text}"))


def applies(inspection: Inspection) -> bool:
    return netplan.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    documents: dict[str, Document] = {}
    for path in netplan.files(guest):
        try:
            documents[path] = parse(guest.text(path) or "")
        except FormatError as error:
            yield Note(NoteKind.WARNING, "M-06", f"{path}: {error}; the file is left as it is")
    yield from _warnings(documents, context.inspection.network)
    for item in rewritten(documents, context):
        yield item if isinstance(item, Note) else _edit(*item)


def _warnings(documents: Mapping[str, Document], network: Network) -> Iterator[Note]:
    called = netplan.names(documents)
    for path, document in documents.items():
        for (_, kind, key), definition in netplan.definitions(document):
            place = network.places.get(called.get(key, key) or key)
            if kind == "ethernets" and "auth" in definition and place is not None and place.primary:
                text = f"{path}: {key} asks for 802.1X, which EC2's network does not speak"
                yield Note(NoteKind.WARNING, "M-08", f"{text}; the interface may not come up")


def rewritten(
    documents: Mapping[str, Document], context: Context
) -> Iterator[tuple[str, Document, tuple[Reason, ...]] | Note]:
    """The files that change, as they are to be; cloud-init's version 2 is written in the same words."""
    state = _state(documents, context)
    for path, document in documents.items():
        state.path, state.reasons = path, []
        try:
            after = _document(document, state)
        except FormatError as error:
            yield Note(NoteKind.WARNING, "M-06", f"{path}: {error}; the file is left as it is")
            continue
        if after.text != document.text:
            yield path, after, tuple(state.reasons)


def _edit(path: str, after: Document, reasons: Sequence[Reason]) -> Edit:
    data = after.text.encode("utf-8", "surrogateescape")
    target = netplan.override(path) if path.startswith(netplan.VENDOR_FOLDERS) else path
    if target == path:
        return Edit(path, data, tuple(reasons))
    why = f"{path} belongs to a package and stays as it is; a file of its name in /etc takes its place"
    return Edit(target, data, (*reasons, Reason(OWN_RULE, why)), mode=0o600)  # netplan warns of other modes


def _state(documents: Mapping[str, Document], context: Context) -> _State:
    names = new_names(context)
    called = netplan.names(documents)
    every = [item for document in documents.values() for item in netplan.definitions(document)]
    ids = {path[-1]: _new_id(path[-1], path, names, called) for path, _ in every}
    return _State(
        context.inspection.network,
        names,
        called,
        {old: new for old, new in ids.items() if old != new},
        frozenset(path[-1] for path, value in every if netplan.is_static(value)),
        {path[-1] for path, value in every if netplan.is_true(value.get("dhcp4"))},
        {path[-1] for path, value in every if netplan.is_true(value.get("optional"))},
    )


def _new_id(key: str, path: Path, names: Names, called: Mapping[str, str | None]) -> str:
    """An id that is its interface's name follows it; any other id is only a label."""
    if path[1] == "ethernets" and called.get(key, key) != key:
        return key
    return names.word(key)


def _document(document: Document, state: _State) -> Document:
    for path, definition in netplan.definitions(document):
        place = _place(path[-1], definition, state)
        if place is not None and path[1] in _ON_NICS:
            document = _definition(document, path, place, state)
    document = _references(document, state)
    for path, _ in netplan.definitions(document):
        if (new := state.ids.get(path[-1])) is not None:
            state.say("R-66", path, f"will have the name {new}")
    for kind in netplan.ROLES:
        document = _with_keys(document, ("network", kind), state.ids)
    return document


def _with_keys(document: Document, path: Path, new: Mapping[str, str]) -> Document:
    """The keys of a mapping under their new names, by way of names nobody has: two may change places."""
    renamed_keys = [key for key in document.mapping(path) if key in new]
    for key in renamed_keys:
        document = document.rename((*path, key), f"imgpatch-{new[key]}")
    for key in renamed_keys:
        document = document.rename((*path, f"imgpatch-{new[key]}"), new[key])
    return document


def _place(key: str, definition: Mapping[str, Value], state: _State) -> Place | None:
    places = state.network.places
    name = state.called.get(key, key)
    if name is not None:
        return places.get(name)
    return next((places[k] for k in _hardware_keys(definition, state) if k in places), None)


def _hardware_keys(definition: Mapping[str, Value], state: _State) -> Iterator[str]:
    """Under what an interface without a name is known to the inspection."""
    mac = netplan.as_mapping(definition.get("match")).get("macaddress")
    if isinstance(mac, str):
        known = {pin.mac: pin.name for pin in state.network.pins}
        known.update({nic.mac: nic.name for nic in state.network.nics if nic.name})
        plain = mac.lower()
        yield from (name for name in (known.get(plain), plain) if name)
    yield state.path


def _definition(document: Document, path: netplan.Definition, place: Place, state: _State) -> Document:
    key = path[-1]
    before = document.mapping(path)
    static = netplan.is_static(before)
    document = _dhcp(document, path, place, state)
    if not place.primary or (not place.dhcp and key in state.static):
        document = _optional(document, path, state)
    for name in (*netplan.STATIC, *_ROUTES, "macaddress"):
        if name in before:
            why = (
                "goes with the old network" if name != "macaddress" else "EC2 lets only its own NIC's through"
            )
            state.say("M-07" if name != "macaddress" else OWN_RULE, (*path, name), why)
            document = _without(document, (*path, name), place)
    servers = static or key in state.static or (place.primary and _has_lost_servers(before))
    if servers:
        document = _without_servers(document, path, state)
    if place.dhcp:
        routes = static or key in state.static or place.primary
        refused = ("use-dns",) * servers + ("use-routes",) * routes
        document = _without_refusals(document, path, refused, state)
    if place.primary and before.get("activation-mode") in _NOT_AT_BOOT:
        state.say("M-08", (*path, "activation-mode"), "would leave EC2's one NIC down at boot")
        document = _without(document, (*path, "activation-mode"), place)
    document = _passthrough(document, path, place, state)
    return _matched(document, path, state)


def _dhcp(document: Document, path: netplan.Definition, place: Place, state: _State) -> Document:
    key = path[-1]
    if not place.dhcp or not (key in state.static or place.primary):
        return document
    said = document.mapping(path).get("dhcp4")
    if said is not None and not netplan.is_true(said):
        state.dhcp.add(key)
        state.say("M-06", path, f"addressed by DHCP: dhcp4 was {said}")
        return document.set_scalar((*path, "dhcp4"), "true")
    if key not in state.dhcp:
        state.dhcp.add(key)
        state.say("M-06", path, "addressed by DHCP")
        return document.insert((*path, "dhcp4"), "true")
    return document


def _optional(document: Document, path: netplan.Definition, state: _State) -> Document:
    key = path[-1]
    said = document.mapping(path).get("optional")
    if netplan.is_true(said) or (said is None and key in state.optional):
        return document
    state.optional.add(key)
    state.say("M-08", path, "gets no address on EC2 and must not be waited for at boot")
    if said is not None:
        return document.set_scalar((*path, "optional"), "true")
    return document.insert((*path, "optional"), "true")


def _without_servers(document: Document, path: Path, state: _State) -> Document:
    """The name servers go; a list of search domains stays."""
    servers = (*path, "nameservers")
    if "nameservers" not in document.mapping(path):
        return document
    if document.mapping(servers).get("search"):
        if "addresses" not in document.mapping(servers):
            return document
        servers = (*servers, "addresses")
    state.say("M-07", servers, "goes with the static address")
    return _without(document, servers, None)


def _has_lost_servers(definition: Mapping[str, Value]) -> bool:
    """DHCP's name servers are refused, and its own cannot be reached from EC2."""
    overrides = (netplan.as_mapping(definition.get(key)) for key in _OVERRIDES)
    refused = any(isinstance(o.get("use-dns"), str) and not netplan.is_true(o["use-dns"]) for o in overrides)
    servers = netplan.words(netplan.as_mapping(definition.get("nameservers")).get("addresses"))
    return refused and all(map(is_lost, servers))


def _without_refusals(document: Document, path: Path, refused: Iterable[str], state: _State) -> Document:
    for overrides, key in itertools.product(_OVERRIDES, refused):
        said = document.mapping((*path, overrides)).get(key)
        if isinstance(said, str) and not netplan.is_true(said):
            state.say("M-07", (*path, overrides, key), "would leave it without what was static")
            document = document.set_scalar((*path, overrides, key), "true")
    return document


def _passthrough(document: Document, path: netplan.Definition, place: Place, state: _State) -> Document:
    """What NetworkManager is handed besides wins over netplan's own words."""
    handed = netplan.passthrough(document.mapping(path))
    for key in handed:
        family, _, name = key.partition(".")
        here: Path = (*path, "networkmanager", "passthrough", key)
        if family not in NO_ADDRESS or handed.get(f"{family}.method") != "manual":
            continue
        if name == "method":
            method = "auto" if place.dhcp else NO_ADDRESS[family]
            state.say("M-06" if place.dhcp else "M-07", here, f"becomes {method}: it was manual")
            document = document.set_scalar(here, method)
        elif ADDRESSING.fullmatch(name):
            state.say("M-07", here, "goes with the old network")
            while len(document.mapping(here[:-1])) == 1:
                here = here[:-1]
            document = document.remove(here)
    return document


def _without(document: Document, path: Path, place: Place | None) -> Document:
    """Removes a key; where it is the only one something must stand for the mapping."""
    if len(document.mapping(path[:-1])) == 1 and place is not None:
        document = document.insert((*path[:-1], "dhcp4"), "false")
    return document.remove(path)


def _matched(document: Document, path: netplan.Definition, state: _State) -> Document:
    """A match by hardware becomes one by name, or none where the id is the name."""
    match = document.mapping((*path, "match"))
    if not match or not state.names.settled:
        return document
    key = path[-1]
    name = state.called.get(key, key)
    if name is not None and is_pattern(name):
        new = state.names.renames.get(name, name)
    else:
        known = name or next((k for k in _hardware_keys(document.mapping(path), state)), "")
        new = renamed(known, state.names.renames)
    if (
        not new
        or ":" in new
        or "/" in new
        or (set(match) == {"name"} and match["name"] == new and not _has_set_name(document, path))
    ):
        return document
    state.say("R-66", (*path, "match"), f"finds the NIC by the name {new}")
    if _has_set_name(document, path):
        document = document.remove((*path, "set-name"))
    if set(match) == {"name"}:
        return document.set_scalar((*path, "match", "name"), new)
    if "name" in match:
        document = document.set_scalar((*path, "match", "name"), new)
    else:
        document = document.insert((*path, "match", "name"), new)
    for other in match:
        if other != "name":
            document = document.remove((*path, "match", other))
    return document


def _has_set_name(document: Document, path: Path) -> bool:
    return "set-name" in document.mapping(path)


def _references(document: Document, state: _State) -> Document:
    """Ids elsewhere in the file: ports, the device below a VLAN, the primary port of a bond."""
    for path, definition in netplan.definitions(document):
        for place in _reference_paths(path, definition):
            value = document.at(place)
            new = state.ids.get(value) if isinstance(value, str) else None
            if new is not None:
                state.say("R-66", place, f"{value} will have the name {new}")
                document = document.set_scalar(place, new)
        for key in _NAME_KEYS:
            document = _with_keys(document, (*path, "parameters", key), state.ids)
    return document


def _reference_paths(path: Path, definition: Mapping[str, Value]) -> Iterator[Path]:
    ports = definition.get("interfaces")
    if isinstance(ports, list):
        yield from ((*path, "interfaces", i) for i in range(len(ports)))
    yield (*path, "link")
    yield (*path, "parameters", "primary")
    yield (*path, "networkmanager", "passthrough", "connection.interface-name")
