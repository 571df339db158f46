"""The way beside ImportImage: snapshots of the disks, and an image registered from them (documents 6.2).

Upper-case words in the commands are for the user to fill in.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgpatch import edition
from imgpatch.inspection import BIOS_BOOT_TYPE, ESP_TYPES, Inspection
from imgpatch.inspection.kernels import Presence
from imgpatch.reports.document import SCHEMA, plain
from imgpatch.reports.licence import licence, told
from imgpatch.reports.terminal import safe
from imgpatch.storage import Storage

BUCKET, KEY = "BUCKET", "FOLDER/"
ENA = "ena"
_ARCHITECTURES = {"x86_64": "x86_64", "i386": "i386", "aarch64": "arm64"}
_TRUST, _ROLE = "trust-policy.json", "role-policy.json"


_TAKEN = {
    ("raw", ""): "RAW",
    ("vmdk", "streamOptimized"): "VMDK",
    ("vpc", "fixed"): "VHD",
    ("vpc", "dynamic"): "VHD",
}
"""What is uploaded as it is, and what import-snapshot calls it; VHDX gave machines that came up at times."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A disk file.

    Attributes:
        name: without a folder.
        format: as qemu names it.
        variety: of the format.
        archive: the name of the OVA that it has to be taken out of; None where it is none.
    """

    name: str
    format: str
    variety: str = ""
    archive: str | None = None

    @property
    def sent_as(self) -> str:
        return _TAKEN.get((self.format, self.variety), "RAW")

    @property
    def as_it_is(self) -> bool:
        return (self.format, self.variety) in _TAKEN

    @property
    def sent(self) -> str:
        """The name of what is uploaded."""
        return self.name if self.as_it_is else f"{posixpath.splitext(self.name)[0]}.raw"


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what it is for."""

    title: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handoff:
    """Everything that is needed.

    Attributes:
        files: name -> what the commands read from it.
        notes: what the user must know.
    """

    boot_mode: str
    architecture: str
    ena_support: bool
    steps: tuple[Step, ...]
    files: Mapping[str, Any]
    notes: tuple[str, ...]


def handoff(disks: Sequence[Upload], inspection: Inspection, storage: Storage) -> Handoff:
    boot_mode = "uefi" if inspection.firmware == "uefi" else "legacy-bios"
    architecture = _ARCHITECTURES.get(inspection.system.architecture or "", "x86_64")
    ena = _has_ena(inspection)
    register = (
        *("aws", "ec2", "register-image", "--name", "NAME", "--architecture", architecture),
        *("--virtualization-type", "hvm", "--boot-mode", boot_mode),
        *(("--ena-support",) if ena else ()),
        *("--root-device-name", _device(0), "--block-device-mappings", "file://mappings.json"),
    )
    return Handoff(
        boot_mode,
        architecture,
        ena,
        (*_role(), *_snapshots(disks), Step("Register the image", register)),
        {
            _TRUST: trust_policy(),
            _ROLE: role_policy(),
            **{
                f"disk{n}.json": _container(n, disk, key)
                for n, (disk, key) in enumerate(zip(disks, _keys(disks), strict=True), 1)
            },
            "mappings.json": [
                {"DeviceName": _device(n), "Ebs": {"SnapshotId": f"SNAPSHOT-{n + 1}"}}
                for n in range(len(disks))
            ],
        },
        tuple(_notes(inspection, storage, ena=ena)),
    )


def trust_policy() -> dict[str, Any]:
    """Lets the service take the role, under the external id that it always gives."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "vmie.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}},
            }
        ],
    }


def role_policy() -> dict[str, Any]:
    """What the role may do: read the bucket, and make snapshots and images."""
    bucket = f"arn:aws:s3:::{BUCKET}"
    reading = ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"]
    making = ["ec2:ModifySnapshotAttribute", "ec2:CopySnapshot", "ec2:RegisterImage", "ec2:Describe*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": reading, "Resource": [bucket, f"{bucket}/*"]},
            {"Effect": "Allow", "Action": making, "Resource": "*"},
        ],
    }


def render_handoff(made: Handoff) -> str:
    """The notes, each file to write, and the commands in order, as a shell takes them."""
    lines = [f"# {safe(note)}" for note in made.notes]
    for name, contents in made.files.items():
        lines += ["", f"# {name}", f"cat > {name} <<'END'", json.dumps(contents, indent=2), "END"]
    for step in made.steps:
        lines += ["", f"# {safe(step.title)}", safe(shlex.join(step.argv))]
    return "\n".join([*lines, ""])


def handoff_document(made: Handoff) -> dict[str, Any]:
    """The same; a command is its words."""
    return {"schema": SCHEMA, **plain(made)}


def _role() -> tuple[Step, ...]:
    iam = ("aws", "iam")
    name = ("--role-name", "vmimport")
    return (
        Step(
            "Once in an account: the role that the service takes",
            (*iam, "create-role", *name, "--assume-role-policy-document", f"file://{_TRUST}"),
        ),
        Step(
            "What the role may do",
            (
                *(*iam, "put-role-policy", *name, "--policy-name", "vmimport"),
                *("--policy-document", f"file://{_ROLE}"),
            ),
        ),
    )


def _snapshots(disks: Sequence[Upload]) -> Iterator[Step]:
    """An OVA is none of the formats of a snapshot."""
    for archive in dict.fromkeys(disk.archive for disk in disks if disk.archive is not None):
        names = [disk.name for disk in disks if disk.archive == archive]
        yield Step(f"The disks out of {archive}", ("tar", "-xf", f"./{archive}", "--", *names))
    for number, (disk, key) in enumerate(zip(disks, _keys(disks), strict=True), 1):
        sent = disk.sent
        if not disk.as_it_is:
            convert = ("qemu-img", "convert", "-f", disk.format, "-O", "raw", f"./{disk.name}")
            yield Step(f"Disk {number} as the service takes it", (*convert, f"./{sent}"))
        yield Step(f"Disk {number} into the bucket", ("aws", "s3", "cp", f"./{sent}", f"s3://{BUCKET}/{key}"))
        yield Step(
            f"Disk {number} as a snapshot; it prints the task's id",
            ("aws", "ec2", "import-snapshot", "--disk-container", f"file://disk{number}.json"),
        )
        yield Step(
            f"Wait for completed; its SnapshotId goes into mappings.json for SNAPSHOT-{number}",
            ("aws", "ec2", "describe-import-snapshot-tasks", "--import-task-ids", f"TASK-{number}"),
        )


def _keys(disks: Sequence[Upload]) -> list[str]:
    """In the bucket: the disk's own name, where no other one has it."""
    names = [disk.sent for disk in disks]
    return [
        f"{KEY}{name}" if names.count(name) == 1 else f"{KEY}disk{number}/{name}"
        for number, name in enumerate(names, 1)
    ]


def _container(number: int, disk: Upload, key: str) -> dict[str, Any]:
    """One object, not a list as for import-image."""
    bucket = {"S3Bucket": BUCKET, "S3Key": plain(key)}
    return {"Description": f"disk {number}", "Format": disk.sent_as, "UserBucket": bucket}


def _notes(inspection: Inspection, storage: Storage, *, ena: bool) -> Iterator[str]:
    yield "on this way the service changes nothing and looks at nothing: imgpatch apply makes the disks ready"
    yield f"{BUCKET}, {KEY}, NAME, TASK-n and SNAPSHOT-n are for you to fill in; the bucket is in the Region"
    if not ena:
        yield "no ENA driver was found, so --ena-support is left out: Nitro instances would have no network"
    types = {device.parttype for device in storage.devices}
    if types & ESP_TYPES and BIOS_BOOT_TYPE in types:
        yield "the disks are laid out for BIOS and for UEFI; BIOS was chosen, as imgpatch plans for it"
    if inspection.system.architecture not in _ARCHITECTURES:
        yield "for which processor the system is made is not known: x86_64 was assumed"
    root = storage.mounts.get("/")
    if root is not None and root.disk not in (None, 0):
        yield f"the root is on disk {root.disk + 1}; the first disk given is the one that boots"
    if inspection.windows is not None:
        words = told(licence(inspection, edition.load()))
        yield f"an image registered so carries no licence of Windows from AWS; import-image takes, of {words}"


def _has_ena(inspection: Inspection) -> bool:
    """Whether the kernel that boots, or Windows, has the network driver of Nitro."""
    if inspection.windows is not None:
        found = [service for need in inspection.windows.network_drivers for service in need.found]
        return any(service.name.lower() == ENA for service in found)
    kernel = inspection.default_kernel
    drivers = () if kernel is None else kernel.drivers
    return any(state.module == ENA and state.presence is not Presence.ABSENT for state in drivers)


def _device(number: int) -> str:
    """`/dev/sda1` for the root, as the documents have it; `/dev/sdb` and on for the others."""
    return "/dev/sda1" if number == 0 else f"/dev/sd{chr(ord('a') + number)}"
