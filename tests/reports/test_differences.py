"""What differs between two machines, as text and as JSON; nothing a guest wrote reaches a terminal raw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures import hives
from imgpatch.cli import cli, main
from imgpatch.comparison import Aspect, Comparison, Difference, Node
from imgpatch.formats import cpio
from imgpatch.outside import Outside
from imgpatch.reports import differences
from imgpatch.reports.differences import comparison_document, describe, limit, render_comparison

LEFT_OUT = "2 of them are not shown: ask for a part with --under."
NOTHING = Comparison((), {})


@dataclass
class Compared:
    outside: tuple[Outside, ...] = ()
    files: Comparison = NOTHING
    messages: tuple[str, ...] = ()


OLD = Node("/etc/fstab", "file", 0o644, size=4, sha256="a" * 64)
NEW = Node("/etc/fstab", "file", 0o600, size=4, sha256="b" * 64)
KEPT = Node("/etc/fstab.imgpatch.orig", "file", 0o644, size=4, sha256="a" * 64)
LINK = Node("/etc/x", "link", 0o777, target="../usr/\x1b[31m")
FOUND = Compared(
    (Outside("disk 1 partition 1", "uuid", "a", None), Outside("disk 1, GPT", "sectors", None, "2 differ")),
    Comparison(
        (
            Difference(
                "/etc/fstab",
                OLD,
                NEW,
                (Aspect("mode", "0644", "0600"),),
                True,
                None,
                ("@@", "-a", "+\x1b[2J"),
            ),
            Difference(KEPT.path, None, KEPT, (), True, "/etc/fstab"),
            Difference(LINK.path, None, LINK),
            Difference("/var/big", Node("/var/big", "file", size=9), None, (), True),
        ),
        {"add": 2, "change": 1, "remove": 3},
    ),
    ("before: a journal\r was replayed",),
)


def test_differences_as_text() -> None:
    assert render_comparison(FOUND).split("\n") == [
        "before: a journal\\r was replayed",
        "",
        "Outside the files",
        "  disk 1 partition 1: uuid: a -> none",
        "  disk 1, GPT: sectors: 2 differ",
        "",
        "change /etc/fstab",
        "  mode: 0644 -> 0600",
        "  M-01     the original is kept as /etc/fstab.imgpatch.orig",
        "  @@",
        "  -a",
        "  +\\x1b[2J",
        "",
        "add /etc/fstab.imgpatch.orig (file, mode 0644, owner 0:0)",
        "  M-01     the original of /etc/fstab",
        "",
        "add /etc/x (link to ../usr/\\x1b[31m, owner 0:0)",
        "",
        "remove /var/big (file, mode 0000, owner 0:0)",
        "  before: 9 bytes, not read to its end",
        "",
        f"6 paths differ: 2 added, 1 changed, 3 removed. {LEFT_OUT}",
        "",
    ]


def test_differences_as_json() -> None:
    document = json.loads(json.dumps(comparison_document(FOUND)))
    assert document["counts"] == {"added": 2, "changed": 1, "removed": 3}
    assert document["left_out"] == 2
    assert document["outside"][0] == {
        "where": "disk 1 partition 1",
        "what": "uuid",
        "before": "a",
        "after": None,
    }
    first, second, third, _ = document["differences"]
    assert (first["kind"], first["before"]["mode"], first["after"]["mode"]) == ("change", "0644", "0600")
    assert first["aspects"] == [{"name": "mode", "before": "0644", "after": "0600"}]
    assert second["original_of"] == "/etc/fstab"
    assert second["before"] is None
    assert third["after"]["target"] == LINK.target


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        (Compared(), "No differences.\n"),
        (Compared(FOUND.outside), "No path differs.\n"),
        (Compared(files=Comparison((), {"add": 1})), "1 path differs: 1 added, 0 changed, 0 removed."),
    ],
)
def test_the_last_line_counts(compared: Compared, words: str) -> None:
    assert words in render_comparison(compared)


def test_contents_are_shown_as_the_preview_shows_them() -> None:
    assert describe("/etc/x", b"a\nb\n", b"a\nc\n")[-2:] == ("-b", "+c")
    assert describe("/etc/x", None, b"a\n")[-1] == "+a"
    before, after = (
        cpio.make_entry("init", data, mode=0o100755, mtime=0, ino=1) + cpio.trailer()
        for data in (b"1", b"22")
    )
    assert "~ init (1 -> 2 bytes)" in describe("/boot/initrd.img-6.1", before, after)
    one, other = (hives.build(f'[A]\n"Start"=dword:{n}\n') for n in ("00000003", "00000000"))
    assert "+   Start (REG_DWORD) 0" in describe("/C:/Windows/System32/config/SYSTEM", one, other)


def test_what_is_no_text_is_told_by_size_and_digest() -> None:
    assert describe("/usr/bin/x", b"\x7fELF\0", b"\x7fELF\1") == ()
    assert describe("/var/x.gz", None, b"\x1f\x8b\x08x") == ()


def test_long_differences_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MOST_LINES", 5)
    lines = describe("/x", None, b"line\n" * 20)
    assert (len(lines), lines[-1]) == (6, "... and 18 more lines")


@pytest.mark.parametrize(
    ("path", "both", "expected"),
    [
        ("/boot/initrd.img-6.1", True, differences.LARGEST_KNOWN),
        ("/boot/initramfs-6.1.img", False, 0),
        ("/C:/Windows/System32/config/SYSTEM", True, differences.LARGEST_KNOWN),
        ("/C:/Users/x/NTUSER.DAT", True, differences.LARGEST_KNOWN),
        ("/S:/Boot/BCD", True, differences.LARGEST_KNOWN),
        ("/C:/Windows/System32/config/SYSTEM.LOG1", True, differences.LARGEST_TEXT),
        ("/usr/bin/x", True, differences.LARGEST_TEXT),
        ("/usr/bin/x", False, differences.LARGEST_NEW),
    ],
)
def test_how_large_contents_are_read(path: str, both: bool, expected: int) -> None:
    assert limit(path, both) == expected


@pytest.mark.parametrize(
    "arguments", [[], ["a"], ["a", "b", "c"], ["--before", "a"], ["a", "b", "--before", "c", "--after", "d"]]
)
def test_two_machines_are_wanted(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *arguments]) == 2
    assert "two machines" in capsys.readouterr().err


def test_the_same_file_twice_has_no_differences_and_needs_no_appliance(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    mbr = bytearray(1 << 20)
    mbr[446:462] = bytes.fromhex("80000000830000000008000000080000")
    mbr[510:512] = b"\x55\xaa"
    disk.write_bytes(mbr + bytes(3 << 20))
    for arguments in ([disk, disk], ["--before", disk, "--after", disk]):
        result = CliRunner().invoke(cli, ["diff", *map(str, arguments), "--exit-code"], standalone_mode=False)
        assert (result.output, result.return_value) == ("No differences.\n", 0)
