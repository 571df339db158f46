"""The end of an import as `aws ec2 describe-import-image-tasks` tells it (documents 6.4).

A task that fails ends `deleted`, with the reason in `StatusMessage`; its disks are `completed` where the
service had taken them in before it looked at what is on them. Nothing here was asked of AWS: the task's id
is made of the disk files' names and sizes, and there is no image.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from imgpatch.checks import predicted
from imgpatch.checks.asked import by_file
from imgpatch.finding import Container
from imgpatch.import_request import AskedDisk, ImportRequest
from imgpatch.reports.document import plain
from imgpatch.reports.verdict import Checked, words

IN_CONTAINER = frozenset(
    {"E-01", "E-03", "E-04", "E-07", "E-09", "E-10", "E-12", "A04", "A05", "A10", "A11", "A19"}
)
"""What the service finds before it has taken a disk in."""

_FORMATS = {"raw": "RAW", "vpc": "VHD", "vmdk": "VMDK", "vhdx": "VHDX"}


def task_document(checked: Checked) -> dict[str, Any]:
    first = predicted(checked.findings)
    taken_in = first is None or first.error not in IN_CONTAINER
    task: dict[str, Any] = {
        "ImportTaskId": _task_id(checked),
        "LicenseType": "BYOL",
        "Status": "completed" if first is None else "deleted",
        "SnapshotDetails": [_disk(disk, taken_in=taken_in) for disk in checked.containers],
    }
    inspection = checked.inspection
    if inspection is not None:
        task["Platform"] = "Linux" if inspection.windows is None else "Windows"
        task["Architecture"] = inspection.system.architecture
        task["BootMode"] = "uefi" if inspection.firmware == "uefi" else "legacy-bios"
        if inspection.windows is not None and "Server" in inspection.system.name:
            task["LicenseType"] = "AWS"
    message = None if first is None else words(first)
    if message is not None:
        task["StatusMessage"] = plain(message)
    return {"ImportImageTasks": [task]}


def asked_document(checked: Checked, request: ImportRequest) -> dict[str, Any]:
    """The same with what was asked for, in the service's names; that goes before what was found."""
    document = task_document(checked)
    (task,) = document["ImportImageTasks"]
    given = {
        "Architecture": request.architecture,
        "BootMode": request.boot_mode,
        "Description": request.description,
        "Encrypted": request.encrypted or None,
        "KmsKeyId": request.kms_key_id,
        "LicenseType": None if request.license_type == "Auto" else request.license_type,
        "Platform": request.platform,
        "UsageOperation": request.usage_operation,
    }
    if request.usage_operation is not None:
        del task["LicenseType"]
    task |= plain({name: value for name, value in given.items() if value is not None})
    rows = iter(task["SnapshotDetails"])
    for disk, group in zip(request.disks, by_file(checked.containers), strict=False):
        for row in itertools.islice(rows, len(group)):
            row |= plain(_asked_disk(disk, alone=len(group) == 1))
    return document


def _asked_disk(disk: AskedDisk, *, alone: bool) -> dict[str, str]:
    """What was asked of one disk; those of an OVA have formats and device names of their own."""
    given = {"Description": disk.description}
    if alone and disk.format != "OVA":
        given |= {"Format": disk.format, "DeviceName": disk.device_name}
    return {name: value for name, value in given.items() if value is not None}


def _disk(disk: Container, *, taken_in: bool) -> dict[str, Any]:
    form = _FORMATS.get(disk.format, disk.format.upper())
    return {
        "DiskImageSize": float(disk.file_size),
        **({} if " " in form else {"Format": form}),
        "Status": "completed" if taken_in else "deleted",
        "Url": plain(f"file://{disk.file}"),
    }


def _task_id(checked: Checked) -> str:
    rows = [f"{disk.name} {disk.size}" for disk in checked.containers]
    digest = hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()
    return f"import-ami-{digest[:17]}"
