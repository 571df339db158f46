"""What stands beside SUSE's ifcfg files: routes, rules, sysctls, settings for all; not a transform."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from imgpatch.formats import ifroute, sysconfig
from imgpatch.formats.sysconfig import Variable
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.network import EC2_NAME, Network, Place
from imgpatch.inspection.stacks import wicked
from imgpatch.plan import Context, Note, NoteKind, Reason
from imgpatch.transforms.nic_names import Names, new_names

FIREWALL = "/etc/sysconfig/SuSEfirewall2"
_FIREWALL_NAMES = re.compile(r"FW_(DEV_\w+|MASQ_DEV)")
_DEVICE_OPTIONS = frozenset({"dev", "iif", "oif"})


@dataclass(frozen=True, slots=True)
class Move:
    """One file before and after.

    Attributes:
        target: its path afterwards.
        before, after: None where it is not there.
        mode: of the new file, where it has another name.
    """

    path: str
    target: str
    before: str | None
    after: str | None
    reasons: tuple[Reason, ...]
    mode: int


@dataclass(slots=True)
class State:
    """One run over all files of the stack.

    Attributes:
        known: name by MAC address, as pins and other files give it.
        files: what each ifcfg file says.
        static: an interface on a NIC loses its static address, and so what came with it goes.
        default_route: DHCLIENT_SET_DEFAULT_ROUTE for all interfaces.
    """

    network: Network
    names: Names
    known: dict[str, str]
    files: dict[str, dict[str, str | None]]
    static: bool = False
    default_route: str | None = None
    notes: list[Note] = field(default_factory=list)

    def called(self, path: str) -> str:
        return path.removeprefix(wicked.PREFIX)

    def key(self, path: str) -> str:
        """Under what the inspection knows the interface of an ifcfg file."""
        called = self.called(path)
        mac = wicked.mac_of(called)
        if mac:
            return self.known.get(mac, mac)
        return path if path in self.network.places else called

    def place(self, path: str) -> Place | None:
        return self.network.places.get(self.key(path))

    def word(self, called: str) -> str:
        """The new name of an interface, which may be called by what it is."""
        if not self.names.settled:
            return called
        key = self.key(wicked.PREFIX + called)
        new = self.names.word(key)
        return called if "/" in new or ":" in new else new

    def warn(self, rule: str, text: str) -> None:
        self.notes.append(Note(NoteKind.WARNING, rule, text))


def new_state(guest: Guest, context: Context) -> State:
    network = context.inspection.network
    known = {pin.mac: pin.name for pin in network.pins if pin.mac}
    known.update({nic.mac: nic.name for nic in network.nics if nic.mac and nic.name})
    files = {path: wicked.read(guest, path) for path in wicked.files(guest)}
    state = State(network, new_names(context), known, files)
    state.static = any(state.place(path) and wicked.is_static(files[path]) for path in files)
    state.default_route = sysconfig.values(_text(guest, wicked.DHCP)).get("DHCLIENT_SET_DEFAULT_ROUTE")
    return state


def routes(guest: Guest, state: State) -> Iterator[Move]:
    """Static routes go, but for those of tunnels, of the loopback and of what else stands on no NIC."""
    own = [path for path in wicked.beside(guest) if posixpath.basename(path).startswith("ifroute-")]
    for path in (wicked.ROUTES, *own):
        stat = guest.stat(path)
        if stat is None or stat.kind is not Kind.FILE:
            continue
        called = "" if path == wicked.ROUTES else path.removeprefix(f"{wicked.FOLDER}/ifroute-")
        lines = ifroute.parse(guest.text(path) or "")
        reasons: list[Reason] = []
        kept = [new for line in lines if (new := _route(line, called, state, reasons)) is not None]
        after: str | None = ifroute.unparse(kept)
        if len(kept) < len(lines) and not (after or "").strip():
            after = None
            reasons.append(Reason("M-07", "no route is left in it"))
        target = f"{wicked.FOLDER}/ifroute-{state.word(called)}" if called else path
        yield Move(path, target, ifroute.unparse(lines), after, tuple(reasons), stat.mode)


def _route(line: ifroute.Line, called: str, state: State, reasons: list[Reason]) -> ifroute.Line | None:
    if not line.words:
        return line
    device = line.column(ifroute.INTERFACE) or called
    if _is_of_old_network(line, device, state):
        text = f"the route {' '.join(line.words)} is of the old network"
        reasons.append(Reason("M-07", f"line {line.number}: {text}"))
        return None
    for index, word in enumerate(line.words):
        named = index == ifroute.INTERFACE or (
            index > ifroute.OPTIONS and line.words[index - 1] in _DEVICE_OPTIONS
        )
        if named and (new := state.word(word)) != word:
            reasons.append(Reason("R-66", f"line {line.number}: {word} will have the name {new}"))
            line = line.with_word(index, new)
    return line


def _is_of_old_network(line: ifroute.Line, device: str, state: State) -> bool:
    """Whether the route leads through a NIC, or through a gateway that no other interface reaches."""
    if device:  # a file may be left of an old eth0 that nothing has configured for years
        new = {EC2_NAME, *state.names.renames.values()} if state.names.settled else set()
        return state.place(wicked.PREFIX + device) is not None or device in new
    gateway = line.column(ifroute.GATEWAY)
    others = [variables for path, variables in state.files.items() if state.place(path) is None]
    return not any(wicked.reaches(variables, gateway) for variables in others)


def settings(guest: Guest, state: State) -> Iterator[Move]:
    """The settings for all interfaces: name servers, what is waited for, the zones of the firewall."""
    text = _text(guest, wicked.CONFIG)
    servers = sysconfig.values(text).get("NETCONFIG_DNS_STATIC_SERVERS")
    released = state.static and bool(servers)
    reasons: list[Reason] = []
    after = sysconfig.changed(text, lambda variable: _setting(variable, state, reasons, released=released))
    if after != text:
        yield Move(wicked.CONFIG, wicked.CONFIG, text, after, tuple(reasons), 0o644)
    zones = _text(guest, FIREWALL)
    renamed: list[Reason] = []
    after = sysconfig.changed(zones, lambda variable: _zone(variable, state, renamed))
    if after != zones:
        yield Move(FIREWALL, FIREWALL, zones, after, tuple(renamed), 0o644)


def _setting(variable: Variable, state: State, reasons: list[Reason], *, released: bool) -> str | None:
    name, value = variable.name, variable.value
    words = (value or "").split()
    if not words:
        return None
    at = f"line {variable.line}:"
    if name == "NETCONFIG_DNS_STATIC_SERVERS" and released:
        reasons.append(Reason("M-07", f"{at} the name servers {value} go with the static address"))
        return ""
    if name == "NETCONFIG_DNS_POLICY":
        if released and not {word for word in words if word not in {"STATIC", "STATIC_FALLBACK"}}:
            text = f"with the policy {value} the name servers of a lease would not be used"
            reasons.append(Reason("M-07", f"{at} {text}"))
            return "auto"
        return _renamed(variable, words, state, reasons)
    if name == "MANDATORY_DEVICES":
        gone = [word for word in words if (p := state.place(wicked.PREFIX + word)) and not p.primary]
        if gone:
            text = f"{' '.join(gone)} is not there on EC2 and must not be waited for at boot"
            reasons.append(Reason("M-08", f"{at} {text}"))
            return " ".join(state.word(word) for word in words if word not in gone)
        return _renamed(variable, words, state, reasons)
    return None


def _zone(variable: Variable, state: State, reasons: list[Reason]) -> str | None:
    words = (variable.value or "").split()
    return _renamed(variable, words, state, reasons) if _FIREWALL_NAMES.fullmatch(variable.name) else None


def _renamed(variable: Variable, words: Sequence[str], state: State, reasons: list[Reason]) -> str | None:
    """The list with the new names of NICs, its blanks as they are; None where it names none of them."""
    new = re.sub(r"\S+", lambda match: state.word(match.group()), variable.value or "")
    if new == variable.value:
        return None
    old = [word for word in words if state.word(word) != word]
    text = f"{' '.join(old)} will have the name {' '.join(map(state.word, old))}"
    reasons.append(Reason("R-66", f"line {variable.line}: {text}"))
    return new


def moved_files(guest: Guest, state: State) -> Iterator[Move]:
    """ifrule-ens192 and ifsysctl-ens192 follow their interface, and the names in them too."""
    shared = f"{wicked.FOLDER}/ifsysctl"
    for path in (*wicked.beside(guest), shared):
        stat = guest.stat(path)
        kind, _, called = posixpath.basename(path).partition("-")
        if kind == "ifroute" or stat is None or stat.kind is not Kind.FILE:
            continue
        text = guest.text(path) or ""
        lines = text.split("\n")
        named = _sysctl if kind == "ifsysctl" else _rule
        after = [line if line.lstrip().startswith("#") else named(line, state) for line in lines]
        reasons = tuple(
            Reason("R-66", f"line {number}: the interface will have another name")
            for number, (old, new) in enumerate(zip(lines, after, strict=True), 1)
            if old != new
        )
        target = f"{wicked.FOLDER}/{kind}-{state.word(called)}" if called else path
        yield Move(path, target, text, "\n".join(after), reasons, stat.mode)


def _rule(line: str, state: State) -> str:
    """`iif ens192 lookup 7`: names stand behind the words that announce them."""
    pieces = re.split(r"(\s+)", line)
    for index in range(2, len(pieces), 2):
        if pieces[index - 2] in _DEVICE_OPTIONS:
            pieces[index] = state.word(pieces[index])
    return "".join(pieces)


def _sysctl(line: str, state: State) -> str:
    """`net.ipv4.conf.ens192.rp_filter = 1`, or with slashes between."""
    key, equals, value = line.partition("=")
    cut = "/" if "/" in key else "."
    parts = key.split(cut)
    return (
        cut.join(state.names.word(part) if part in state.names.renames else part for part in parts)
        + equals
        + value
    )


def _text(guest: Guest, path: str) -> str:
    stat = guest.stat(path)
    return guest.text(path) or "" if stat is not None and stat.kind is Kind.FILE else ""
