"""What was asked of the import against the machine that it is asked for (documents 6.1, 6.3).

No check by itself: it looks at what was checked already, and at the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from imgpatch.finding import Container, Finding, Severity
from imgpatch.import_request import ARCHITECTURES, AskedDisk, ImportRequest, System
from imgpatch.inspection import ESP_TYPES, Inspection
from imgpatch.storage import Storage

RULE = "M-24"
SERVER_BYOL = "RunInstances:0800"
_QEMU = {"RAW": "raw", "VMDK": "vmdk", "VHD": "vpc", "VHDX": "vhdx"}
_DECLARE = "declare the format that the file has, or convert the file: qemu-img convert -O raw"


class Checked(Protocol):
    """What was found of a machine by itself."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def containers(self) -> Sequence[Container]: ...
    @property
    def inspection(self) -> Inspection | None: ...
    @property
    def storage(self) -> Storage | None: ...


def findings(request: ImportRequest, checked: Checked) -> tuple[Finding, ...]:
    """All there is, the most decisive first: a wrong format stops the import before all else."""
    found = [*_formats(request, checked), *checked.findings, *_parameters(request, checked)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _formats(request: ImportRequest, checked: Checked) -> Iterator[Finding]:
    for disk, container in zip(request.disks, checked.containers, strict=False):
        if disk.format is not None and _QEMU.get(disk.format) != container.format:
            yield _format(disk, container)


def _format(disk: AskedDisk, container: Container) -> Finding:
    """A file that is no raw disk but is taken for one begins with no partition table."""
    return Finding(
        "R-01",
        Severity.FAILS,
        f"the file is {container.format}, and it was declared {disk.format}",
        _DECLARE,
        error="A19" if disk.format == "RAW" else "A05",
        path=container.name,
    )


def _parameters(request: ImportRequest, checked: Checked) -> Iterator[Finding]:
    inspection = checked.inspection
    if inspection is None:
        return
    yield from _licence(request, system(inspection))
    platform = "Linux" if inspection.windows is None else "Windows"
    if request.platform not in (None, platform):
        yield _unknown(f"--platform is {request.platform}, and the disks have {inspection.system.name}")
    architecture = inspection.system.architecture
    if request.architecture not in (None, architecture) and architecture in ARCHITECTURES:
        yield _unknown(f"--architecture is {request.architecture}, and the system is made for {architecture}")
    if inspection.windows is None and checked.storage is not None:
        yield from _boot_mode(request.boot_mode, inspection.firmware, checked.storage)


def _licence(request: ImportRequest, found: System) -> Iterator[Finding]:
    if found in request.licensed:
        return
    text = f"{request.licence} is not for {found}"
    if found is System.WINDOWS_CLIENT and request.usage_operation == SERVER_BYOL:
        yield _unknown(f"{text}, of which no usage operation is told")
        return
    other = "leave it out: the service then chooses BYOL"
    yield Finding(RULE, Severity.FAILS, text, other, path=request.licence.split(" ")[0])


def _boot_mode(asked: str | None, firmware: str, storage: Storage) -> Iterator[Finding]:
    esp = any(device.parttype in ESP_TYPES for device in storage.devices)
    if asked == "uefi" and not esp:
        text = "it is uefi, and the disks have no EFI system partition"
    elif asked == "legacy-bios" and firmware == "uefi":
        text = "it is legacy-bios, and the disks boot by UEFI alone"
    else:
        return
    yield Finding("R-25", Severity.MAY_NOT_BOOT, text, "leave it out, or give the other", path="--boot-mode")


def _unknown(text: str) -> Finding:
    remedy = "leave it out: the service looks for itself"
    return Finding(RULE, Severity.UNKNOWN, f"{text}; what the service makes of that is not known", remedy)


def system(inspection: Inspection) -> System:
    """What a licence of it would be for."""
    if inspection.windows is not None:
        server = inspection.windows.release.is_server
        return System.WINDOWS_SERVER if server else System.WINDOWS_CLIENT
    return {"rhel": System.RHEL, "sles": System.SUSE}.get(inspection.system.id, System.LINUX)
