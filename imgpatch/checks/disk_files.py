"""The disk files: a format that the service takes, sizes within its limits (documents R-01, R-11 to R-13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imgpatch.edition import GIB, Edition, Sizes
from imgpatch.finding import Container, Finding, Machine, Operation, Severity
from imgpatch.inspection import Inspection

ACCEPTED = {
    Operation.IMAGE: frozenset({"raw", "vmdk", "vpc", "vhdx", "ova"}),
    Operation.SNAPSHOT: frozenset({"raw", "vmdk", "vpc", "vhdx"}),
    Operation.INSTANCE: frozenset({"raw", "vmdk", "vpc"}),
}
"""The formats that each call takes; in an OVA it is the archive that counts."""

_WORDS = {Operation.IMAGE: "E-01", Operation.INSTANCE: "E-07"}
_CONVERT = "for the upload: imgpatch apply --output-format vmdk (or vhd, raw), or qemu-img convert -O raw"
_SNAPSHOT = "leave the disk out, and import it as a snapshot by itself"


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    return of_files(machine.containers, machine.edition, machine.operation)


def of_files(containers: Sequence[Container], edition: Edition, operation: Operation) -> Iterator[Finding]:
    """The same of disk files whose guest is not known."""
    sizes = edition.sizes
    for number, container in enumerate(containers):
        yield from _format(container, operation)
        yield from _size(container, sizes, operation, boots=number == 0)
    count = len(containers)
    if operation is Operation.IMAGE and count > sizes.volumes:
        text = f"{count} disks, and the service takes {sizes.volumes}"
        yield Finding("R-13", Severity.FAILS, text, _SNAPSHOT)
    if operation is Operation.INSTANCE and count > 1:
        text = f"{count} disks, and {operation} takes one"
        yield Finding("R-15", Severity.FAILS, text, "use ImportImage, or import the others as volumes")


def _format(container: Container, operation: Operation) -> Iterator[Finding]:
    kind = container.format if container.archive is None else "ova"
    if kind in ACCEPTED[operation]:
        return
    error = _WORDS.get(operation)
    if kind in ACCEPTED[Operation.IMAGE]:
        text = f"{kind}, which {operation} does not take"
        severity = Severity.FAILS
        if (operation, kind) == (Operation.INSTANCE, "ova"):
            text, severity = f"{text} by its list of formats; by its error E-07 it does", Severity.UNKNOWN
        yield Finding("R-01", severity, text, "give each disk as raw", error=error, path=container.file)
    else:
        text = f"{kind} is no format that the service takes"
        yield Finding("R-01", Severity.ADVICE, text, _CONVERT, error=error, path=container.name)


def _size(container: Container, sizes: Sizes, operation: Operation, *, boots: bool) -> Iterator[Finding]:
    large = f"the disk has {container.size // GIB} GiB"
    name = container.name
    image = sizes.import_image if operation is Operation.IMAGE else sizes.disk
    shrink = "shrink the disk in the source machine"
    if sizes.import_image is not None and image is not None and container.size >= image:
        text = f"{large}, and disks of {operation} have less than {image // GIB}"
        yield Finding("R-11", Severity.FAILS, text, _SNAPSHOT if image < sizes.disk else shrink, path=name)
    elif sizes.boot_disk is not None and boots and container.size > sizes.boot_disk:
        text = f"{large}, and a disk to boot from has at most {sizes.boot_disk // GIB}"
        yield Finding("R-12", Severity.FAILS, text, shrink, path=name)
    elif sizes.boot_disk is not None and container.size > sizes.disk:
        text = f"{large}, and the most is {sizes.disk // GIB}"
        yield Finding("R-12", Severity.FAILS, text, shrink, path=name)
