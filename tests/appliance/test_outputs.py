"""Real machines to other formats by the command line: applied, read back, reverted from what was written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fixtures import text_disks
from imgpatch.cli import main
from imgpatch.images import ova
from imgpatch.images.container import open_images
from imgpatch.images.disk import FileDisk, open_file
from tests.appliance.machines import FSTAB, small_disk
from tests.checks.machines import ubuntu
from tests.images.disks import qemu_img

pytestmark = pytest.mark.appliance


def test_a_vmdk_to_an_ova_and_back_to_a_vhd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = small_disk(tmp_path)
    source, work = tmp_path / "in.vmdk", tmp_path / "work"
    qemu_img("convert", "-O", "vmdk", raw, source)
    work.mkdir()
    applied = tmp_path / "box.ova"
    words = ["--output-format", "ova", "--work-dir", str(work), "--json"]
    assert main(["apply", str(source), "--output", str(applied), *words]) == 0
    done = json.loads(capsys.readouterr()[0])
    (written,) = done["files"]
    assert done["written"] == [written["path"]] == [str(applied)]
    said = subprocess.run(["sha256sum", applied], check=True, capture_output=True, text=True).stdout
    assert written["sha256"] == said.split()[0]
    assert (written["format"], written["size"]) == ("ova", raw.stat().st_size)
    assert written["file_size"] == applied.stat().st_size
    with open_file(applied) as descriptor:
        archive = ova.open_ova(FileDisk(descriptor))
        assert archive.verify() == ()
    assert list(work.iterdir()) == []

    reverted = tmp_path / "back.vhd"
    assert main(["revert", str(applied), "--output", str(reverted), "--output-format", "vhd"]) == 0
    assert "Written and verified" in capsys.readouterr()[0]
    (image,) = open_images([reverted])
    assert (image.format, image.size) == ("vpc", raw.stat().st_size)
    whole = tmp_path / "back.raw"
    options = f"driver=vpc,file.filename={reverted},force_size_calc=current_size"
    qemu_img("convert", "--image-opts", "-O", "raw", options, whole)
    assert FSTAB in whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([raw, source, work, applied, reverted, whole])


def test_an_import_that_passes_is_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (disk,) = text_disks.make(ubuntu().machine().guest, tmp_path, image_format="raw")
    output = tmp_path / "out.vhdx"
    asked = ["--disk-containers", f"Format=raw,Url=file://{disk}", "--license-type", "BYOL"]
    assert main(["import-image", *asked, "--output", str(output), "--output-format", "vhdx"]) == 0
    out, err = capsys.readouterr()
    (task,) = json.loads(out)["ImportImageTasks"]
    assert task["Status"] == "completed"
    assert f"Written and verified: {output}\n  vhdx, {disk.stat().st_size} bytes of disk" in err
    (image,) = open_images([output])
    assert (image.format, image.variety, image.size) == ("vhdx", "dynamic", disk.stat().st_size)
