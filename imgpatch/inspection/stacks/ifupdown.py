"""ifupdown: /etc/network/interfaces and what it sources (interfaces(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from imgpatch.formats import interfaces as fmt
from imgpatch.guest import Guest, Kind
from imgpatch.inspection.stacks import Interface, Role, vlan_base

STACK = "ifupdown"
MAIN = "/etc/network/interfaces"
CLIENTS = tuple(
    f"{d}/{c}"
    for c in ("dhclient", "dhcpcd", "dhcpcd5", "udhcpc")
    for d in ("/sbin", "/usr/sbin", "/bin", "/usr/bin")
)

BRIDGE_PORTS = frozenset({"bridge_ports", "bridge-ports", "ovs_ports"})
BOND_PORTS = frozenset({"bond-slaves", "bond_slaves", "slaves", "ovs_bonds", "bond-members"})
BOND_MASTER = frozenset({"bond-master", "bond_master"})
RAW_DEVICE = frozenset({"vlan-raw-device", "vlan_raw_device"})
HOOKS = frozenset({"up", "down", "pre-up", "post-up", "pre-down", "post-down"})
OTHER_METHODS = frozenset({"tunnel", "v4tunnel", "6to4", "ppp", "wvdial", "gre", "can"})
OTHER_OPTIONS = (
    "wpa-",
    "wireless",
    "vxlan-",
    "tunnel-",
    "gre-",
    "macvlan-",
    "link-type",
    "batman",
    "vrf-table",
    "pre-up-ppp",
    "wireguard",
)
_ADDS_LINK = re.compile(
    r"\b(ip\s+(-\S+\s+)*link\s+add|brctl\s+addbr|tunctl|ip\s+tuntap\s+add|ip\s+tunnel\s+add)\b"
)
_DEFAULT_ROUTE = re.compile(r"\broute\s+(-\S+\s+)*(add|replace|change)\b.*\b(default|0\.0\.0\.0(/0)?)(\s|$)")


def files(guest: Guest) -> tuple[str, ...]:
    """Every file ifupdown reads, in its order, each once."""
    found: dict[str, None] = {}
    _collect(guest, MAIN, found)
    return tuple(found)


def interfaces(guest: Guest) -> Iterator[Interface]:
    parsed = {path: fmt.parse(guest.text(path) or "") for path in files(guest)}
    boot = {word.split("=")[0] for lines in parsed.values() for word in _boot(lines)}
    logical = {name: phys for lines in parsed.values() for phys, name in mapped(lines)}
    templates = _templates(parsed.values()) - set(logical)
    for path, lines in parsed.items():
        for name in _brought_up(lines):  # also what has no stanza: its name is taken
            yield Interface(STACK, path, name, boot=name in boot)
        for stanza in fmt.stanzas(lines):
            words = lines[stanza.head].words
            if stanza.kind == "iface" and len(words) > 1 and words[1] not in templates:
                yield from _interface(path, lines, stanza, boot, logical)


def _templates(files: Iterable[Sequence[fmt.Line]]) -> set[str]:
    """What other stanzas inherit from and nothing brings up: no interface, only settings."""
    inherited: set[str] = set()
    used: set[str] = set()
    for lines in files:
        used.update(_brought_up(lines))
        for line in lines:
            if line.words[:1] == ("iface",) and "inherits" in line.words[:-1]:
                inherited.add(line.words[line.words.index("inherits") + 1])
    return inherited - used


def mapped(lines: Sequence[fmt.Line]) -> Iterator[tuple[str, str]]:
    """(interface, logical name) for `auto eth0=home` and every `map` line of an interface named in full."""
    for stanza in fmt.stanzas(lines):
        if stanza.kind in {"auto", "allow"}:
            pairs = (word.partition("=") for word in lines[stanza.head].words[1:])
            yield from ((called.lstrip("/"), name) for called, equals, name in pairs if equals)
        names = [w for w in lines[stanza.head].words[1:] if "*" not in w]
        if stanza.kind == "mapping" and names:
            options = (lines[i].words for i in stanza.options)
            yield from ((names[0], words[-1]) for words in options if words[0] == "map" and len(words) > 1)


def is_default_route(hook: Sequence[str]) -> bool:
    return bool(_DEFAULT_ROUTE.search(" ".join(hook)))


def _collect(guest: Guest, path: str, found: dict[str, None]) -> None:
    stat = guest.stat(path)
    if path in found or stat is None or stat.kind is not Kind.FILE:
        return
    found[path] = None
    for line in fmt.parse(guest.text(path) or ""):
        if line.words and line.words[0] in {"source", "source-directory", "source-dir"}:
            for pattern in line.words[1:]:
                for name in _sourced(guest, line.words[0], posixpath.join(posixpath.dirname(path), pattern)):
                    _collect(guest, name, found)


def _sourced(guest: Guest, keyword: str, pattern: str) -> Iterator[str]:
    """`source` takes what the shell's pattern gives; `source-directory` names as run-parts(8) has them."""
    for path in guest.glob(pattern):
        if keyword == "source":
            yield path
        else:
            names = guest.listdir(path)
            yield from (posixpath.join(path, n) for n in names if re.fullmatch(r"[A-Za-z0-9_-]+", n))


def _brought_up(lines: Sequence[fmt.Line]) -> Iterator[str]:
    for line in lines:
        if line.words and (line.words[0] == "auto" or line.words[0].startswith("allow-")):
            yield from (re.split("[=:]", word.lstrip("/"))[0] for word in line.words[1:])


def _boot(lines: Sequence[fmt.Line]) -> Iterator[str]:
    for line in lines:
        if line.words and line.words[0] in {"auto", "allow-auto"}:
            yield from line.words[1:]


def _interface(
    path: str, lines: Sequence[fmt.Line], stanza: fmt.Stanza, boot: set[str], logical: dict[str, str]
) -> Iterator[Interface]:
    words = lines[stanza.head].words
    options = [lines[i].words for i in stanza.options]
    called = words[1]
    name = logical.get(called, called).split(":")[0]
    method = method_of(words)
    addressed = any(o[0] == "address" for o in options)
    role, lower = _role(name, method, options)
    yield Interface(
        STACK,
        path,
        name,
        role,
        lower=lower,
        static=method == "static" or (addressed and method in {"", "manual"}),
        dhcp=method in {"dhcp", "bootp", "auto"} or uses_dhcp(options),
        gateway=any(o[0] == "gateway" or (o[0] in HOOKS and is_default_route(o[1:])) for o in options),
        boot=called in boot or name in boot,
    )
    for option in options:
        if option[0] in BOND_MASTER and len(option) > 1 and option[1] != "none":
            yield Interface(STACK, path, option[1], Role.BOND, lower=(name,), boot=option[1] in boot)


def method_of(words: Sequence[str]) -> str:
    """Of `iface NAME [FAMILY METHOD] [inherits OTHER]`; empty where there is none, as in ifupdown-ng."""
    own = words[2 : words.index("inherits")] if "inherits" in words[2:] else words[2:]
    return own[1] if len(own) > 1 else ""


def uses_dhcp(options: Iterable[Sequence[str]]) -> bool:
    """ifupdown-ng's own way: `use dhcp`."""
    return any(tuple(option[:2]) == ("use", "dhcp") for option in options)


def _role(name: str, method: str, options: Sequence[tuple[str, ...]]) -> tuple[Role | None, tuple[str, ...]]:
    if method == "loopback":
        return Role.LOOPBACK, ()
    for option in options:
        ports = tuple(p for p in option[1:] if p not in {"none", "all", "regex"})
        if option[0] in BRIDGE_PORTS:
            return Role.BRIDGE, ports
        if option[0] in BOND_PORTS:
            return Role.BOND, ports
        if option[0] in RAW_DEVICE:
            return Role.VLAN, ports
    wired = any(option[:2] == ("wpa-driver", "wired") for option in options)
    if method in OTHER_METHODS or any(
        _is_other(o) for o in options if not (wired and o[0].startswith("wpa-"))
    ):
        return Role.OTHER, ()
    if any(o[0] in {"bond-mode", "bond_mode"} for o in options) and not any(
        o[0] in BOND_MASTER for o in options
    ):
        return Role.BOND, ()
    base = vlan_base(name)
    return (Role.VLAN, (base,)) if base else (None, ())


def _is_other(option: tuple[str, ...]) -> bool:
    return option[0].startswith(OTHER_OPTIONS) or (
        option[0] in HOOKS and bool(_ADDS_LINK.search(" ".join(option[1:])))
    )
