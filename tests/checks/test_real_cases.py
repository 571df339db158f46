"""The failures people met: reproduced with the same words, or listed with the reason why not."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import windows
from imgpatch import catalogue, checking, checks, edition
from imgpatch.checks import asked, opening
from imgpatch.edition import NEWEST
from imgpatch.errors import UnsupportedGuestError
from imgpatch.finding import Container, Finding, Machine, Operation, Severity
from imgpatch.import_request import AskedDisk, ImportRequest
from imgpatch.inspection import inspect
from imgpatch.progress import Silent
from imgpatch.storage import Device
from imgpatch.target import EC2
from tests.checks.changes import (
    MENU_LST,
    STUB,
    alone,
    grubenv,
    in_archive,
    line,
    mbr,
    put,
    rhel,
    table,
    uefi,
)
from tests.checks.files import (
    CD,
    CHUNKED,
    CUT,
    DESCRIPTOR,
    FLAT,
    GZIP,
    NO_ALGORITHM,
    NO_GRAIN,
    SPARSE,
    VHDX,
    Make,
    archive,
    holds,
    look,
    parented,
)
from tests.checks.machines import GIB, MIB, STREAM, Change, Parts, of_row, ubuntu
from tests.documents import FAILURES, cells, needs_documents
from tests.images import disks

SERVICE = "nothing on the disk shows it"
WINDOWS = "Windows is not checked yet"
NO_WORDS = "the message is not known"
BOOT = "it imports and does not boot: a finding without words of the service"

NOT_HERE = {
    **{f"A{number:02}": SERVICE for number in (7, 9, 10, 66)},
    **{f"A{number:02}": NO_WORDS for number in (24, 30, 31, 32, 33, 34, 39, 43, 44, 59)},
    **{f"A{number:02}": WINDOWS for number in range(60, 66)},
    **{f"A{number:02}": BOOT for number in range(67, 73)},
    "A48": "a hang, not a message",
    "A57": "the heading of A57a to A57g",
}  # fmt: skip


def refused(rule: str) -> Callable[[], Finding | None]:
    """What opening such disks refuses; tests/appliance/test_check.py has the disks."""
    return lambda: opening.finding(UnsupportedGuestError("found", rule=rule), edition.load())


def of_file(make: Make, operation: Operation = Operation.IMAGE) -> Callable[[], Finding | None]:
    """What such a file shows."""

    def find() -> Finding | None:
        with tempfile.TemporaryDirectory() as folder:
            return checks.predicted(look(make(Path(folder)), operation=operation))

    return find


def declared(make: Make, disk_format: str) -> Callable[[], Finding | None]:
    """The same where it was declared to be in this format."""

    def find() -> Finding | None:
        with tempfile.TemporaryDirectory() as folder:
            path = make(Path(folder))
            found = checking.check_images([path], edition.load(), Silent())
            request = ImportRequest((AskedDisk(str(path), disk_format),))
            return checks.predicted(asked.findings(request, found))

    return find


def guest(
    *changes: Change, base: Callable[[], Parts] = ubuntu, name: str = NEWEST
) -> Callable[[], Finding | None]:
    def find() -> Finding | None:
        parts = base()
        for change in changes:
            parts = change(parts)
        return checks.predicted(parts.findings(name))

    return find


def system(text: str) -> Change:
    return lambda parts: parts.having({"/etc/os-release": text, "/usr/lib/os-release": text})


ESP = Device(disk=0, partition=4, fstype="vfat", parttype="c12a7328-f81f-11d2-ba4b-00a0c93ec93b", size=MIB)
HYBRID = guest(lambda parts: parts.adding(ESP), base=mbr, name="2019")
OSTREE = guest(lambda p: p.replaced("/boot/grub/grub.cfg", "ro net", "ostree=/ostree/boot.1/x/0 net"))
BLANK, NO_ETC = refused("R-32"), refused("R-60")
NIXOS = guest(lambda p: p.having({"/nix/store/fstab": "x"}).linked("/etc/fstab", "/nix/store/fstab"))
PHOTON = guest(system("ID=photon\nVERSION_ID=4.0\n"), put("/boot/efi/boot/grub2/grub.cfg", STUB), base=uefi)


def kernel(release: str, text: str | None = None) -> Callable[[], Finding | None]:
    changes = [alone(release)] if text is None else [alone(release), system(text)]
    return guest(*changes)


def for_instance(parts: Parts) -> Parts:
    return replace(parts, operation=Operation.INSTANCE)


OF_FILES: dict[str, Callable[[], Finding | None]] = {
    "A01": of_file(SPARSE),
    "A02": of_file(SPARSE),
    "A03": of_file(holds(FLAT)),
    "A04": of_file(SPARSE, Operation.SNAPSHOT),
    "A05": declared(GZIP, "VMDK"),
    "A08": of_file(CHUNKED),
    "A11": of_file(CUT),
    "A12": of_file(parented),
    "A13": of_file(NO_GRAIN),
    "A14": of_file(NO_ALGORITHM),
    "A15": of_file(GZIP),
}

REPRODUCED: dict[str, Callable[[], Finding | None]] = {
    "A19": BLANK,
    "A20": refused("R-40"),
    "A21": refused("R-40"),
    "A22": BLANK,
    "A23": BLANK,
    "A25": HYBRID,
    "A29": guest(table("gpt"), for_instance, base=mbr),
    "A26": HYBRID,
    "A27": HYBRID,
    "A28": HYBRID,
    "A35": NO_ETC,
    "A36": OSTREE,
    "A37": NO_ETC,
    "A38": NO_ETC,
    "A40": guest(lambda p: p.having({"/etc/os-release": None})),
    "A41": guest(lambda p: p.having({"/etc/os-release": None})),
    "A42": refused("R-41"),
    "A45": NO_ETC,
    "A46": NIXOS,
    "A47": NIXOS,
    "A49": guest(line("\0")),
    "A50": refused("R-28"),
    "A51": guest(lambda p: replace(p, storage=replace(p.storage, incomplete_groups=("vg",)))),
    "A52": PHOTON,
    "A53": PHOTON,
    "A54": guest(put("/boot/grub/menu.lst", MENU_LST)),
    "A55": guest(grubenv(""), base=rhel),
    "A56": guest(base=lambda: of_row("centos-8"), name="2019"),
    "A57a": kernel("4.15.0-1021-aws", "ID=ubuntu\nVERSION_ID=16.04\n"),
    "A57b": kernel("4.18.0-15-generic", "ID=ubuntu\nVERSION_ID=18.04\n"),
    "A57c": kernel("4.9.0-8-amd64", "ID=debian\nVERSION_ID=9\n"),
    "A57d": kernel("5.8.0-59-generic", "ID=ubuntu\nVERSION_ID=20.04\n"),
    "A57e": kernel("5.4.66-gentoo-x86_64", "ID=gentoo\n"),
    "A57f": kernel("5.10.83-4.ph4-aws", "ID=photon\nVERSION_ID=4.0\n"),
    "A57g": kernel("5.10.220", "ID=buildroot\nVERSION_ID=2024\n"),
    "A58": guest(put("/boot/initrd.img-6.8.0-138-generic", b"\x1f\x8b\x08cut")),
}


def reported() -> dict[str, str]:
    """Every case with the message it was reported with; `same` is the one above."""
    found: dict[str, str] = {}
    last = ""
    for row in cells(FAILURES, "## A. Failure corpus", "### A7"):
        if re.fullmatch(r"A\d\d[a-g]?", row[0]):
            quoted = re.search(r"`([^`]+)`", row[1])
            if quoted is not None:
                last = quoted[1]
            found[row[0]] = last.replace("... ", "Unsupported kernel version ")
    return found


TOLD: dict[str, tuple[tuple[Make, ...], Severity, str]] = {
    "A06": ((GZIP,), Severity.FAILS, "R-01"),
    "A16": ((VHDX,), Severity.ADVICE, "imgpatch"),
    "A17": ((holds(DESCRIPTOR),), Severity.FAILS, "R-07"),
    "A18": ((archive(CD),), Severity.ADVICE, "R-82"),
}
"""Cases of which no message is known: what is told of such files."""


@needs_documents
def test_every_case_is_reproduced_or_has_a_reason() -> None:
    kinds = [REPRODUCED.keys(), OF_FILES.keys(), TOLD.keys(), NOT_HERE.keys()]
    assert reported().keys() == set().union(*kinds)
    assert sum(map(len, kinds)) == len(reported()), "each once"


@needs_documents
@pytest.mark.parametrize("name", REPRODUCED)
def test_a_case_has_the_words_it_was_met_with(name: str) -> None:
    words = words_of(name, REPRODUCED[name]())
    if name.startswith("A57"):
        assert words.endswith(reported()[name])


@needs_documents
@disks.needs_qemu_img
@pytest.mark.parametrize("name", OF_FILES)
def test_a_file_has_the_words_it_was_met_with(name: str) -> None:
    words_of(name, OF_FILES[name]())


@disks.needs_qemu_img
@pytest.mark.parametrize("name", TOLD)
def test_a_case_without_words_is_told(name: str, tmp_path: Path) -> None:
    makes, severity, rule = TOLD[name]
    (found,) = look(*(make(tmp_path) for make in makes))
    assert (found.severity, found.rule) == (severity, rule)


def words_of(name: str, found: Finding | None) -> str:
    """The status message of a finding, which is that of the case."""
    assert found is not None
    assert found.error is not None
    assert found.error in [match.row.id for match in catalogue.find(reported()[name])]
    return catalogue.rows()[found.error].words(found.values)


VHDX_FILE = Container("d.vhdx", "vhdx", GIB)


def controls() -> Iterator[tuple[str, Machine, str]]:
    """Machines that were imported, and what their disk was declared to be."""
    yield "P1", ubuntu().machine(), "VMDK"
    centos = in_archive()(of_row("centos-7")).machine()
    yield "P2", centos, "OVA"
    of_name = {row.name: row for row in windows.rows()}
    for name, disk, kind in (("2003", VHDX_FILE, "VHD"), ("10", STREAM, "VMDK")):
        guest = windows.guest(of_name[name])
        before_i386_stopped = edition.load("2025-12")
        yield "P3", Machine(guest, inspect(guest, EC2), before_i386_stopped, (disk,)), kind


@pytest.mark.parametrize(("name", "machine", "declared_as"), [*controls()], ids=lambda value: str(value)[:4])
def test_what_was_imported_is_not_said_to_fail(name: str, machine: Machine, declared_as: str) -> None:
    found = checks.run(machine)
    made = checking.Checked(found, machine.edition, machine.containers, machine.inspection, ())
    request = ImportRequest((AskedDisk(machine.containers[0].file, declared_as),))
    assert checks.predicted(asked.findings(request, made)) is None
    assert name != "P1" or found == ()
