"""modprobe.d(5): what keeps a module from loading is found and remarked, and nothing else changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.formats import modprobe

TEXT = """# by hand
blacklist pcspkr
  blacklist xen-blkfront  # slow
install nvme /bin/true
install ena \\
    /usr/bin/false
install usb-storage /sbin/modprobe --ignore-install usb-storage
#blacklist nvme
options nvme io_timeout=255
alias eth0 ena"""


def test_refusals_with_their_lines() -> None:
    found = [(r.line, r.module, r.text) for r in modprobe.refusals(TEXT)]
    assert found == [
        (2, "pcspkr", "blacklist pcspkr"),
        (3, "xen_blkfront", "blacklist xen-blkfront # slow"),
        (4, "nvme", "install nvme /bin/true"),
        (5, "ena", "install ena /usr/bin/false"),
    ]


def test_only_the_lines_of_the_modules_named_are_remarked() -> None:
    after = modprobe.allowing(TEXT, {"nvme", "ena", "xen_blkfront"})
    changed = [(b, a) for b, a in zip(TEXT.split("\n"), after.split("\n"), strict=True) if a != b]
    assert changed == [
        ("  blacklist xen-blkfront  # slow", "#  blacklist xen-blkfront  # slow"),
        ("install nvme /bin/true", "#install nvme /bin/true"),
        ("install ena \\", "#install ena \\"),
        ("    /usr/bin/false", "#    /usr/bin/false"),
    ]
    assert modprobe.allowing(after, {"nvme", "ena", "xen_blkfront"}) == after


@pytest.mark.skipif(shutil.which("modprobe") is None, reason="needs kmod")
def test_real_modprobe_finds_no_refusal_left(tmp_path: Path) -> None:
    def shown(text: str) -> str:
        (tmp_path / "x.conf").write_text(text)
        argv = ["modprobe", "-C", str(tmp_path), "-c"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert "blacklist xen_blkfront" in shown(TEXT)
    assert "install ena" in shown(TEXT)
    after = shown(modprobe.allowing(TEXT, {"nvme", "ena", "xen_blkfront"}))
    rules = {line for line in after.split("\n") if line.startswith(("blacklist", "install", "options"))}
    assert {"blacklist pcspkr", "options nvme io_timeout=255"} <= rules
    assert not any(rule.split()[1] in ("ena", "xen_blkfront") for rule in rules)
    assert not any(rule.startswith("install nvme") for rule in rules)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text("blacklistne \n\\#/install true", max_size=80))
def test_any_text_keeps_its_lines(text: str) -> None:
    assert modprobe.allowing(text, ()) == text
    after = modprobe.allowing(text, {r.module for r in modprobe.refusals(text)})
    assert not list(modprobe.refusals(after))
    pairs = zip(text.split("\n"), after.split("\n"), strict=True)
    assert all(new in (old, f"#{old}") for old, new in pairs)
