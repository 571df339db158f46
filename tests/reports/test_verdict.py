"""The verdict as text, as JSON and as the task that the AWS CLI would show."""

from __future__ import annotations

import json

import pytest

from imgpatch import edition
from imgpatch.checking import Checked
from imgpatch.checks import opening
from imgpatch.errors import UnsupportedGuestError
from imgpatch.finding import Container, Finding, Operation, Severity
from imgpatch.reports import document, task, verdict
from tests.checks.changes import alone, put
from tests.checks.machines import GIB, Parts, ubuntu

KERNEL = "4.18.0-15-generic"
WORDS = f"ClientError: Unsupported kernel version {KERNEL}"
DISK = Container("/srv/images/disk.vmdk", "vmdk", 25 * GIB, 705638400)


def checked(parts: Parts, name: str = edition.NEWEST) -> Checked:
    machine = parts.machine(name)
    return Checked(
        parts.findings(name), machine.edition, (DISK,), machine.inspection, ("a journal was replayed",)
    )


def refused() -> Checked:
    error = UnsupportedGuestError("disk 1 partition 3: encrypted", hint="decrypt it", rule="R-43")
    finding = opening.finding(error, edition.load())
    assert finding is not None
    return Checked((finding,), edition.load(), (DISK,), None, ())


def test_the_verdict_comes_first_with_the_words_of_the_service() -> None:
    lines = verdict.render_verdict(checked(alone(KERNEL)(ubuntu()))).split("\n")
    assert lines[0] == "The import would fail (edition 2026), with"
    assert lines[1] == f"  {WORDS}"
    assert lines[3] == "The import fails"
    assert lines[4].startswith(f"  E-27 R-61  /boot/vmlinuz-{KERNEL}: ")
    assert lines[5].strip().startswith("-> ")
    assert "a journal was replayed" in lines


def test_where_all_is_well_it_says_what_was_not_looked_at() -> None:
    text = verdict.render_verdict(checked(ubuntu()))
    assert text.startswith("Nothing was found that makes the import fail (edition 2026).\n")
    assert verdict.NOT_SEEN in text


def test_the_most_decisive_comes_first() -> None:
    parts = put("/usr/sbin/sshd", None)(alone(KERNEL)(ubuntu()))
    text = verdict.render_verdict(checked(parts))
    assert text.index("E-27") < text.index("R-84")


def test_words_that_are_not_known_are_not_made_up() -> None:
    arm = bytes.fromhex("7f454c460201010000000000000000000300b70001000000")
    result = checked(put("/usr/bin/dash", arm)(ubuntu()))
    assert verdict.render_verdict(result).startswith(
        "The import would fail; with which words is not known (edition 2026).\n"
    )
    (row,) = task.task_document(result)["ImportImageTasks"]
    assert row["Status"] == "deleted"
    assert "StatusMessage" not in row


def test_a_machine_that_cannot_be_opened_is_told_as_such() -> None:
    text = verdict.render_verdict(refused())
    assert "ClientError: Unknown OS / Missing OS files." in text
    assert "-> decrypt it" in text
    assert verdict.NOT_OPENED in text
    assert verdict.verdict_document(refused())["verdict"]["opened"] is False


def test_what_the_guest_wrote_reaches_no_terminal() -> None:
    found = Finding(
        "R-50", Severity.FAILS, "a\x1b[31m", "b\x07", error="E-27", path="/\x1b", values={"release": "\x1b"}
    )
    result = Checked((found,), edition.load(), (DISK,), None, ("\x1b",))
    assert not {"\x1b", "\x07"} & {*verdict.render_verdict(result)}


def test_the_document_has_the_same() -> None:
    data = json.loads(document.dumps(verdict.verdict_document(checked(alone(KERNEL)(ubuntu())))))
    assert data["verdict"] == {
        "fails": True,
        "error": "E-27",
        "status_message": WORDS,
        "unknown": 0,
        "opened": True,
    }
    (finding,) = data["findings"]
    assert (finding["severity"], finding["status_message"]) == ("the import fails", WORDS)
    assert finding["values"] == {"release": KERNEL}
    assert data["disks"] == [
        {"name": DISK.name, "format": "vmdk", "size": DISK.size, "file_size": DISK.file_size}
        | {"variety": "", "maker": "", "damage": "", "archive": None}
    ]


def test_a_failed_task_is_as_the_cli_tells_it() -> None:
    (row,) = task.task_document(checked(alone(KERNEL)(ubuntu())))["ImportImageTasks"]
    assert (row["Status"], row["StatusMessage"]) == ("deleted", WORDS)
    assert row["SnapshotDetails"] == [
        {"DiskImageSize": 705638400.0, "Format": "VMDK", "Status": "completed", "Url": f"file://{DISK.name}"}
    ]
    assert (row["Platform"], row["Architecture"], row["BootMode"]) == ("Linux", "x86_64", "legacy-bios")
    assert row["ImportTaskId"].startswith("import-ami-")
    assert len(row["ImportTaskId"]) == len("import-ami-") + 17


def test_a_task_that_completes_has_no_message() -> None:
    (row,) = task.task_document(checked(ubuntu()))["ImportImageTasks"]
    assert row["Status"] == "completed"
    assert "StatusMessage" not in row


def test_a_disk_that_is_none_is_not_taken_in() -> None:
    finding = opening.finding(UnsupportedGuestError("disk.vmdk: blank", rule="R-32"), edition.load())
    assert finding is not None
    result = Checked((finding,), edition.load(), (DISK,), None, ())
    (row,) = task.task_document(result)["ImportImageTasks"]
    assert row["StatusMessage"] == "ClientError: No valid partitions. Not a valid volume."
    assert [disk["Status"] for disk in row["SnapshotDetails"]] == ["deleted"]


@pytest.mark.parametrize("colour", [False, True])
def test_colour_is_only_where_it_is_wanted(colour: bool) -> None:
    assert ("\x1b[" in verdict.render_verdict(checked(ubuntu()), colour=colour)) == colour


@pytest.mark.parametrize("operation", Operation)
def test_a_machine_that_was_not_opened_is_not_said_to_pass(operation: Operation) -> None:
    finding = opening.finding(UnsupportedGuestError("two", rule="R-35"), edition.load(), operation)
    assert finding is not None
    result = Checked((finding,), edition.load(), (DISK,), None, (), operation=operation)
    first, *_, last = verdict.render_verdict(result).rstrip("\n").split("\n")
    if operation is Operation.SNAPSHOT:
        assert last == verdict.AS_IT_IS
    else:
        assert first.startswith("Whether the import fails cannot be known")
        assert last == verdict.NOT_OPENED
    assert (operation.value in first) == (operation is not Operation.IMAGE)
