"""What was asked of the import against the machine that it is asked for (documents 6.1, 6.3).

No check by itself: it looks at what was checked already, and at the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from imgpatch.checks import in_order
from imgpatch.finding import Container, Finding, Severity
from imgpatch.import_request import ARCHITECTURES, AskedDisk, ImportRequest, System
from imgpatch.inspection import ESP_TYPES, Inspection
from imgpatch.storage import Storage

RULE = "M-24"
SERVER_BYOL = "RunInstances:0800"
_DECLARED = {
    "RAW": {"raw"},
    "VMDK": {"vmdk"},
    "VHD": {"vpc", "vhdx"},
    "VHDX": {"vhdx"},
    "OVA": {"ova"},
}
"""What may be declared so; that a VHDX was taken as a VHD was seen."""

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
    """All there is, the most decisive first: a wrong format stops the import before all else.

    Of a file that is not what it was declared to be nothing more is said for its format.
    """
    wrong = tuple(_formats(request, checked))
    files = {finding.path for finding in wrong}
    kept = [f for f in checked.findings if f.error not in ("E-01", "A05") or f.path not in files]
    return in_order((*wrong, *kept, *_parameters(request, checked)))


def by_file(containers: Sequence[Container]) -> tuple[tuple[Container, ...], ...]:
    """The disks of each file that was given, in order: an OVA may hold several."""
    groups: dict[str, list[Container]] = {}
    for container in containers:
        groups.setdefault(container.file, []).append(container)
    return tuple(map(tuple, groups.values()))


def _formats(request: ImportRequest, checked: Checked) -> Iterator[Finding]:
    for disk, group in zip(request.disks, by_file(checked.containers), strict=False):
        kind = group[0].format if group[0].archive is None else "ova"
        if disk.format is not None and kind not in _DECLARED[disk.format]:
            yield _format(disk, kind, group[0].file)


def _format(disk: AskedDisk, kind: str, path: str) -> Finding:
    """A file that is no raw disk but is taken for one begins with no partition table."""
    return Finding(
        "R-01",
        Severity.FAILS,
        f"the file is {kind}, and it was declared {disk.format}",
        _DECLARE,
        error="A19" if disk.format == "RAW" else "A05",
        path=path,
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
