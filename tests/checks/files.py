"""Real disk files, small ones, with the faults that a file can have; no machine is launched for them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

from fixtures import ovas, vhds, vmdks
from imgpatch import checking, checks, edition
from imgpatch.edition import NEWEST
from imgpatch.errors import RefusedError
from imgpatch.finding import Finding, Operation
from imgpatch.images.container import open_images
from imgpatch.images.examine import examine
from imgpatch.progress import Silent
from tests.images import disks

MIB = disks.MIB
GRAIN = 65536
DISK = disks.content()
STREAM = ("-o", "subformat=streamOptimized")
CD = ovas.item(300, 15, ElementName="CD/DVD drive 1", HostResource="ovf:/file/file9")
FLAT = vmdks.descriptor("monolithicFlat", ['RW 1 FLAT "d-flat.vmdk" 0'])
DESCRIPTOR = vmdks.descriptor("vmfsRawDeviceMap", ['RW 8192 VMFSRDM "d-rdm.vmdk"'])

Make = Callable[[Path], Path]


def look(*paths: Path, name: str = NEWEST, operation: Operation = Operation.IMAGE) -> tuple[Finding, ...]:
    """What disk files show by themselves."""
    try:
        files = examine(open_images(paths), Silent())
    except RefusedError:
        return checking.check_images(paths, edition.load(name), Silent(), operation=operation).findings
    return checks.of_files(files, edition.load(name), operation)


def holds(data: bytes, name: str = "d.img") -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return make


def converted(image_format: str, *options: str, name: str = "d.img") -> Make:
    return lambda folder: disks.make(folder / name, DISK, image_format, *options)


def edited(make: Make, change: Callable[[bytes], bytes]) -> Make:
    def made(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return made


def flipped(at: int) -> Callable[[bytes], bytes]:
    """One bit of another value."""

    def change(data: bytes) -> bytes:
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return change


def stream(last: int) -> bytes:
    """A stream-optimized VMDK with so many bytes in its last grain, which opening does not read."""
    return vmdks.stream({0: DISK[:GRAIN], 1: bytes(GRAIN), 40: b"x" * last}, 8192)


def packed(folder: Path, text: str | None = None, **places: str) -> bytes:
    data = disks.make(folder / "d", DISK, "vmdk", *STREAM).read_bytes()
    place = ovas.Place(file="d.vmdk", size=len(data), **places)  # type: ignore[arg-type]
    return ovas.good({"d.vmdk": data}, text=text or ovas.vmware([place]))


def archive(extra: str = "", **places: str) -> Make:
    """An OVA of a whole disk."""

    def make(folder: Path) -> Path:
        text = None
        if extra:
            text = ovas.vmware([ovas.Place(file="d.vmdk", size=1024)], extra_items=extra)
        return holds(packed(folder, text, **places), "vm.ova")(folder)

    return make


def chunks(folder: Path) -> Path:
    text = ovas.vmware([ovas.Place(file="d.vmdk")]).encode()
    parts = [(f"d.vmdk.{number:09}", bytes(512)) for number in range(2)]
    return holds(ovas.archive([("box.ovf", text), *parts]), "vm.ova")(folder)


def two_machines(folder: Path) -> Path:
    return holds(ovas._two_systems(), "vm.ova")(folder)


VMDK, VHD, VHDX, OVA = converted("vmdk", *STREAM), converted("vpc"), converted("vhdx"), archive()
WHOLE, NO_GRAIN = holds(stream(GRAIN)), holds(stream(100))
PARENTED = vhds.dynamic_vhd(8 * MIB, foot=vhds.footer(8 * MIB, kind=4))
NO_ALGORITHM = edited(WHOLE, lambda d: vmdks.changed(vmdks.changed(d, algorithm=0), -1024, algorithm=0))


def parented(folder: Path) -> Path:
    return PARENTED.write(folder / "d.vhd")


SPARSE = converted("vmdk")
CHUNKED = archive(file_more='ovf:chunkSize="1000"')
GZIP, ODD = holds(gzip.compress(DISK)), holds(DISK + b"x")
OTHER_COPY, CUT = edited(VHD, flipped(40)), edited(WHOLE, lambda d: d[:-1000])
CHANGED_OVA = edited(OVA, flipped(-20000))
