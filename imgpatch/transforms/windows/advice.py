"""Does what the documents tell the user of Windows to do before the import, where asked for (`--with`).

`rdp` allows Remote Desktop and opens the firewall for it, `utc` takes the hardware clock for universal time,
as EC2's is. Nothing of it is what the service does, so without the option it is only said.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection.windows import Windows, control_sets
from imgpatch.plan import Context, Note, NoteKind, Reason
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide

REMOTE_DESKTOP, CLOCK = "R-87", "R-93"
TERMINAL_SERVER = "Control\\Terminal Server"
TIME_ZONE = "Control\\TimeZoneInformation"
SHARED_ACCESS = "Services\\SharedAccess\\Parameters\\FirewallPolicy"
FIREWALL_RULES = f"{SHARED_ACCESS}\\FirewallRules"
PORTS = "GloballyOpenPorts\\List"
PROFILES = ("DomainProfile", "StandardProfile")
OLD_PORT = "3389:TCP:*:Enabled:@xpsp2res.dll,-22009"
"""Of the firewall of Windows XP and Server 2003."""

MANUAL, DISABLED = 3, 4


def ask(draft: HiveDraft, guest: Guest, context: Context) -> Iterator[Note]:  # noqa: ARG001
    windows = context.inspection.windows
    assert windows is not None
    wanted = context.choices.advice
    yield from _said(windows, wanted)
    if context.choices.ssm_package is not None:
        text = "the package of the Systems Manager client is not used: only Linux guests can be given one"
        yield Note(NoteKind.WARNING, "M-12", text)
    if not wanted:
        return
    for name in control_sets(draft.root):
        control = draft.root.at(name)
        if control is not None and "rdp" in wanted:
            _remote_desktop(draft, control, windows)
        if control is not None and "utc" in wanted:
            text = f"{name}\\{TIME_ZONE}: the hardware clock of EC2 is in universal time"
            value = Value("RealTimeIsUniversal", Type.DWORD, (1).to_bytes(4, "little"))
            key = control.at(TIME_ZONE)
            known = None if key is None else key.value(value.name)
            if known is None or known.number != 1:
                draft.set_value(f"{name}\\{TIME_ZONE}", value, Reason(CLOCK, text))


def _said(windows: Windows, wanted: frozenset[str]) -> Iterator[Note]:
    setup = windows.setup
    rows = (
        (
            setup.remote_desktop is False and "rdp" not in wanted,
            REMOTE_DESKTOP,
            "Remote Desktop is off; the documents want it on, and the firewall open: --with rdp does it",
        ),
        (
            not setup.utc and "utc" not in wanted,
            CLOCK,
            "the hardware clock is taken for local time, and EC2's is universal: --with utc changes it",
        ),
    )
    for said, rule, text in rows:
        if said:
            yield Note(NoteKind.DECISION, rule, text)


def _remote_desktop(draft: HiveDraft, control: Key, windows: Windows) -> None:
    server = control.at(TERMINAL_SERVER)
    if server is not None:
        reason = Reason(REMOTE_DESKTOP, f"{server.path}: Remote Desktop is allowed")
        draft.set_number(server, "fDenyTSConnections", 0, reason)
    service = control.at("Services\\TermService")
    start = None if service is None else service.value("Start")
    if service is not None and start is not None and start.number == DISABLED:
        reason = Reason(REMOTE_DESKTOP, f"{service.path}: its service is disabled no more")
        draft.set_number(service, "Start", MANUAL, reason)
    rules = control.at(FIREWALL_RULES)
    for value in () if rules is None else rules.values.values():
        assert rules is not None
        if value.name.lower().startswith("remotedesktop") and "|active=false|" in value.text.lower():
            text = f"{rules.path}: the firewall's rule {value.name} is switched on"
            draft.set_text(rules, value.name, _active(value.text), Reason(REMOTE_DESKTOP, text))
    if windows.release.version < (6, 0):
        _old_firewall(draft, control)


def _active(rule: str) -> str:
    parts = rule.split("|")
    return "|".join("Active=TRUE" if part.lower() == "active=false" else part for part in parts)


def _old_firewall(draft: HiveDraft, control: Key) -> None:
    for profile in PROFILES:
        key = control.at(f"{SHARED_ACCESS}\\{profile}")
        if key is None:
            continue
        where = f"{key.path}\\{PORTS}"
        known = None if (ports := key.at(PORTS)) is None else ports.value("3389:TCP")
        if known is None or ":enabled:" not in known.text.lower():
            reason = Reason(REMOTE_DESKTOP, f"{where}: the firewall's port of Remote Desktop is open")
            draft.set_value(where, Value("3389:TCP", Type.SZ, wide(OLD_PORT)), reason)
