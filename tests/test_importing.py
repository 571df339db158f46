"""The commands import-image and handoff where they need no appliance: refusals, and what they print."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from imgpatch import operations
from imgpatch.cli import main
from imgpatch.images.disk import Image
from imgpatch.operations import Inspected
from tests.checks.machines import ubuntu

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A file that no service takes for a disk: of odd length, and blank."""
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(MIB + 469))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["import-image", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_the_task_as_the_cli_prints_it(
    tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = tmp_path / "containers.json"
    containers.write_text(json.dumps([{"Format": "raw", "Url": f"file://{disk}"}]))
    code, out, err = run(
        capsys,
        *("--disk-containers", f"file://{containers}"),
        *("--boot-mode", "uefi", "--license-type", "BYOL", "--description", "a filer"),
        *("--role-name", "vmimport"),
    )
    assert code == 1
    (task,) = json.loads(out)["ImportImageTasks"]
    assert (task["Status"], task["BootMode"], task["LicenseType"]) == ("deleted", "uefi", "BYOL")
    assert task["StatusMessage"] == "ClientError: No valid partitions. Not a valid volume."
    assert task["Description"] == "a filer"
    assert "--role-name is ignored" in err


def test_shorthand_and_text(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--disk-containers", f"Format=raw,Url={disk}", "--format", "text")
    assert code == 1
    assert out.startswith("The import would fail (edition 2026), with\n  ClientError: No valid partitions.")


def test_a_file_that_is_not_what_it_was_declared_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "disk.vmdk.gz"
    path.write_bytes(gzip.compress(bytes(MIB)))
    code, out, _ = run(capsys, "--disk-containers", f"Format=VMDK,Url={path}")
    assert code == 1
    (task,) = json.loads(out)["ImportImageTasks"]
    assert task["StatusMessage"] == "disk validation failed [unsupported specified file format]"
    assert [(disk["Format"], disk["Status"]) for disk in task["SnapshotDetails"]] == [("VMDK", "deleted")]


def test_nothing_is_written_where_the_import_would_fail(
    tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.raw"
    assert run(capsys, "--disk-containers", f"Url={disk}", "--output", output)[0] == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--license-type", "AWS", "--usage-operation", "RunInstances"], "takes one of them"),
        (["--license-type", "AWS", "--platform", "Linux"], "--platform is Linux"),
        (["--usage-operation", "RunInstances:0002", "--platform", "Linux"], "--platform is Linux"),
        (["--usage-operation", "RunInstances:9"], "RunInstances:0800"),
        (["--boot-mode", "uefi", "--edition", "2019"], "no such option"),
        (["--output", "a", "--output", "b"], "1 disks and 2 outputs"),
        (["--output-format", "vmdk"], "go with --output"),
        (["--thin"], "go with --output"),
        (["--output", "a", "--thin", "--output-format", "raw"], "--thin writes qcow2"),
    ],
)
def test_a_call_that_the_service_refuses(
    disk: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "--disk-containers", f"Url={disk}", *options)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("file://nowhere.json", "cannot be read"),
        ("file://disk.raw", "cannot be read"),
        ('[{"UserBucket": {"S3Bucket": "b", "S3Key": "k"}}]', '"Url": "file:///srv/images/disk.raw"'),
        ("Url=nowhere.raw", "no such file"),
    ],
)
def test_disks_that_are_not_there(
    tmp_path: Path,
    value: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk.raw").write_bytes(b"\xff\xfe")
    code, out, err = run(capsys, "--disk-containers", value)
    assert (code, out) == (2, "")
    assert words in err


@pytest.fixture
def _opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is open already."""
    machine = ubuntu().machine()
    images = (Image(Path("/srv/web.qcow2"), "qcow2", MIB),)
    found = Inspected(images, machine.storage, machine.inspection, ())
    monkeypatch.setattr(operations, "inspect_images", lambda *_: found)


@pytest.mark.usefixtures("_opened")
def test_handoff_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["handoff", "web.qcow2"]) == 0
    out = capsys.readouterr()[0]
    assert "\nqemu-img convert -f qcow2 -O raw ./web.qcow2 ./web.raw\n" in out
    assert "--boot-mode legacy-bios --ena-support" in out
    assert main(["handoff", "web.qcow2", "--json"]) == 0
    data = json.loads(capsys.readouterr()[0])
    assert set(data) >= {"schema", "steps", "files", "notes", "boot_mode"}
