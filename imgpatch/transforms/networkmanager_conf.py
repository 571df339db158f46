"""NetworkManager.conf(5) must not keep NetworkManager off EC2's NIC, nor give it another MAC address (M-08).

The names in it follow the renames (R-66). A list of unmanaged devices may catch the NIC under its new name
(`interface-name:eth*`), or have let the old one through by its MAC address.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from imgpatch.formats import ini
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import EC2_NAME, Nic
from imgpatch.inspection.stacks import networkmanager
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.nic_names import Names, new_names

_EXCEPT = f"except:interface-name:{EC2_NAME}"
_LISTS = frozenset({"unmanaged-devices", "match-device", "no-auto-default"})
_NAME = re.compile(r"(?<=interface-name:)[^=~;,\s][^;,\s]*|(?<=interface-name:=)[^;,\s]+")
_OWN_MAC = frozenset({"preserve", "permanent"})
_FALSE = frozenset({"false", "0", "no"})


@dataclass(slots=True)
class _State:
    """One file: the lines so far, and why."""

    lines: tuple[ini.Line, ...]
    reasons: list[Reason] = field(default_factory=list)

    def change(self, index: int, value: str, rule: str, text: str) -> None:
        line = self.lines[index].with_value(value)
        self.lines = (*self.lines[:index], line, *self.lines[index + 1 :])
        self.reasons.append(Reason(rule, f"line {line.number}: {text}"))


def applies(inspection: Inspection) -> bool:
    return networkmanager.STACK in inspection.network.stacks


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    names = new_names(context)
    if not names.settled:
        return
    files = networkmanager.configuration(guest)
    states = {path: _State(lines) for path, lines in files.items()}
    for state in states.values():
        _rename(state, names)
        _without_mac(state)
    nics = context.inspection.network.nics
    mine = not nics or any(path in networkmanager.files(guest) for path in nics[0].sources)
    if mine:
        _managed(states, files, nics[0] if nics else None)
        yield from _unmanaged_sections(states)
    for path, state in states.items():
        after = ini.unparse(state.lines)
        if after != ini.unparse(files.get(path, ())):
            # a file of a package stays; one of its name in /etc takes its place
            target = path if path == networkmanager.CONF else _own(path)
            yield Edit(target, after.encode("utf-8", "surrogateescape"), tuple(state.reasons))


def _own(path: str) -> str:
    return f"{networkmanager.CONF_FOLDER}/{posixpath.basename(path)}"


def _rename(state: _State, names: Names) -> None:
    for index, line in enumerate(state.lines):
        if line.key is not None and line.key.rstrip("+-") in _LISTS:
            value = _NAME.sub(lambda match: names.word(match.group()), line.value)
            if value != line.value:
                state.change(index, value, "R-66", f"{line.key}={line.value} will be {value}")


def _without_mac(state: _State) -> None:
    kept = []
    for line in state.lines:
        section = line.section or ""
        given = line.key == "ethernet.cloned-mac-address" and line.value not in _OWN_MAC
        if given and section.startswith("connection"):
            text = f"line {line.number}: EC2 lets no other MAC address through than its own NIC's"
            state.reasons.append(Reason(OWN_RULE, text))
        else:
            kept.append(line)
    state.lines = tuple(kept)


def _managed(states: dict[str, _State], files: dict[str, tuple[ini.Line, ...]], nic: Nic | None) -> None:
    """EC2's NIC is excepted from a list that would catch it, unless today's NIC is on that list."""
    before = [v for lines in files.values() for v in ini.values(lines, "keyfile", "unmanaged-devices")][-1:]
    if not before or (nic is not None and _catches(before[0], nic.name, nic.mac)):
        return
    for path, state in reversed(states.items()):
        places = [
            i for i, li in enumerate(state.lines) if (li.section, li.key) == ("keyfile", "unmanaged-devices")
        ]
        if not places:
            continue
        value = state.lines[places[-1]].value
        if _catches(value, EC2_NAME, None):
            end = "" if value.endswith((";", ",")) else ";"
            text = f"unmanaged-devices={value} would keep NetworkManager off EC2's one NIC"
            state.change(places[-1], f"{value}{end}{_EXCEPT}", "M-08", text)
            if path != _own(path) and path != networkmanager.CONF:
                state.reasons.append(
                    Reason(OWN_RULE, f"{path} belongs to a package; this file takes its place")
                )
        return


def _unmanaged_sections(states: dict[str, _State]) -> Iterator[Note]:
    for path, state in states.items():
        sections = dict.fromkeys(li.section for li in state.lines if (li.section or "").startswith("device"))
        for section in filter(None, sections):
            match = "".join(ini.values(state.lines, section, "match-device")[-1:]) or "*"
            managed = "".join(ini.values(state.lines, section, "managed")[-1:]).lower()
            if managed in _FALSE and _catches(match, EC2_NAME, None):
                text = f"{path}: [{section}] keeps NetworkManager off EC2's one NIC; nothing may bring it up"
                yield Note(NoteKind.WARNING, "M-08", text)


def _catches(specs: str, name: str | None, mac: str | None) -> bool:
    """Whether a list of devices has an Ethernet NIC on it: "Device List Format" of NetworkManager.conf(5)."""
    words = [word for word in re.split(r"[;,\s]+", specs) if word]
    if any(_is_on(word.removeprefix("except:"), name, mac) for word in words if word.startswith("except:")):
        return False
    return any(_is_on(word, name, mac) for word in words if not word.startswith("except:"))


def _is_on(word: str, name: str | None, mac: str | None) -> bool:
    kind, colon, rest = word.partition(":")
    if word == "*":
        return True
    if kind == "interface-name" and colon:
        if rest.startswith("="):
            return name == rest[1:]
        return name is not None and fnmatch.fnmatchcase(
            name, rest.removeprefix("~").removeprefix("^").rstrip("$")
        )
    if kind == "type":
        return rest == "ethernet"
    return mac is not None and (rest if kind == "mac" else word).lower() == mac
