"""What a killed change in place left is noticed by whoever reads the image."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from imgpatch.errors import RefusedError
from imgpatch.images import redolog
from imgpatch.images.container import open_images
from imgpatch.images.inplace import InPlace
from imgpatch.images.reading import appliance_settings, refuse_half_merged
from imgpatch.images.redolog import RedoLog
from imgpatch.progress import Silent
from tests.images import changes, disks

pytestmark = disks.needs_qemu_img


def test_nothing_left_is_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    refuse_half_merged([*changes.machine(tmp_path, "raw"), tmp_path / "missing"])
    assert not caplog.records


@pytest.mark.parametrize("began", [True, False])
def test_a_change_that_never_reached_the_image_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, began: bool
) -> None:
    paths = changes.machine(tmp_path, "raw", 2)
    if began:
        RedoLog.start(open_images(paths)).point_here()
    else:
        redolog.folder_of(paths[1]).mkdir(mode=0o700)
    with caplog.at_level(logging.WARNING):
        refuse_half_merged(paths[1:])
    assert "imgpatch recover" in caplog.text


def test_a_half_merged_image_is_refused(tmp_path: Path) -> None:
    paths = changes.machine(tmp_path, "raw", 2)
    log = RedoLog.start(open_images(paths))
    log.point_here()
    log.committing()
    for path in paths:
        with pytest.raises(RefusedError, match="was killed") as caught:
            refuse_half_merged([path])
        assert f"imgpatch recover {path}" in (caught.value.hint or "")


def test_a_change_that_is_being_made_is_not_called_a_killed_one(tmp_path: Path) -> None:
    paths = changes.machine(tmp_path, "raw")
    with InPlace(open_images(paths)), pytest.raises(RefusedError, match="another imgpatch"):
        refuse_half_merged(paths)


def test_a_folder_for_temporary_files_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with pytest.raises(RefusedError, match="TMPDIR is /nowhere"):
        appliance_settings(Silent())
