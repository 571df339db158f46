"""Two machines compared: what differs is what the preview said, the kept originals and the manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fixtures import text_disks
from imgpatch.cli import cli, main
from imgpatch.images.appliance import Appliance
from imgpatch.manifest import MANIFEST_PATH
from imgpatch.originals import kept_name
from imgpatch.plan import Choices
from tests.appliance.machines import ROOT, SECOND, change, small_disk, small_guest

pytestmark = pytest.mark.appliance


def document(*arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def test_an_applied_machine_differs_by_its_plan_and_a_reverted_one_by_nothing(tmp_path: Path) -> None:
    disk = small_disk(tmp_path)
    out = tmp_path / "out.raw"
    plan = document("apply", disk, "--output", out)
    found = document("diff", disk, out)
    by_path = {row["path"]: row for row in found["differences"]}
    assert found["outside"] == []
    planned = {row["path"]: row for row in plan["changes"]}
    suffix = Choices().original_suffix
    kept = {kept_name(path, suffix): path for path, row in planned.items() if row["before"] is not None}
    added = {MANIFEST_PATH, str(Path(MANIFEST_PATH).parent)}
    assert by_path.keys() == {*planned, *kept, *added}
    for path, row in planned.items():
        assert by_path[path]["kind"] == row["kind"]
        assert by_path[path]["lines"] == row["diff"]
        assert by_path[path]["aspects"] == []
        assert by_path[path]["after"]["sha256"] == row["after"]["sha256"]
    assert {path: by_path[path]["original_of"] for path in kept} == kept

    assert main(["revert", str(out)]) == 0
    result = CliRunner().invoke(cli, ["diff", str(disk), str(out), "--exit-code"], standalone_mode=False)
    assert (result.output, result.return_value) == ("No differences.\n", 0)


HOSTILE = "/etc/\x1b[31mred\n# file: shadow"
UUID = "11111111-2222-3333-4444-555555555555"


def _more(appliance: Appliance) -> None:
    appliance.mkdir("/srv")
    appliance.write("/srv/same size", b"a" * 5000)
    appliance.write("/srv/untouched", b"z" * 70_000)
    appliance.write("/srv/sparse", b"")
    appliance.truncate_size("/srv/sparse", 3 << 30)
    appliance.write("/srv/gone", b"x")
    appliance.write("/srv/one", b"hard")


@pytest.mark.all_boots
def test_whatever_is_done_to_a_machine_is_found(tmp_path: Path) -> None:
    script = "setfattr -n user.a -v 0x0001 /sysroot/etc/hostname; mknod /sysroot/srv/d c 1 3"
    (disk,) = text_disks.make(small_guest(ROOT, SECOND), tmp_path, finish=_more)
    other = tmp_path / "other.raw"
    shutil.copy(disk, other)
    change(
        other,
        ("write", "/srv/same size", b"a" * 4999 + b"b"),
        ("utimens", "/srv/same size", 1, 0, 1, 0),
        ("write", HOSTILE, b"\x1b[2J\n"),
        ("ln_sf", "elsewhere", "/etc/os-release"),
        ("ln", "/srv/one", "/srv/two"),
        ("rm", "/srv/gone"),
        ("chmod", 0o600, "/etc/fstab"),
        ("chown", 33, 34, "/etc/fstab"),
        ("debug", "sh", [script]),
        ("set_label", "/dev/sda2", "data"),
        ("set_uuid", "/dev/sda2", UUID),
    )
    found = document("diff", disk, other)
    rows = {row["path"]: row for row in found["differences"]}
    aspects = {path: {a["name"]: a["after"] for a in row["aspects"]} for path, row in rows.items()}
    assert aspects == {
        "/etc/fstab": {"mode": "0600", "owner": "33:34"},
        "/etc/hostname": {"user.a": "0001"},
        "/etc/os-release": {"target": "elsewhere"},
        HOSTILE: {},
        "/srv/d": {},
        "/srv/gone": {},
        "/srv/one": {"names": "2"},
        "/srv/same size": {},
        "/srv/two": {},
    }
    assert rows["/srv/d"]["after"]["device"] == "1:3"
    assert rows["/srv/same size"]["contents"]
    assert {(row["where"], row["what"]) for row in found["outside"]} == {
        ("disk 1 partition 2", "uuid"),
        ("disk 1 partition 2", "label"),
        ("disk 1 partition 2 (ext4)", "sectors"),
    }
    result = CliRunner().invoke(cli, ["diff", str(disk), str(other), "--under", "/etc", "--times"])
    assert "\x1b" not in result.output
    assert "change /etc (directory" not in result.output
    assert "change /etc\n  mtime: " in result.output
    assert "+\\x1b[2J" in result.output
    assert "/srv" not in result.output
