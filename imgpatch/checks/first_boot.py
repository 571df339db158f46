"""What runs once at a first boot, and so would run in the service's own test boot (import-failures A67)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection, cloud_init
from imgpatch.plan import OWN_RULE

FLAGS = {
    "/.autorelabel": "SELinux labels every file anew, and boots again",
    "/forcefsck": "every file system is checked",
    "/.unconfigured": "the old first-boot questions are asked, and nobody answers",
    "/etc/reconfigSys": "the old first-boot questions are asked, and nobody answers",
}
_CLOUD_INIT = "/usr/bin/cloud-init"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    guest = machine.guest
    for path, what in FLAGS.items():
        if guest.exists(path):
            yield _finding(path, f"in the service's test boot {what}", f"remove {path} in the guest")
    if guest.exists(_CLOUD_INIT) and not cloud_init.is_disabled(guest):
        yield _finding(
            cloud_init.CONFIG,
            "cloud-init runs in the service's test boot: it may make host keys, and a line for /mnt in fstab",
            "look at fstab after the import, and run cloud-init clean before you make further images of it",
        )


def _finding(path: str, message: str, remedy: str) -> Finding:
    return Finding(OWN_RULE, Severity.ADVICE, message, remedy, path=path)
