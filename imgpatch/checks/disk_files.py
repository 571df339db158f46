"""The disk files: a format that the service takes, sizes within its limits (documents R-01, R-11 to R-13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgpatch.edition import GIB, Sizes
from imgpatch.finding import Container, Finding, Machine, Severity
from imgpatch.inspection import Inspection

ACCEPTED = frozenset({"raw", "vmdk", "vpc", "vhd", "vhdx", "ova"})
_CONVERT = "for the upload: qemu-img convert -O vmdk -o subformat=streamOptimized, or to raw"
_SNAPSHOT = "leave the disk out, and import it as a snapshot by itself"


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    sizes = machine.edition.sizes
    for number, container in enumerate(machine.containers):
        if container.format not in ACCEPTED:
            yield Finding(
                "R-01",
                Severity.ADVICE,
                f"{container.format} is no format that the service takes",
                _CONVERT,
                error="E-01",
                path=container.name,
            )
        yield from _size(container, sizes, boots=number == 0)
    if len(machine.containers) > sizes.volumes:
        text = f"{len(machine.containers)} disks, and the service takes {sizes.volumes}"
        yield Finding("R-13", Severity.FAILS, text, _SNAPSHOT)


def _size(container: Container, sizes: Sizes, *, boots: bool) -> Iterator[Finding]:
    large = f"the disk has {container.size // GIB} GiB"
    name = container.name
    if sizes.import_image is not None and container.size >= sizes.import_image:
        text = f"{large}, and disks of ImportImage have less than {sizes.import_image // GIB}"
        yield Finding("R-11", Severity.FAILS, text, _SNAPSHOT, path=name)
    elif sizes.boot_disk is not None and boots and container.size > sizes.boot_disk:
        text = f"{large}, and a disk to boot from has at most {sizes.boot_disk // GIB}"
        yield Finding("R-12", Severity.FAILS, text, "shrink the disk in the source machine", path=name)
    elif sizes.boot_disk is not None and container.size > sizes.disk:
        text = f"{large}, and the most is {sizes.disk // GIB}"
        yield Finding("R-12", Severity.FAILS, text, "shrink the disk in the source machine", path=name)
