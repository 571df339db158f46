"""How disk files are made (documents R-02, R-03, R-05, R-09, R-10, R-82), as far as they could be opened.

What keeps a file from being opened is told by `opening`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from imgpatch import catalogue
from imgpatch.edition import Edition
from imgpatch.finding import Archive, Container, Finding, Machine, Operation, Severity
from imgpatch.inspection import Inspection

_STREAM = "qemu-img convert -O vmdk -o subformat=streamOptimized"
_RAW = "qemu-img convert -O raw"
_SUFFIXES = {
    ".vmdk": ("vmdk",),
    ".vhd": ("vpc", "vhdx"),  # a VHDX that was called and declared a VHD was taken
    ".vhdx": ("vhdx",),
    ".ova": ("ova",),
    ".raw": ("raw",),
    ".qcow2": ("qcow2",),
}
_CALLED = {"vpc": "VHD", "vhdx": "VHDX", "vmdk": "VMDK", "ova": "OVA", "raw": "raw"}
_FROM_VMWARE = frozenset({"", "VMware"})


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    return of_files(machine.containers, machine.edition, machine.operation)


def of_files(
    containers: Sequence[Container], edition: Edition, operation: Operation = Operation.IMAGE
) -> Iterator[Finding]:
    """The same of disk files whose guest is not known."""
    for container in containers:
        yield from _vmdk(container, edition, operation)
        if operation is not Operation.INSTANCE:
            yield from _vhdx(container)
        if container.archive is None:
            yield from _suffix(container.name, container.format)
    for archive in dict.fromkeys(c.archive for c in containers if c.archive is not None):
        yield from _archive(archive)


def _vmdk(container: Container, edition: Edition, operation: Operation) -> Iterator[Finding]:
    if container.format != "vmdk":
        return
    if container.damage:
        remedy = "make it anew from the machine, or use another copy"
        yield Finding("R-09", Severity.FAILS, container.damage, remedy, error="E-10", path=container.name)
    if container.variety != "streamOptimized":
        yield _not_stream_optimized(container, edition, operation)
    elif edition.has("R-03") and container.maker not in _FROM_VMWARE:
        text = f"{container.maker} made it, and this edition asks for what VMware exports as OVF"
        remedy = f"export the machine from VMware, or convert it: {_RAW}"
        yield Finding("R-03", Severity.ADVICE, text, remedy, path=container.name)


def _not_stream_optimized(container: Container, edition: Edition, operation: Operation) -> Finding:
    """In editions that have no error for it there is one of the compression that it lacks."""
    known = catalogue.in_edition(edition.name)
    error = "A04" if operation is Operation.SNAPSHOT else "E-04"
    rule = "R-02"
    if operation is Operation.INSTANCE or (error == "E-04" and error not in known):
        rule, error = "R-10", "E-12"
    text = f"a VMDK of the kind {container.variety}, which is not compressed, and streamOptimized was wanted"
    remedy = f"convert it: {_STREAM}; imgpatch apply --output writes it so too"
    return Finding(rule, Severity.FAILS, text, remedy, error=error, path=container.name)


def _vhdx(container: Container) -> Iterator[Finding]:
    if container.format == "vhdx":
        text = "machines that were imported from VHDX came up only now and then"
        remedy = f"give it as raw or stream-optimized VMDK: imgpatch apply --output-format raw, or {_RAW}"
        yield Finding("imgpatch", Severity.ADVICE, text, remedy, path=container.name)


def _suffix(name: str, kind: str) -> Iterator[Finding]:
    suffix = posixpath.splitext(name)[1].lower()
    if kind not in _SUFFIXES.get(suffix, (kind,)):
        called = _CALLED.get(kind, kind)
        text = f"its name ends in {suffix}, and the file is {called}"
        remedy = f"declare it as what it is ({called}), or give it another name"
        yield Finding("R-01", Severity.ADVICE, text, remedy, error="A05", path=name)


def _archive(archive: Archive) -> Iterator[Finding]:
    yield from _suffix(archive.name, "ova")
    for drive in archive.drives:
        remedy = "disconnect the drive in the source machine, and export it again"
        yield Finding("R-82", Severity.ADVICE, f"it comes with {drive}", remedy, path=archive.name)
