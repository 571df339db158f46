"""Windows guests on real disks: taken for that Windows, changed as planned, and put back byte for byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import hives, snapshot, windows, windows_disks
from imgpatch import checks, edition
from imgpatch.cli import main
from imgpatch.finding import Machine, Severity
from imgpatch.formats import regf, registry
from imgpatch.images import ntfs, probe
from imgpatch.images.appliance import Appliance, Drive
from imgpatch.images.container import open_images
from imgpatch.images.session import open_session
from imgpatch.inspection import Inspection, inspect
from imgpatch.manifest import WINDOWS_MANIFEST_PATH
from imgpatch.plan import Choices, Context, Plan, make_plan
from imgpatch.progress import Silent
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS
from tests import hive_readers
from tests.formats.test_reglog import dirty, entry, log
from tests.transforms.windows.driver_files import INF, driver

pytestmark = pytest.mark.appliance

NAMES = {
    "/C:/Users/Ольга/Документы/отчёт за год.txt": b"\xd0\x94\xd0\xb0",
    f"/C:/Users/{'long ' * 40}name.txt": b"long",
    "/C:/Users/Public/desktop.ini": b"[.ShellClassInfo]\r\n",
}
LIBGUESTFS = {
    "2003": {"win2k3"},
    "2003r2": {"win2k3r2"},
    "2008": {"win2k8"},
    "7": {"win7"},
    "2008r2": {"win2k8r2"},
    "8": {"win8"},
    "2012": {"win2k12"},
    "8.1": {"win8.1"},
    "2012r2": {"win2k12r2"},
    "2016": {"win2k16"},
    "1709": {"win2k16"},
    "1803": {"win2k16"},
    "2019": {"win2k19"},
    "2022": {"win2k22"},
    "2025": {"win2k16", "win2k22", "win2k25"},
    "10": {"win10"},
    "11": {"win10", "win11"},
}
"""What it takes each for; older ones do not know the newest."""

IN_EVERY_RUN = frozenset({"2022"})
"""It starts by UEFI; each takes three minutes."""

DRIVERS = {"2012": ("nvme/nvme.inf", "nvme/nvme.sys")}
"""Which are given a driver for the disk, and what its files are."""


@dataclass(frozen=True)
class Look:
    """A disk as it is, from one launch."""

    files: dict[str, snapshot.Entry]
    inspection: Inspection
    plan: Plan
    hives: dict[str, bytes]
    osinfo: str = ""


def look(path: Path, choices: Choices | None = None, *, judge: bool = False) -> Look:
    image = open_images([path])[0]
    settings = probe.appliance_settings(probe.probe())
    with open_session(
        [Drive(path, image.format, writable=False)], [image.size], settings, Silent()
    ) as session:
        files = snapshot.of_session(session)
        found = inspect(session.guest, EC2)
        plan = make_plan(session.guest, TRANSFORMS, Context(edition.load(), found, choices or Choices()))
        assert found.windows is not None
        paths = (found.windows.hives[0].path, *found.windows.boot_stores)
        kept = {path: session.guest.read(path) or b"" for path in paths}
        osinfo = _osinfo(session.appliance) if judge else ""
        return Look(files, found, plan, kept, osinfo)


def _osinfo(appliance: Appliance) -> str:
    """What libguestfs takes it for; it unmounts everything."""
    (root,) = appliance.inspect_os()
    return str(appliance.inspect_get_osinfo(root))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.all_boots)
        for name in (row.name for row in windows.rows())
    ],
)
def test_preview_apply_apply_again_and_revert(name: str, tmp_path: Path) -> None:
    row = windows.row(name)
    choices, options, libraries = _drivers(name, tmp_path)
    disk, output = windows_disks.make(row, tmp_path, NAMES | libraries), tmp_path / "out.raw"
    content = hashlib.sha256(disk.read_bytes()).digest()
    before = look(disk, choices, judge=True)
    assert before.osinfo in LIBGUESTFS[name]
    assert before.inspection.windows is not None
    assert before.inspection.windows.release.generation == row.generation
    assert (before.inspection.firmware, before.inspection.windows.host_name[:6]) == (row.firmware, "ledger")

    digest = before.plan.digest
    assert main(["apply", str(disk), "--output", str(output), "--plan", digest, *options]) == 0
    assert hashlib.sha256(disk.read_bytes()).digest() == content
    after = look(output, choices)
    assert after.plan.changes == ()
    _as_planned(before, after)
    _read_by_others(before, after)

    assert main(["revert", str(output)]) == 0
    reverted = look(output, choices)
    assert reverted.files == before.files
    assert reverted.plan.digest == digest


def _drivers(name: str, folder: Path) -> tuple[Choices, list[str], dict[str, bytes]]:
    """The driver of the disk for a Windows without one, how it is given, and what it is linked to."""
    if name not in DRIVERS:
        return Choices(), [], {}
    files = dict(zip(DRIVERS[name], (INF.encode(), driver()), strict=True))
    given = folder / "drivers"
    for path, data in files.items():
        (given / path).parent.mkdir(parents=True, exist_ok=True)
        (given / path).write_bytes(data)
    libraries = {f"/C:/Windows/System32/{n}": b"MZ" for n in ("ntoskrnl.exe", "drivers/storport.sys")}
    return Choices(drivers=tuple(files.items())), ["--driver-dir", str(given)], libraries


def _as_planned(before: Look, after: Look) -> None:
    planned = {change.path: change for change in before.plan.changes}
    kept = {f"{path}.imgpatch.orig": path for path, change in planned.items() if change.before is not None}
    created = {path for path, change in planned.items() if change.before is None}
    folders = {str(parent) for path in (*planned, WINDOWS_MANIFEST_PATH) for parent in Path(path).parents}
    assert set(kept) == {path for path in after.files if path.endswith(".imgpatch.orig")}
    for path, original in kept.items():
        assert after.files[path] == before.files[original], path
    for path, change in planned.items():
        assert change.after is not None
        assert after.files[path].content == hashlib.sha256(change.after).hexdigest()
        if path not in created:
            assert _carried(after.files[path]) == _carried(before.files[path]), path
    for path in before.files.keys() - planned.keys() - folders:
        assert after.files[path] == before.files[path], path
    new = after.files.keys() - before.files.keys() - kept.keys() - created
    assert {path for path in new if path not in folders} == {WINDOWS_MANIFEST_PATH}
    assert "everybody" not in _access(after.files[WINDOWS_MANIFEST_PATH])


def _carried(found: snapshot.Entry) -> tuple[object, ...]:
    return (found.mode, found.uid, found.gid, found.mtime, found.attributes)


def _access(found: snapshot.Entry) -> str:
    """`everybody` where the security descriptor names S-1-1-0, which ntfs-3g gives what it makes."""
    security = dict(found.attributes)[ntfs.SECURITY]
    return "everybody" if "010100000000000100000000" in security else "named"


def _read_by_others(before: Look, after: Look) -> None:
    """Each key that changed, as three other readers have it."""
    readers = [hive_readers.by_hivex, hive_readers.by_regipy]
    try:
        import pyregf  # noqa: F401
    except ImportError:
        pass
    else:
        readers.append(hive_readers.by_libregf)
    compared = 0
    for path, data in after.hives.items():
        regf.check(data)
        old = {key.path: key for key in registry.read(before.hives[path]).walk()}
        new = {key.path: key for key in registry.read(data).walk()}
        changed = [p for p in old | new if _values(old.get(p)) != _values(new.get(p))]
        for key in changed:
            for reader in readers:
                assert reader(data, key) == _values(new.get(key)), (reader, key)
                compared += 1
    assert compared > 5 * len(readers)


def _values(key: registry.Key | None) -> hive_readers.Values | None:
    return None if key is None else {name: (v.type, v.data) for name, v in key.values.items()}


def test_a_dirty_hive_gets_its_logs_replayed_and_emptied(tmp_path: Path) -> None:
    row = windows.row("2019")
    path = f"{row.folder}/System32/config/SYSTEM"
    clean = hives.build(windows.system_text(row), name="SYSTEM")
    older = hives.build(windows.system_text(row).replace("192.168.50.20", "192.168.50.99"), name="SYSTEM")
    logs = {f"{path}.LOG1": log(2, entry(2, clean)), f"{path}.LOG2": b""}
    disk = windows_disks.make(row, tmp_path, {path: dirty(older), **logs})
    before = look(disk)
    assert before.inspection.windows is not None
    assert before.inspection.windows.hives[0].replayed == 1
    assert before.inspection.windows.interfaces[0].addresses == ("192.168.50.20",)
    assert main(["apply", str(disk), "--in-place"]) == 0
    after = look(disk)
    assert after.plan.changes == ()
    assert after.files[f"{path}.LOG1"].content == hashlib.sha256(b"").hexdigest()
    assert after.files[f"{path}.LOG1.imgpatch.orig"] == before.files[f"{path}.LOG1"]
    assert main(["revert", str(disk)]) == 0
    assert look(disk).files == before.files


def test_a_hibernated_windows_is_refused_unless_its_session_may_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = windows.row("2008r2")
    disk = windows_disks.make(row, tmp_path, {"/C:/hiberfil.sys": b"hibr" + bytes(8188)})
    content = hashlib.sha256(disk.read_bytes()).digest()
    assert main(["inspect", str(disk)]) == 0
    shown = capsys.readouterr().out
    assert "hibernated:     yes" in shown
    assert "is hibernated, or was shut down by Fast Startup" in shown
    assert main(["preview", str(disk)]) == 3
    said = capsys.readouterr().err
    assert "shutdown /s /t 0" in said
    assert "--force-hibernated" in said
    assert main(["apply", str(disk), "--in-place"]) == 3
    assert hashlib.sha256(disk.read_bytes()).digest() == content
    assert main(["apply", str(disk), "--in-place", "--force-hibernated"]) == 0
    assert "what was not saved in it" in capsys.readouterr().out
    assert "/C:/hiberfil.sys" not in look(disk).files


def test_check_finds_on_a_disk_what_it_finds_in_its_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = windows.row("2016")
    disk = windows_disks.make(row, tmp_path)
    guest = windows.guest(row)
    text = Machine(guest, inspect(guest, EC2), edition.load())
    wanted = {(found.rule, found.error, found.severity, found.path) for found in checks.run(text)}
    little_room = ("R-45", None, Severity.FAILS, "/C:")  # a text has no free space
    assert main(["check", "--json", str(disk)]) == 1
    found = json.loads(capsys.readouterr().out)
    told = {(row["rule"], row["error"], row["severity"], row["path"]) for row in found["findings"]}
    assert told == wanted | {little_room}
    assert found["licence"]["license_types"] == ["AWS", "BYOL"]


def test_a_case_that_is_not_the_usual_one(tmp_path: Path) -> None:
    """The true case stays in every name, of what is kept too."""
    row = windows.row("2019")
    moved: dict[str, bytes | None] = {}
    for path, data in windows.files(row).items():
        if "/System32/" in path:
            other = path.replace("/System32/", "/SYSTEM32/").replace("/config/SYSTEM", "/Config/sYstem")
            moved |= {path: None, other.replace("/config/", "/Config/"): data}
    disk = windows_disks.make(row, tmp_path, moved, secure=False)
    assert main(["apply", str(disk), "--in-place"]) == 0
    names = look(disk).files
    assert f"{row.folder}/SYSTEM32/Config/sYstem.imgpatch.orig" in names
    assert not any("/System32" in path for path in names)
