"""What the service does to a guest or its image and imgpatch does not, with the reason."""

from __future__ import annotations

from imgpatch.edition import Edition
from imgpatch.plan import Note, NoteKind, Plan

_LINUX = (
    ("M-10", "Citrix PV drivers are not installed: the guest's own kernel modules for EC2 are used instead"),
    ("M-22", "ENA support is an attribute of the AMI: ask for it when you register the image"),
)

_WINDOWS = (
    ("M-16", "the .NET Framework is not installed: `inspect` says which versions are there"),
    (
        "M-17",
        "drivers for SR-IOV (Windows Server 2012 R2) are not installed: the guest has none",
    ),
    ("M-18", "AWS' network and disk drivers and its first-boot agent are not installed: they are AWS' own"),
    ("M-19", "the licence is not switched to one of AWS: that takes a running Windows on EC2"),
)

_ALWAYS = (
    ("M-27", "encryption of the result is a choice made when the image is imported or registered"),
    ("M-28", "there is no temporary EBS volume: the work is done in an overlay on this machine"),
)

_SSM = ("M-12", "the AWS Systems Manager client is not installed: its package is not part of the guest")


def not_mirrored(edition: Edition, plan: Plan) -> tuple[Note, ...]:
    """In the order of the documents; the edition decides what the service does."""
    rules = {reason.rule for change in plan.changes for reason in change.reasons}
    rules |= {note.rule for note in plan.notes}
    ssm = (_SSM,) if edition.ssm_agent and _SSM[0] not in rules else ()
    rows = sorted((*_ALWAYS, *ssm, *(_WINDOWS if plan.windows else _LINUX)))
    return tuple(Note(NoteKind.NOT_MIRRORED, rule, text) for rule, text in rows)
