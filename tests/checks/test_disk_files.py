"""Real disk files: each with a fault, and its twin without."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fixtures import ovas, vmdks
from imgpatch import checking, edition
from imgpatch.checks import asked, predicted
from imgpatch.edition import NEWEST
from imgpatch.finding import Operation, Severity
from imgpatch.import_request import AskedDisk, ImportRequest
from imgpatch.progress import Silent
from tests.checks.files import (
    CD,
    CHANGED_OVA,
    CHUNKED,
    CUT,
    DESCRIPTOR,
    DISK,
    FLAT,
    GRAIN,
    GZIP,
    MIB,
    NO_ALGORITHM,
    NO_GRAIN,
    ODD,
    OTHER_COPY,
    OVA,
    SPARSE,
    STREAM,
    VHD,
    VHDX,
    VMDK,
    WHOLE,
    Make,
    archive,
    chunks,
    converted,
    edited,
    flipped,
    holds,
    look,
    parented,
    two_machines,
)
from tests.images import disks

pytestmark = disks.needs_qemu_img

FAILS, UNKNOWN, ADVICE = Severity.FAILS, Severity.UNKNOWN, Severity.ADVICE
IMAGE, SNAPSHOT, INSTANCE = Operation

FAULTS: dict[str, tuple[Make, Make, Severity, str, str | None]] = {
    "gzip": (GZIP, holds(DISK), FAILS, "R-01", "E-01"),
    "xz": (holds(b"\xfd7zXZ\0" + DISK[6:]), holds(DISK), FAILS, "R-01", "E-01"),
    "a tar that is no OVA": (holds(ovas.archive([("d.vmdk", DISK)])), OVA, FAILS, "R-01", "E-01"),
    "chunks": (CHUNKED, OVA, FAILS, "R-08", "E-03"),
    "chunks by their names": (chunks, OVA, FAILS, "R-08", "E-03"),
    "sparse VMDK": (SPARSE, VMDK, FAILS, "R-02", "E-04"),
    "flat VMDK": (holds(FLAT), VMDK, FAILS, "R-02", "E-04"),
    "split VMDK": (
        holds(vmdks.descriptor("twoGbMaxExtentSparse", ['RW 1 SPARSE "a"', 'RW 1 SPARSE "b"'])),
        VMDK, FAILS, "R-02", "E-04",
    ),
    "SEsparse": (holds(b"\xbe\xba\xfe\xca" + bytes(1020)), VMDK, FAILS, "R-06", None),
    "raw device": (holds(DESCRIPTOR), VMDK, FAILS, "R-07", None),
    "differencing VHD": (parented, VHD, FAILS, "R-05", "E-09"),
    "another copy of the footer": (OTHER_COPY, VHD, FAILS, "R-05", "E-09"),
    "VHD without its end": (edited(VHD, lambda d: d[:-512]), VHD, FAILS, "R-05", "E-09"),
    "a grain too short": (NO_GRAIN, WHOLE, FAILS, "R-09", "E-10"),
    "a grain changed": (edited(WHOLE, flipped(GRAIN + 40)), WHOLE, FAILS, "R-09", "E-10"),
    "algorithm 0": (NO_ALGORITHM, WHOLE, FAILS, "R-10", "E-12"),
    "VMDK without its end": (CUT, WHOLE, FAILS, "R-09", "A11"),
    "VHDX without its end": (edited(VHDX, lambda d: d[: 4 * MIB]), VMDK, FAILS, "R-09", "A11"),
    "OVA without its end": (edited(OVA, lambda d: d[: len(d) // 2]), OVA, FAILS, "R-09", "A11"),
    "not what its manifest says": (CHANGED_OVA, OVA, FAILS, "R-09", "A11"),
    "two machines": (two_machines, OVA, FAILS, "R-15", None),
    "odd length": (ODD, holds(DISK), FAILS, "R-32", "A19"),
    "blank": (holds(bytes(MIB)), holds(DISK), FAILS, "R-32", "A19"),
    "a CD": (archive(CD), OVA, ADVICE, "R-82", None),
    "VHDX": (VHDX, VMDK, ADVICE, "imgpatch", None),
    "qcow2": (converted("qcow2"), VMDK, ADVICE, "R-01", "E-01"),
    "VDI": (converted("vdi"), VMDK, ADVICE, "R-01", "E-01"),
    "another name": (
        converted("vpc", name="d.vmdk"), converted("vmdk", *STREAM, name="d.vmdk"), ADVICE, "R-01", "A05",
    ),
}  # fmt: skip
"""A file, its twin, and what is found of the first."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_file_is_found_and_its_twin_passes(tmp_path: Path, name: str) -> None:
    make, twin, severity, rule, error = FAULTS[name]
    (tmp_path / "twin").mkdir()
    (found,) = look(make(tmp_path))
    assert (found.severity, found.rule, found.error) == (severity, rule, error)
    assert found.path is not None
    assert found.path.startswith(str(tmp_path))
    assert not found.message.startswith(found.path)
    assert found.remedy
    assert look(twin(tmp_path / "twin")) == ()


@pytest.mark.parametrize(
    ("make", "name", "operation", "severity", "error"),
    [
        (SPARSE, NEWEST, SNAPSHOT, FAILS, "A04"),
        (SPARSE, "2024", IMAGE, FAILS, "E-12"),
        (SPARSE, "2019", IMAGE, FAILS, "E-12"),
        (SPARSE, NEWEST, INSTANCE, FAILS, "E-12"),
        (chunks, "2019", IMAGE, UNKNOWN, None),
        (OVA, NEWEST, SNAPSHOT, FAILS, None),
        (OVA, NEWEST, INSTANCE, UNKNOWN, "E-07"),
        (VHDX, NEWEST, INSTANCE, FAILS, "E-07"),
        (GZIP, NEWEST, INSTANCE, FAILS, "E-07"),
    ],
)  # fmt: skip
def test_editions_and_calls_differ(
    tmp_path: Path, make: Make, name: str, operation: Operation, severity: Severity, error: str | None
) -> None:
    (found,) = look(make(tmp_path), name=name, operation=operation)
    assert (found.severity, found.error) == (severity, error)


@pytest.mark.parametrize(("first", "second"), [(NO_GRAIN, SPARSE), (SPARSE, NO_GRAIN)])
def test_of_two_faults_one_is_left_when_the_other_is_cured(tmp_path: Path, first: Make, second: Make) -> None:
    """A disk with a damaged grain, and another that is not stream-optimized."""
    for name in "abcd":
        (tmp_path / name).mkdir()
    bad, worse = first(tmp_path / "a"), second(tmp_path / "b")
    sound = VMDK(tmp_path / "c")
    both = {(f.error, f.path) for f in look(bad, worse)}
    assert len(both) == 2
    assert both - {(f.error, f.path) for f in look(sound, worse)} == {(look(bad)[0].error, str(bad))}
    assert both - {(f.error, f.path) for f in look(bad, sound)} == {(look(worse)[0].error, str(worse))}
    assert look(sound, VMDK(tmp_path / "d")) == ()


def test_a_damaged_disk_is_not_launched(tmp_path: Path) -> None:
    found = checking.check_images([NO_GRAIN(tmp_path)], edition.load(), Silent())
    assert found.inspection is None
    assert [(f.severity, f.error) for f in found.findings] == [(FAILS, "E-10")]
    assert "unpacks to 100 instead of 65536 bytes" in found.findings[0].message


def test_a_snapshot_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is launched, and what is on the disk does not matter."""
    made = checking.check_images([VMDK(tmp_path)], edition.load(), Silent(), operation=SNAPSHOT)
    assert (made.inspection, made.findings) == (None, ())


def test_more_disks_than_the_service_takes(tmp_path: Path) -> None:
    files = [holds(DISK[:MIB].ljust(len(DISK), b"\0"), f"{number}.img")(tmp_path) for number in range(22)]
    (found,) = look(*files)
    assert (found.severity, found.rule) == (FAILS, "R-13")
    assert look(*files[:21]) == ()


def test_the_disks_of_an_ova_count_each(tmp_path: Path) -> None:
    stored = disks.make(tmp_path / "d", DISK, "vmdk", *STREAM).read_bytes()
    path = holds(ovas.good({f"d{n}.vmdk": stored for n in range(22)}), "vm.ova")(tmp_path)
    assert [f.rule for f in look(path)] == ["R-13"]


@pytest.mark.parametrize(
    ("make", "declared", "error"),
    [
        (holds(gzip.compress(DISK), "d.vmdk.gz"), "VMDK", "A05"),
        (GZIP, "RAW", "A19"),
        (GZIP, None, "E-01"),
        (OVA, "VMDK", "A05"),
        (OVA, "RAW", "A19"),
        (NO_GRAIN, "OVA", "A05"),
        (NO_GRAIN, "VMDK", "E-10"),
        (parented, "VHD", "E-09"),
        (parented, "VMDK", "A05"),
        (CHANGED_OVA, "OVA", "A11"),
    ],
)
def test_what_a_file_was_declared_to_be_comes_first(
    tmp_path: Path, make: Make, declared: str | None, error: str
) -> None:
    path = make(tmp_path)
    found = checking.check_images([path], edition.load(), Silent(), operation=_launches_none(error))
    first = predicted(asked.findings(ImportRequest((AskedDisk(str(path), declared),)), found))
    assert first is not None
    assert first.error == error


def _launches_none(error: str) -> Operation:
    """ImportSnapshot where the file is sound, so that no machine is needed."""
    return SNAPSHOT if error in ("A05", "A19") else IMAGE


def test_after_apply_a_vmdk_is_stream_optimized(tmp_path: Path) -> None:
    """As `apply --output` writes it; for that no machine has to be launched."""
    path = SPARSE(tmp_path)
    before, then = (
        checking.check_images([path], edition.load(), Silent(), after=after, operation=SNAPSHOT)
        for after in (False, True)
    )
    assert [f.error for f in before.findings] == ["A04"]
    assert then.findings == ()
