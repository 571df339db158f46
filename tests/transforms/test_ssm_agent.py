"""M-12: a package of the user's, for the guest to install at its first boot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch import edition
from imgpatch.cli import main
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.system import OperatingSystem
from imgpatch.plan import Choices, Context, NoteKind, Package, Plan, make_plan
from imgpatch.reports.not_mirrored import not_mirrored
from imgpatch.storage import Storage
from imgpatch.transforms import ssm_agent

DEB = Package("deb", b"!<arch>\ndebian-binary")
RPM = Package("rpm", b"\xed\xab\xee\xdb")
DEBIAN = ("/usr/lib/systemd/systemd", "/usr/bin/dpkg")
ROCKY = ("/usr/lib/systemd/systemd", "/usr/bin/rpm")


def plan_of(package: Package | None, paths: tuple[str, ...]) -> Plan:
    guest = Guest(MemoryTree(dict.fromkeys(paths, b"")), Storage())
    system = OperatingSystem("linux", (), "1", "Linux", "x86_64")
    inspection = Inspection(system, "bios", None, (), Network((), ()))
    choices = Choices(ssm_package=package)
    return make_plan(guest, [ssm_agent], Context(edition.load(), inspection, choices))


@pytest.mark.parametrize(
    ("package", "paths", "command"),
    [
        (DEB, DEBIAN, "/usr/bin/dpkg --install /var/lib/imgpatch/amazon-ssm-agent.deb"),
        (RPM, ROCKY, "/usr/bin/rpm --upgrade --replacepkgs /var/lib/imgpatch/amazon-ssm-agent.rpm"),
    ],
)
def test_the_guest_installs_it(package: Package, paths: tuple[str, ...], command: str) -> None:
    plan = plan_of(package, paths)
    after = {change.path: change.after for change in plan.changes}
    assert after[f"/var/lib/imgpatch/amazon-ssm-agent.{package.kind}"] == package.data
    assert f"\nExecStart={command}\n".encode() in (after[ssm_agent.UNIT] or b"")
    assert after[ssm_agent.WANTED_BY] == b"[Unit]\nWants=imgpatch-ssm-agent.service\n"
    assert all(change.before is None for change in plan.changes)
    assert "M-12" not in {note.rule for note in not_mirrored(edition.load(), plan)}


@pytest.mark.parametrize(
    ("package", "paths", "text"),
    [
        (DEB, ROCKY, "the guest has no dpkg for a .deb"),
        (RPM, ("/bin/rpm",), "the guest has no systemd for a .rpm"),
    ],
)
def test_a_guest_that_cannot_is_said(package: Package, paths: tuple[str, ...], text: str) -> None:
    plan = plan_of(package, paths)
    assert plan.is_empty
    assert [(note.kind, note.rule) for note in plan.notes] == [(NoteKind.WARNING, "M-12")]
    assert text in plan.notes[0].text


def test_one_that_is_there_stays() -> None:
    plan = plan_of(DEB, (*DEBIAN, "/usr/bin/amazon-ssm-agent"))
    assert plan.is_empty
    assert [note.kind for note in plan.notes] == [NoteKind.DECISION]


def test_without_a_package_it_is_said_not_to_be_mirrored() -> None:
    plan = plan_of(None, DEBIAN)
    assert plan.is_empty
    assert "M-12" in {note.rule for note in not_mirrored(edition.load(), plan)}
    assert "M-12" not in {note.rule for note in not_mirrored(edition.load("2019"), plan)}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    plan = plan_of(DEB, DEBIAN)
    unit = next(change.after for change in plan.changes if change.path == ssm_agent.UNIT)
    path = tmp_path / Path(ssm_agent.UNIT).name
    path.write_bytes(unit or b"")
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert path.name not in judged.stderr, judged.stderr


def test_another_kind_of_file_is_refused_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "agent.zip"
    package.write_bytes(b"PK")
    assert main(["preview", str(tmp_path / "no.img"), "--with-ssm", str(package)]) == 2
    assert "neither a .deb nor an .rpm" in capsys.readouterr().err
