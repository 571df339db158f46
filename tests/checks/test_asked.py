"""What was asked of the import against the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgpatch import checks, edition
from imgpatch.checking import Checked
from imgpatch.checks import asked, predicted
from imgpatch.finding import Archive, Container, Finding, Machine, Severity
from imgpatch.import_request import LICENCES, OPERATIONS, AskedDisk, ImportRequest, System
from imgpatch.reports import task
from tests.checks.changes import alone, uefi
from tests.checks.machines import GIB, STREAM, Parts, ubuntu
from tests.checks.test_windows_checks import machine as windows_machine

RAW = Container("/srv/disk.raw", "raw", 25 * GIB, 25 * GIB)
QCOW2 = Container("/srv/disk.qcow2", "qcow2", 25 * GIB, GIB)
DISK = AskedDisk("/srv/disk.raw", "RAW")
FAILS, UNKNOWN, MAY = Severity.FAILS, Severity.UNKNOWN, Severity.MAY_NOT_BOOT


def of_machine(machine: Machine, container: Container = RAW) -> Checked:
    return Checked(
        checks.run(machine), machine.edition, (container,), machine.inspection, (), machine.storage
    )


def of_parts(parts: Parts, container: Container = RAW) -> Checked:
    return of_machine(replace(parts, containers=(RAW,)).machine(), container)


def found(checked: Checked, request: ImportRequest) -> list[tuple[Severity, str]]:
    """Severity and rule of what the request adds."""
    mine = [f for f in asked.findings(request, checked) if f not in checked.findings]
    return [(finding.severity, finding.rule) for finding in mine]


def windows(name: str) -> Checked:
    return of_machine(windows_machine(name, {}, {}))


@pytest.mark.parametrize("code", OPERATIONS)
def test_a_usage_operation_fits_the_system_or_fails(code: str) -> None:
    request = ImportRequest((DISK,), usage_operation=code)
    fits = System.LINUX in OPERATIONS[code]
    assert found(of_parts(ubuntu()), request) == ([] if fits else [(FAILS, "M-24")])
    fits = System.WINDOWS_SERVER in OPERATIONS[code]
    assert found(windows("2019"), request) == ([] if fits else [(FAILS, "M-24")])


@pytest.mark.parametrize("licence", LICENCES)
def test_a_licence_fits_the_system_or_fails(licence: str) -> None:
    request = ImportRequest((DISK,), license_type=licence)
    assert found(of_parts(ubuntu()), request) == ([(FAILS, "M-24")] if licence == "AWS" else [])
    assert found(windows("2019"), request) == []
    assert found(windows("10"), request) == ([(FAILS, "M-24")] if licence == "AWS" else [])


def test_of_a_client_with_the_operation_of_a_server_nothing_is_known() -> None:
    assert found(windows("10"), ImportRequest((DISK,), usage_operation=asked.SERVER_BYOL)) == [
        (UNKNOWN, "M-24")
    ]


def test_a_failing_licence_has_no_words_made_up() -> None:
    checked = of_parts(ubuntu())
    request = ImportRequest((DISK,), license_type="AWS")
    first = predicted(asked.findings(request, checked))
    assert first is not None
    assert (first.error, first.evidence) == (None, "--license-type")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ImportRequest((DISK,)), []),
        (ImportRequest((DISK,), platform="Linux", architecture="x86_64", boot_mode="legacy-bios"), []),
        (ImportRequest((DISK,), platform="Windows"), [(UNKNOWN, "M-24")]),
        (ImportRequest((DISK,), architecture="i386"), [(UNKNOWN, "M-24")]),
        (ImportRequest((DISK,), boot_mode="uefi"), [(MAY, "R-25")]),
    ],
)
def test_parameters_against_a_bios_machine(
    request_: ImportRequest, expected: list[tuple[Severity, str]]
) -> None:
    assert found(of_parts(ubuntu()), request_) == expected


def test_parameters_against_a_uefi_machine() -> None:
    checked = of_parts(uefi())
    assert found(checked, ImportRequest((DISK,), boot_mode="uefi")) == []
    assert found(checked, ImportRequest((DISK,), boot_mode="legacy-bios")) == [(MAY, "R-25")]


@pytest.mark.parametrize(
    ("declared", "container", "error"),
    [
        (None, RAW, None),
        ("RAW", RAW, None),
        (None, QCOW2, None),
        ("RAW", QCOW2, "A19"),
        ("VMDK", QCOW2, "A05"),
        ("VMDK", RAW, "A05"),
        ("OVA", RAW, "A05"),
        ("VMDK", replace(RAW, format="vmdk"), None),
        ("VHD", replace(RAW, format="vpc"), None),
    ],
)
def test_a_declared_format_comes_before_all_else(
    declared: str | None, container: Container, error: str | None
) -> None:
    request = ImportRequest((AskedDisk("x", declared),))
    first = predicted(asked.findings(request, of_parts(alone("4.18.0-15-generic")(ubuntu()), container)))
    assert first is not None
    assert first.error == (error or "E-27")


def test_of_a_machine_that_was_not_opened_only_the_format_is_looked_at() -> None:
    finding = Finding("R-43", FAILS, "encrypted", "decrypt it", error="E-15")
    checked = Checked((finding,), edition.load(), (RAW,), None, ())
    request = ImportRequest((AskedDisk("x", "VMDK"),), license_type="AWS", boot_mode="uefi")
    assert [f.error for f in asked.findings(request, checked)] == ["A05", "E-15"]


def test_the_task_has_what_was_asked_for() -> None:
    request = ImportRequest(
        (AskedDisk("/srv/disk.raw", "RAW", "the system", "/dev/sda1"),),
        boot_mode="uefi",
        usage_operation="RunInstances",
        platform="Linux",
        description="a filer",
        encrypted=True,
        kms_key_id="alias/k",
    )
    (row,) = task.asked_document(of_parts(ubuntu()), request)["ImportImageTasks"]
    assert {name: row[name] for name in ("BootMode", "Description", "Encrypted", "KmsKeyId", "Platform")} == {
        "BootMode": "uefi",
        "Description": "a filer",
        "Encrypted": True,
        "KmsKeyId": "alias/k",
        "Platform": "Linux",
    }
    assert row["UsageOperation"] == "RunInstances"
    assert "LicenseType" not in row
    (disk,) = row["SnapshotDetails"]
    assert (disk["Format"], disk["Description"], disk["DeviceName"]) == ("RAW", "the system", "/dev/sda1")
    assert disk["Url"] == f"file://{RAW.name}"


def test_the_disks_of_an_ova_are_one_container_that_was_asked_for() -> None:
    archive = Archive("/srv/vm.ova", GIB)
    files = tuple(replace(STREAM, name=f"/srv/vm.ova: d{n}.vmdk", archive=archive) for n in (1, 2))
    other = AskedDisk("/srv/disk.raw", "RAW", "data", "/dev/sdc")
    request = ImportRequest((AskedDisk("/srv/vm.ova", "OVA", "the system", "/dev/sda1"), other))
    checked = replace(of_parts(ubuntu()), containers=(*files, RAW))
    assert asked.findings(request, checked) == checked.findings
    (row,) = task.asked_document(checked, request)["ImportImageTasks"]
    names = ("Url", "Format", "Description", "DeviceName")
    assert [[disk.get(name) for name in names] for disk in row["SnapshotDetails"]] == [
        ["file:///srv/vm.ova", "VMDK", "the system", None],
        ["file:///srv/vm.ova", "VMDK", "the system", None],
        ["file:///srv/disk.raw", "RAW", "data", "/dev/sdc"],
    ]
    wrong = replace(request, disks=(replace(request.disks[0], format="VMDK"), other))
    assert [f.error for f in asked.findings(wrong, checked)] == ["A05"]


@pytest.mark.parametrize("declared", ["VHD", "VHDX"])
def test_a_vhdx_was_taken_under_both_names(declared: str) -> None:
    vhdx = Container("/srv/d.vhdx", "vhdx", GIB, GIB)
    request = ImportRequest((AskedDisk(vhdx.name, declared),))
    assert predicted(asked.findings(request, of_parts(ubuntu(), vhdx))) is None


def test_a_task_that_was_asked_for_nothing_is_the_task_as_it_was() -> None:
    checked = of_parts(ubuntu())
    plain = ImportRequest((AskedDisk("/srv/disk.raw"),))
    assert task.asked_document(checked, plain) == task.task_document(checked)
