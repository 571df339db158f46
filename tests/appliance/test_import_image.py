"""A whole disk asked to be imported as with the AWS CLI: one look, and the task as it would end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures import text_disks
from imgpatch.cli import main
from tests.checks.machines import OTHER, ubuntu

pytestmark = pytest.mark.appliance


def test_a_task_that_fails_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ubuntu().replaced("/boot/grub/grub.cfg", "set default=0", "set default=1")
    (disk,) = text_disks.make(parts.machine().guest, tmp_path, image_format="raw")
    arguments = [
        "--disk-containers",
        f"Format=raw,Url=file://{disk}",
        "--usage-operation",
        "RunInstances:0002",
    ]
    output = tmp_path / "out.raw"
    assert main(["import-image", *arguments, "--boot-mode", "uefi", "--output", str(output)]) == 1
    (task,) = json.loads(capsys.readouterr()[0])["ImportImageTasks"]
    assert task["StatusMessage"] == f"ClientError: Unsupported kernel version {OTHER}"
    assert (task["Status"], task["Platform"], task["BootMode"]) == ("deleted", "Linux", "uefi")
    assert task["UsageOperation"] == "RunInstances:0002"
    assert [row["Status"] for row in task["SnapshotDetails"]] == ["completed"]
    assert not output.exists()
