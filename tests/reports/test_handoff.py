"""The commands and documents for a snapshot import, as they fit a machine."""

from __future__ import annotations

import json
import shlex

import pytest

from imgpatch.finding import Machine
from imgpatch.reports import document
from imgpatch.reports.handoff import (
    Handoff,
    Upload,
    handoff,
    handoff_document,
    render_handoff,
    role_policy,
    trust_policy,
)
from tests.checks.changes import put, uefi
from tests.checks.machines import Parts, ubuntu
from tests.checks.test_windows_checks import machine as windows_machine
from tests.documents import DOCUMENTS, needs_documents, section

RAW = Upload("disk.raw", "raw")
I386 = bytes.fromhex("7f454c460101010000000000000000000300030001000000")
ARM = bytes.fromhex("7f454c460201010000000000000000000300b70001000000")


def made(machine: Machine, *disks: Upload) -> Handoff:
    return handoff(disks or (RAW,), machine.inspection, machine.storage)


def command(result: Handoff, name: str) -> list[list[str]]:
    return [list(step.argv) for step in result.steps if name in step.argv]


def option(result: Handoff, name: str) -> str:
    (argv,) = command(result, "register-image")
    return argv[argv.index(name) + 1]


def without_ena() -> Parts:
    return ubuntu().without(
        *(path for path in ubuntu().files if path.rsplit("/", 1)[-1].startswith(("ena.ko", "modules.")))
    )


def test_a_bios_machine_is_registered_so() -> None:
    result = made(ubuntu().machine())
    assert option(result, "--boot-mode") == "legacy-bios"
    assert option(result, "--architecture") == "x86_64"
    assert option(result, "--root-device-name") == "/dev/sda1"
    assert "--ena-support" in command(result, "register-image")[0]


def test_a_uefi_machine_is_registered_so() -> None:
    assert option(made(uefi().machine()), "--boot-mode") == "uefi"


@pytest.mark.parametrize(("header", "name"), [(I386, "i386"), (ARM, "arm64"), (b"", "x86_64")])
def test_the_architecture_is_that_of_the_programs(header: bytes, name: str) -> None:
    result = made(put("/usr/bin/dash", header)(ubuntu()).machine())
    assert option(result, "--architecture") == name
    assert any("x86_64 was assumed" in note for note in result.notes) == (not header)


def test_without_its_driver_ena_is_not_promised() -> None:
    result = made(without_ena().machine())
    assert "--ena-support" not in command(result, "register-image")[0]
    assert not result.ena_support
    assert any("no ENA driver" in note for note in result.notes)


def test_a_windows() -> None:
    result = made(windows_machine("2019", {}, {}))
    assert any("licence of Windows" in note for note in result.notes)
    assert option(result, "--boot-mode") in ("legacy-bios", "uefi")


def test_every_disk_is_a_snapshot_and_a_device() -> None:
    disks = (Upload("a b.qcow2", "qcow2"), Upload("data", "raw"))
    result = made(ubuntu().machine(), *disks)
    assert command(result, "convert") == [
        ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", "./a b.qcow2", "./a b.raw"]
    ]
    assert [argv[3:] for argv in command(result, "cp")] == [
        ["./a b.raw", "s3://BUCKET/FOLDER/a b.raw"],
        ["./data", "s3://BUCKET/FOLDER/data"],
    ]
    assert [argv[-1] for argv in command(result, "import-snapshot")] == [
        "file://disk1.json",
        "file://disk2.json",
    ]
    assert result.files["disk1.json"]["UserBucket"] == {"S3Bucket": "BUCKET", "S3Key": "FOLDER/a b.raw"}
    assert result.files["mappings.json"] == [
        {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "SNAPSHOT-1"}},
        {"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "SNAPSHOT-2"}},
    ]


@pytest.mark.parametrize(
    ("image_format", "variety", "sent"),
    [
        ("raw", "", "RAW"),
        ("vmdk", "streamOptimized", "VMDK"),
        ("vmdk", "monolithicSparse", None),
        ("vpc", "dynamic", "VHD"),
        ("vpc", "fixed", "VHD"),
        ("vhdx", "dynamic", None),
        ("vdi", "static", None),
        ("qcow2", "", None),
    ],
)
def test_what_the_service_takes_is_sent_as_it_is(image_format: str, variety: str, sent: str | None) -> None:
    result = made(ubuntu().machine(), Upload("d.x", image_format, variety))
    assert bool(command(result, "convert")) == (sent is None)
    assert result.files["disk1.json"]["Format"] == (sent or "RAW")
    name = "d.x" if sent else "d.raw"
    assert result.files["disk1.json"]["UserBucket"]["S3Key"] == f"FOLDER/{name}"
    assert command(result, "cp")[0][3] == f"./{name}"


def test_an_ova_is_unpacked_once() -> None:
    disks = [Upload(name, "vmdk", "streamOptimized", "vm.ova") for name in ("a.vmdk", "-b.vmdk")]
    result = made(ubuntu().machine(), *disks)
    assert command(result, "tar") == [["tar", "-xf", "./vm.ova", "--", "a.vmdk", "-b.vmdk"]]
    assert [argv[3] for argv in command(result, "cp")] == ["./a.vmdk", "./-b.vmdk"]


def test_disks_of_one_name_are_kept_apart_in_the_bucket() -> None:
    result = made(ubuntu().machine(), Upload("d.vmdk", "vmdk"), Upload("d.qcow2", "qcow2"), RAW)
    keys = [result.files[f"disk{n}.json"]["UserBucket"]["S3Key"] for n in (1, 2, 3)]
    assert keys == ["FOLDER/disk1/d.raw", "FOLDER/disk2/d.raw", "FOLDER/disk.raw"]
    assert [argv[4] for argv in command(result, "cp")] == [f"s3://BUCKET/{key}" for key in keys]


def test_every_file_that_a_command_reads_is_there() -> None:
    result = made(ubuntu().machine(), RAW, RAW)
    words = [word for step in result.steps for word in step.argv if word.startswith("file://")]
    assert {word.removeprefix("file://") for word in words} == set(result.files)


@needs_documents
def test_the_policies_are_those_of_the_documents() -> None:
    text = section(DOCUMENTS, "### 6.8", "# 7.")
    (statement,) = trust_policy()["Statement"]
    assert f"`{statement['Principal']['Service']}`" in text
    ((key, value),) = statement["Condition"]["StringEquals"].items()
    assert f"`{statement['Action']}`, condition `{key} = {value}`" in text
    actions = role_policy()["Statement"][1]["Action"]
    assert ", ".join(action.removeprefix("ec2:") for action in actions) in text


def test_the_text_is_a_script_with_the_same() -> None:
    result = made(ubuntu().machine(), Upload("a b.qcow2", "qcow2"))
    text = render_handoff(result)
    assert [shlex.join(step.argv) for step in result.steps] == [
        line for line in text.split("\n") if line.startswith(("aws ", "qemu-img "))
    ]
    for name, contents in result.files.items():
        body = text.split(f"cat > {name} <<'END'\n")[1].split("\nEND\n")[0]
        assert json.loads(body) == contents


def test_the_document_has_the_same() -> None:
    result = made(ubuntu().machine())
    data = json.loads(document.dumps(handoff_document(result)))
    assert data["files"]["trust-policy.json"] == trust_policy()
    assert (data["boot_mode"], data["architecture"], data["ena_support"]) == ("legacy-bios", "x86_64", True)
    assert [step["argv"] for step in data["steps"]] == [list(step.argv) for step in result.steps]


def test_a_name_reaches_no_terminal_as_it_is() -> None:
    text = render_handoff(made(ubuntu().machine(), Upload("a\x1b[31m\udce9.raw", "raw")))
    assert "\x1b" not in text
    text.encode("utf-8")
