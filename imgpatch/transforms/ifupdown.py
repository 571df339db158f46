"""Static addressing in /etc/network/interfaces becomes DHCP, on the NIC that EC2 gives (M-06, M-07, M-08)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imgpatch.formats import interfaces as fmt
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network, Place
from imgpatch.inspection.stacks import ifupdown, is_pattern, plain_mac
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.nic_names import Names, new_names

ADDRESSING = frozenset(
    {
        "address",
        "netmask",
        "network",
        "broadcast",
        "gateway",
        "pointopoint",
        "scope",
        "preferred-lifetime",
        "dns-nameserver",
        "dns-nameservers",
    }
)
"""What goes with a static address: its parts, its gateway and the name servers given with it."""

_SETS_ADDRESS = re.compile(
    r"\bip\s+(-\S+\s+)*(a|addr|address|r|ro|route|ru|rule|n|neigh)\s+(a|add|d|del|delete|replace|change|append|flush)\b"
    r"|\broute\s+(-\S+\s+)*(add|del)\b|\bifconfig\s+\S+\s+(add\s+)?[0-9]|\barp\s+(-\S+\s+)*-s\b"
)
_SETS_MAC = re.compile(
    r"\bip\s+(?:-\S+\s+)*l(?:i|in|ink)?\s+s(?:e|et)?\s.*\baddr(?:ess)?\s|\bifconfig\s.*\bhw\s+ether\s|\bmacchanger\s"
)
_CLOUD_HELPER = "/etc/network/cloud-ifupdown-helper"
"""In Debian's cloud images udev runs it for each NIC that no file names, and it brings that up by DHCP."""

_ADDRESS_WORD = re.compile(r"[0-9A-Fa-f:.]+")


@dataclass(slots=True)
class _State:
    """One run over all files of ifupdown."""

    network: Network
    names: Names
    logical: dict[str, str]
    old: set[str]
    """Every address and gateway that goes, without its prefix length."""
    addressed: set[tuple[str, str]]
    """(interface, family) that have a stanza with DHCP, as the file has it or already made."""
    automatic: set[str]
    static: set[str]
    """Names of stanzas with a static method, which others may inherit from."""
    reasons: list[tuple[int, Reason]] = field(default_factory=list)
    hooks: list[int] = field(default_factory=list)

    def place(self, name: str) -> Place | None:
        called = self.logical.get(name, name).split(":")[0]
        return self.network.places.get(called)

    def say(self, rule: str, line: fmt.Line, text: str) -> None:
        self.reasons.append((line.number, Reason(rule, f"line {line.number}: {text}")))


def applies(inspection: Inspection) -> bool:
    return ifupdown.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    files = {path: fmt.parse(guest.text(path) or "") for path in ifupdown.files(guest)}
    state = _state(files.values(), context)
    for path, lines in files.items():
        state.reasons, state.hooks = [], []
        after = _without_leftovers(lines, _rewritten(lines, state))
        text = "".join(after)
        if path == ifupdown.MAIN and not guest.exists(_CLOUD_HELPER):
            text += _missing_stanza(state, files, text)
        if text != fmt.unparse(lines):
            reasons = tuple(reason for _, reason in sorted(state.reasons, key=lambda pair: pair[0]))
            yield Edit(path, text.encode("utf-8", "surrogateescape"), reasons)
        if state.hooks:
            where = ", ".join(map(str, state.hooks))
            found = "commands that set addresses or routes of the old network are commented out"
            yield Note(NoteKind.DECISION, OWN_RULE, f"{path}: {found}: line {where}")
    if files and not any(guest.exists(path) for path in ifupdown.CLIENTS):
        text = "ifupdown has no DHCP client: none of dhclient, dhcpcd and udhcpc is installed in the guest"
        yield Note(NoteKind.WARNING, "R-83", text)


def _state(files: Iterable[Sequence[fmt.Line]], context: Context) -> _State:
    everything = [line for lines in files for line in lines]
    logical = {name: called for called, name in ifupdown.mapped(everything)}
    state = _State(context.inspection.network, new_names(context), logical, set(), set(), set(), set())
    for stanza in fmt.stanzas(everything):
        words = everything[stanza.head].words
        if stanza.kind in {"auto", "allow"}:
            state.automatic.update(word.split("=")[0] for word in words[1:])
        if stanza.kind in {"iface", "template"} and ifupdown.method_of(words) == "static":
            state.static.add(words[1])
        if stanza.kind != "iface" or len(words) < 2 or state.place(words[1]) is None:
            continue
        options = [everything[i].words for i in stanza.options]
        if ifupdown.method_of(words) in {"dhcp", "bootp", "auto"}:
            state.addressed.add((words[1], words[2]))
        elif ifupdown.uses_dhcp(options):
            state.addressed.add((words[1], "inet"))
        state.old.update(o[1].split("/")[0] for o in options if o[0] in {"address", "gateway"} and len(o) > 1)
    return state


def _rewritten(lines: Sequence[fmt.Line], state: _State) -> list[str | None]:
    """The new text of every line; None for one that goes."""
    after: list[str | None] = [line.text for line in lines]
    for stanza in fmt.stanzas(lines):
        head = lines[stanza.head]
        if stanza.kind == "iface" and len(head.words) > 1:
            _iface(lines, stanza, state, after)
        elif stanza.kind in {"auto", "allow"}:
            after[stanza.head] = _automatic(head, state)
        elif stanza.kind in {"mapping", "no-auto-down", "no-scripts"}:
            after[stanza.head] = _named(head, state).text
    return after


def _without_leftovers(lines: Sequence[fmt.Line], after: Sequence[str | None]) -> list[str]:
    """What stays; the last line keeps its lack of a line end even where the lines at the end went."""
    return [text for _, text in zip(lines, after, strict=True) if text is not None]


def _iface(lines: Sequence[fmt.Line], stanza: fmt.Stanza, state: _State, after: list[str | None]) -> None:
    head = lines[stanza.head]
    name = head.words[1]
    place = state.place(name)
    if place is None:
        for index in (stanza.head, *stanza.options):
            after[index] = _named(lines[index], state).text
        return
    static = _is_static(lines, stanza, state)
    if ":" in name and static:
        state.say("M-07", head, f"{name} is one more static address; the interface takes its address by DHCP")
        after[stanza.head] = None
        for index in stanza.options:
            after[index] = None
        return
    for index in stanza.options:
        after[index] = _option(lines[index], static, state)
    asks = ifupdown.uses_dhcp(lines[i].words for i in stanza.options)
    method = None if asks else _method(head, static, place, state)
    left = any(after[index] is not None for index in stanza.options)
    if static and method == "manual" and place.dhcp and not left:
        state.say("M-07", head, f"{name} has DHCP in another stanza")
        after[stanza.head] = None
    else:
        after[stanza.head] = _before(head, place, state) + _head(head, method, state)


def _is_static(lines: Sequence[fmt.Line], stanza: fmt.Stanza, state: _State) -> bool:
    words = lines[stanza.head].words
    method = ifupdown.method_of(words)
    if method:
        return method == "static"
    inherited = "inherits" in words[2:-1] and words[words.index("inherits") + 1] in state.static
    return inherited or any(lines[i].words[0] == "address" for i in stanza.options)


def _method(head: fmt.Line, static: bool, place: Place, state: _State) -> str | None:
    """The new method of a stanza; None leaves it."""
    name, method = head.words[1], ifupdown.method_of(head.words)
    family = head.words[2] if method else "inet"
    wanted = place.dhcp and (name, family) not in state.addressed
    if static and wanted and family in {"inet", "inet6"}:
        state.addressed.add((name, family))
        return "dhcp" if family == "inet" else "auto"
    if static:
        return "manual" if method else None
    bare = method in {"manual", ""} and family == "inet"
    if bare and wanted and place.primary and not is_pattern(name) and ":" not in name:
        state.addressed.add((name, family))
        return "dhcp"
    return None


def _head(head: fmt.Line, method: str | None, state: _State) -> str:
    line = _named(head, state)
    said = ifupdown.method_of(head.words)
    old = said or "no"
    if method is None:
        return line.text
    rule = "M-07" if method == "manual" else "M-06" if old in {"static", "no"} else "M-08"
    state.say(rule, head, f"{head.words[1]} has {old} addressing, wanted {method}")
    if said:
        return line.with_word(3, method).text
    return line.with_words(lambda i, w: f"{w} inet {method}" if i == 1 else w).text


def _before(head: fmt.Line, place: Place, state: _State) -> str:
    """An `auto` line where nothing brings the one interface that EC2 has up at boot."""
    name = head.words[1]
    if not place.primary or not place.dhcp or ":" in name or name in state.logical or is_pattern(name):
        return ""
    if name in state.automatic or any(is_pattern(word) for word in state.automatic):
        return ""
    state.automatic.add(name)
    state.say(OWN_RULE, head, f"nothing brings {name} up at boot")
    return f"auto {state.names.word(name)}{fmt.newline(head.text)}"


def _option(line: fmt.Line, static: bool, state: _State) -> str | None:
    """One option of an interface on a NIC."""
    key = line.words[0]
    if static and key in ADDRESSING:
        state.say("M-07", line, f"{' '.join(line.words)} goes with the static address")
        return None
    if key == "hwaddress" or (key == "bridge_hw" and any(map(plain_mac, line.words[1:]))):
        state.say(OWN_RULE, line, "EC2 lets no other MAC address through than its own NIC's")
        return None
    if key in ifupdown.HOOKS and _SETS_MAC.search(" ".join(line.words[1:])):
        state.say(
            OWN_RULE, line, f"{key} sets a MAC address, and EC2 lets no other through than its own NIC's"
        )
        state.hooks.append(line.number)
        return line.commented_out().text
    if key in ifupdown.HOOKS and _is_of_old_network(line.words[1:], state.old):
        state.say("M-07", line, f"{key} sets an address or a route of the old network")
        state.hooks.append(line.number)
        return line.commented_out().text
    return _named(line, state).text


def _is_of_old_network(command: Sequence[str], old: set[str]) -> bool:
    """Whole addresses are compared, so that 192.168.1.3 is not found in 192.168.1.30."""
    text = " ".join(command)
    return bool(_SETS_ADDRESS.search(text)) or any(w in old for w in _ADDRESS_WORD.findall(text))


def _automatic(line: fmt.Line, state: _State) -> str:
    """`auto` of what is not there on EC2 becomes `allow-hotplug`: it would fail the boot."""
    keyword, names = line.words[0], line.words[1:]
    alias = [
        i
        for i, n in enumerate(names, 1)
        if ":" in n and state.place(n) is not None and n not in state.logical
    ]
    if alias:
        state.say("M-07", line, f"{' '.join(names[i - 1] for i in alias)} was one more static address")
        line = line.without_words(alias)
        names = line.words[1:]
        if not names:
            return ""
    absent = []
    if keyword in {"auto", "allow-auto"}:
        absent = [
            i
            for i, n in enumerate(names, 1)
            if (place := state.place(n.lstrip("/").split("=")[0])) and not place.primary
        ]
    if not absent:
        return _named(line, state).text
    gone = " ".join(names[i - 1] for i in absent)
    state.say("M-08", line, f"{gone} is not there on EC2 and must not be waited for at boot")
    if len(absent) == len(names):
        return _named(line, state).with_word(0, "allow-hotplug").text
    kept = _named(line.without_words(absent), state).text
    end = fmt.newline(line.text)
    added = f"allow-hotplug {' '.join(state.names.word(names[i - 1]) for i in absent)}"
    return f"{kept}{added}{end}" if kept.endswith("\n") else f"{kept}{end}{added}"


def _named(line: fmt.Line, state: _State) -> fmt.Line:
    """The line with the new names of the NICs."""
    changed = line.with_words(lambda i, word: state.names.inside(_pattern_named(word, state)) if i else word)
    if changed.text != line.text:
        old = [a for a, b in zip(line.words, changed.words, strict=False) if a != b]
        state.say("R-66", line, f"{' '.join(old)} will have the name {_new(old[0], state)}")
    return changed


def _pattern_named(word: str, state: _State) -> str:
    """As ifupdown writes patterns: `auto /en*`, `mapping en*`."""
    pattern, equals, logical = word.lstrip("/").partition("=")
    if is_pattern(pattern) and pattern in state.names.renames:
        return f"{'/' * word.startswith('/')}{state.names.renames[pattern]}{equals}{logical}"
    return word


def _new(word: str, state: _State) -> str:
    return state.names.inside(_pattern_named(word, state))


def _missing_stanza(state: _State, files: dict[str, tuple[fmt.Line, ...]], text: str) -> str:
    """A stanza for the interface that takes the address where none of ifupdown's files has one."""
    network = state.network
    holder = next((n for n, p in network.places.items() if p.primary and p.dhcp and not is_pattern(n)), None)
    if holder is None and not network.nics and network.stacks == (ifupdown.STACK,) and not network.cloud_init:
        holder = "eth0"
    sources = {source for nic in network.nics[:1] for source in nic.sources}
    every = [line for lines in files.values() for line in lines]
    stanzas = [
        every[s.head].words for s in fmt.stanzas(every) if s.kind == "iface" and every[s.head].words[1:]
    ]
    mine = any((place := state.place(words[1])) and place.primary for words in stanzas) or not network.nics
    if holder is None or not mine or not sources <= set(files):
        return ""
    of_ipv4 = [words for words in stanzas if words[2:3] != ("inet6",)]
    if any(state.logical.get(words[1], words[1]) == holder for words in of_ipv4) or _has_pattern(stanzas):
        return ""
    end = fmt.newline(text)
    name = state.names.word(holder)
    found = f"{name} is the interface that takes the address, and nothing asks for one of IPv4"
    state.reasons.append((text.count("\n"), Reason("M-08", found)))
    gap = "" if not text or text.endswith("\n") else end
    auto = "" if holder in state.automatic else f"auto {name}{end}"
    return f"{gap}{end}{auto}iface {name} inet dhcp{end}"


def _has_pattern(stanzas: Iterable[Sequence[str]]) -> bool:
    return any(is_pattern(words[1]) for words in stanzas)
