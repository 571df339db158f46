"""Has the guest install the AWS Systems Manager client (M-12) at its first boot, from a package given.

The service installs it while it imports. A package's scripts want a running system, so here nothing of the
guest is run: the package is laid down beside the manifest, and a unit of systemd gives it to the guest's own
dpkg(1) or rpm(8) at boot, as long as the client is not there. Until then `revert` takes all of it away.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.manifest import MANIFEST_PATH
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason

RULE = "M-12"
FOLDER = posixpath.dirname(MANIFEST_PATH)
UNIT = "/etc/systemd/system/imgpatch-ssm-agent.service"
WANTED_BY = "/etc/systemd/system/multi-user.target.d/imgpatch-ssm-agent.conf"
"""A drop-in instead of the link that `systemctl enable` makes: the same to systemd (systemd.unit(5))."""

AGENTS = ("/usr/bin/amazon-ssm-agent", "/snap/bin/amazon-ssm-agent.ssm-cli", "/snap/amazon-ssm-agent")
SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")

_INSTALL = {
    "deb": (("/usr/bin/dpkg",), "/usr/bin/dpkg --install"),
    "rpm": (("/usr/bin/rpm", "/bin/rpm"), "{} --upgrade --replacepkgs"),
}


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    package = context.choices.ssm_package
    if package is None:
        return
    there = next((path for path in AGENTS if guest.exists(path)), None)
    if there is not None:
        yield Note(NoteKind.DECISION, RULE, f"the Systems Manager client is there already: {there}")
        return
    programs, command = _INSTALL[package.kind]
    program = next((path for path in programs if guest.exists(path)), None)
    if program is None or not any(guest.exists(path) for path in SYSTEMD):
        wanted = "systemd" if program else posixpath.basename(programs[0])
        text = f"the Systems Manager client is not installed: the guest has no {wanted} for a .{package.kind}"
        yield Note(NoteKind.WARNING, RULE, text)
        return
    path = f"{FOLDER}/amazon-ssm-agent.{package.kind}"
    unit = _unit(f"{command.format(program)} {path}", path)
    why = "the service installs the Systems Manager client"
    yield Edit(path, package.data, (Reason(RULE, f"{why}; this is the package given with --with-ssm"),))
    yield Edit(
        UNIT, unit.encode(), (Reason(RULE, f"{why}; the guest's own {program} does, at its first boot"),)
    )
    text = f"[Unit]\nWants={posixpath.basename(UNIT)}\n"
    yield Edit(WANTED_BY, text.encode(), (Reason(RULE, "starts it at boot"),))


def _unit(command: str, package: str) -> str:
    return f"""\
# Written by imgpatch ({RULE}); not needed any more once the client is installed.
[Unit]
Description=Install the AWS Systems Manager client
ConditionPathExists=!{AGENTS[0]}
ConditionPathExists={package}
After=local-fs.target

[Service]
Type=oneshot
ExecStart={command}
"""
