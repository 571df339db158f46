"""The commands explain and edition, as a user calls them."""

from __future__ import annotations

import json

import pytest

from imgpatch import edition
from imgpatch.cli import main
from imgpatch.reports.editions import difference, facts


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    return code, *capsys.readouterr()


def test_a_message_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    message = "CLIENT_ERROR : ClientError: Unsupported kernel version 5.10.83-4.ph4-aws"
    code, out, _ = run(capsys, "explain", message)
    assert code == 0
    assert out.startswith("E-27  ClientError: Unsupported kernel version\n")
    assert "<release>:   5.10.83-4.ph4-aws\n" in out
    assert "imgpatch check" in out


def test_words_need_no_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "explain", "Footers", "not", "identical")[1].startswith("E-09 ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("E-04", "imgpatch check IMAGE..."),
        ("A04", "imgpatch check --operation import-snapshot IMAGE..."),
        ("E-08", "imgpatch check --operation import-instance IMAGE..."),
        ("A10", "no check of imgpatch predicts it"),
    ],
)
def test_how_to_test_for_it_here_is_said(error: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"test here:   {said}" in run(capsys, "explain", error)[1]


@pytest.mark.parametrize("operation", ["import-snapshot", "import-instance"])
def test_there_are_tasks_of_import_image_alone(operation: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "x.raw", "--format", "aws", "--operation", operation)
    assert (code, out) == (2, "")
    assert "a task of import-image" in err


def test_an_error_of_no_disk_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "explain", "Disk validation failed [Unsupported OVA format]")[1]
    assert "nothing in the disk files shows it" in out
    assert "KMS" in out


def test_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain")
    assert code == 0
    assert {line.split()[0] for line in out.rstrip().split("\n")} >= {f"E-{n:02}" for n in range(1, 29)}


def test_an_unknown_message_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "explain", "unable to detect the default kernel")
    assert (code, out) == (2, "")
    assert "nearest: E-23" in err


def test_what_is_like_nothing_is_no_error_of_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "explain", "qwertz")
    assert code == 2
    assert "imgpatch explain lists all of them" in err


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, "explain", "Unsupported kernel version \x1b[31m1.2")
    assert "\x1b" not in out + err


def test_explained_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = json.loads(run(capsys, "explain", "Unsupported kernel version 1.2.3", "--json")[1])["errors"]
    assert (row["id"], row["values"], row["offline"]) == ("E-27", {"release": "1.2.3"}, "yes")


def test_editions_are_listed_oldest_first(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "edition", "list")[1]
    assert [line.split()[0] for line in out.rstrip().split("\n")] == [*edition.names()]
    rows = json.loads(run(capsys, "edition", "list", "--json")[1])["editions"]
    assert [row["name"] for row in rows] == [*edition.names()]


def test_an_edition_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "edition", "show", "2019")[1]
    assert "  nfs\n" in out
    assert "free on the root of Linux: 250 MiB\n" in out
    assert "SLES 11 SP1: 2.6.32.12-0.7\n" in out
    assert "E-27" not in out
    shown = json.loads(run(capsys, "edition", "show", "--json")[1])
    assert shown["edition"]["name"] == "2026"
    assert "E-27" in shown["errors"]


def test_an_unknown_edition_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "edition", "show", "2020")[0] == 2
    assert run(capsys, "edition", "diff", "2019", "2020")[0] == 2


def test_no_edition_differs_from_itself() -> None:
    for name in edition.names():
        assert difference(edition.load(name), edition.load(name)) == {}


def test_the_last_two_differ_as_the_documents_say(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "edition", "diff", "2025-12", "2026")[1]
    assert "+ R-64 " in out
    assert "+ Debian 12.7: 6.1.0\n" in out
    assert "- Oracle Linux 9.6: 6.12.0; UEK 6.12.0\n" in out
    assert "+ Oracle Linux 9.6-9.7: 5.14.0; UEK 6.12.0\n" in out
    assert "+ 32-bit systems stop (R-64): 2026-04-01\n" in out
    assert "CentOS 9: 5.14.0" not in out
    assert "Errors" not in out


def test_the_first_two_differ_in_errors_and_types(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "edition", "diff", "2019", "2024", "--json")[1])["differences"]
    errors = {row["name"] for row in rows if row["subject"] == "Errors" and row["2019"] is None}
    assert errors == {"E-03", "E-15", "E-19", "E-23", "E-24", "E-27"}
    assert {"subject": "fstab types that are disabled", "name": "nfs", "2019": "", "2024": None} in rows


def test_a_difference_is_told_whole() -> None:
    """What the two editions say and the differences between them give the one from the other."""
    for one, two in zip(edition.names(), edition.names()[1:], strict=False):
        old, new = edition.load(one), edition.load(two)
        after = {subject: dict(rows) for subject, rows in facts(old).items()}
        for subject, changed in difference(old, new).items():
            for name, (_, value) in changed.items():
                after[subject].pop(name, None)
                if value is not None:
                    after[subject][name] = value
        assert after == facts(new)
