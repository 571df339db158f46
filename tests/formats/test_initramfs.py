"""Segments one after another, read as the kernel unpacks them, and files put into the last one."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.archives import archive
from imgpatch.errors import FormatError
from imgpatch.formats import initramfs
from imgpatch.formats.compression import Compression, pack
from imgpatch.formats.cpio import Limits
from imgpatch.reports.initramfs import describe

KINDS = [kind for kind in Compression if kind is not Compression.LZO]
MICROCODE = archive({"kernel/x86/microcode/GenuineIntel.bin": b"\x01" * 5000})
MAIN = archive(
    {"init": b"#!/bin/sh\n", "conf/modules": b"ext4\n", "usr/lib/modules/6.1/modules.dep": b"a.ko:\n"},
    directories=["conf", "usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/6.1"],
    links={"lib": "usr/lib", "loop": "loop"},
)


def packed(data: bytes, kind: Compression) -> bytes:
    return b"".join(pack([data], kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_segment_is_changed_and_nothing_else(kind: Compression) -> None:
    early = MICROCODE + b"\0" * 512
    before = early + packed(MAIN, kind)
    new = {"conf/modules": b"ext4\nnvme\n", "usr/lib/modules/6.1/kernel/nvme.ko": b"\x7fELF" * 100}
    after = initramfs.rewrite(before, new)
    assert after.startswith(early)
    old, now = initramfs.read(before), initramfs.read(after)
    assert [segment.compression for segment in now.segments] == [Compression.NONE, kind]
    assert {p for p in now.files if p not in old.files} == {
        "usr/lib/modules/6.1/kernel",
        "usr/lib/modules/6.1/kernel/nvme.ko",
    }
    assert now.files["usr/lib/modules/6.1/kernel"].is_directory
    assert now.data("conf/modules") == new["conf/modules"]
    assert now.files["usr/lib/modules/6.1/kernel/nvme.ko"].size == 400
    kept = [path for path in old.files if path != "conf/modules"]
    assert all(old.files[path].crc == now.files[path].crc for path in kept)
    assert initramfs.rewrite(after, new) == after


def test_an_entry_is_replaced_in_place_without_a_second_one() -> None:
    after = initramfs.rewrite(MAIN, {"conf/modules": b"nvme\n"})
    [segment] = initramfs.read(after).segments
    assert [entry.path for entry in segment.entries].count("conf/modules") == 1


def test_nothing_to_put_in_gives_the_same_unpacked_bytes() -> None:
    assert initramfs.rewrite(MAIN, {}) == MAIN


def test_compressed_segments_one_after_another_and_the_last_file_counts() -> None:
    second = archive({"conf/modules": b"second\n", "only/second": b""})
    data = packed(MAIN, Compression.ZSTD) + b"\0" * 8 + packed(second, Compression.GZIP) + b"\0" * 100
    found = initramfs.read(data)
    assert [segment.compression for segment in found.segments] == [Compression.ZSTD, Compression.GZIP]
    assert found.data("conf/modules") == b"second\n"
    after = initramfs.rewrite(data, {"conf/modules": b"third\n", "init": b"#!/bin/dash\n"})
    assert after.startswith(packed(MAIN, Compression.ZSTD) + b"\0" * 8)
    assert after.endswith(b"\0" * 100)
    now = initramfs.read(after)
    assert (now.data("conf/modules"), now.files["init"].size) == (b"third\n", 12)


def test_two_archives_in_one_compressed_part() -> None:
    data = packed(MAIN + archive({"x": b"1"}), Compression.GZIP)
    after = initramfs.read(initramfs.rewrite(data, {"y": b"2"}))
    assert {"x", "y", "init"} <= set(after.files)


def test_links_are_followed_inside_the_initramfs() -> None:
    found = initramfs.read(MAIN)
    assert found.resolve("lib/modules/6.1/modules.dep") == "usr/lib/modules/6.1/modules.dep"
    assert found.data("lib/modules/6.1/modules.dep") == b"a.ko:\n"
    assert found.resolve("lib/../none") == "usr/none"
    with pytest.raises(FormatError, match="too many"):
        found.resolve("loop/x")


def test_names_are_spelt_as_the_archive_spells_them() -> None:
    data = archive({"./init": b"", "./etc/x": b""}, directories=[".", "./etc"])
    after = initramfs.rewrite(data, {"etc/new/y": b"1"})
    assert [e.name for e in initramfs.read(after).segments[-1].entries][-4:-1] == [
        "./etc/x",
        "./etc/new",
        "./etc/new/y",
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "empty"),
        (b"PK\x03\x04", "neither"),
        (MAIN + b"garbage", "neither"),
        (packed(MAIN, Compression.GZIP)[:-20], "cut off"),
        (packed(MAIN[:-600], Compression.GZIP), "cut off"),
        (packed(MAIN + b"junk", Compression.ZSTD), "cut off"),
        (packed(MAIN + b"junk" * 100, Compression.ZSTD), "newc cpio header"),
        (MICROCODE[:300], "cut off"),
        (b"\x89LZO\0\r\n\x1a\n", "lzo"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        initramfs.read(data)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio")
@pytest.mark.parametrize("replaced", ["a", "b", "c", "ab", "ac", "bc", "abc"])
@pytest.mark.parametrize("kind", [Compression.NONE, Compression.GZIP])
def test_of_names_that_share_contents_the_others_keep_them(
    replaced: str, kind: Compression, tmp_path: Path
) -> None:
    """What dracut packs went through hardlink(1); GNU cpio gives the contents to the last name."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a").write_bytes(b"shared" * 100)
    for name in "bc":
        (source / name).hardlink_to(source / "a")
    (source / "d").write_bytes(b"alone")
    argv = ["cpio", "-o", "-H", "newc", "--quiet"]
    made = subprocess.run(argv, input=b"a\nb\nc\nd\n", cwd=source, capture_output=True, check=True).stdout
    after = initramfs.rewrite(packed(made, kind), {name: name.encode() for name in replaced})
    target = tmp_path / "out"
    target.mkdir()
    plain = after if kind is Compression.NONE else gzip.decompress(after)
    subprocess.run(["cpio", "-i", "--quiet"], input=plain, cwd=target, check=True)
    want = {name: name.encode() if name in replaced else b"shared" * 100 for name in "abc"}
    assert {path.name: path.read_bytes() for path in target.iterdir()} == want | {"d": b"alone"}


def test_a_link_is_not_replaced() -> None:
    with pytest.raises(FormatError, match="cannot be replaced"):
        initramfs.rewrite(MAIN, {"lib": b"x"})


def test_limits_hold_over_all_segments() -> None:
    part = packed(archive({"x": bytes(600_000)}), Compression.GZIP)
    assert len(initramfs.parse(part, Limits(unpacked=700_000)).files) == 1
    with pytest.raises(FormatError, match="more than"):
        initramfs.parse(part * 2, Limits(unpacked=700_000))
    with pytest.raises(FormatError, match="entries"):
        initramfs.parse(MICROCODE * 5, Limits(entries=8))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_hostile_bytes_are_read_or_refused(kind: Compression, data: st.DataObject) -> None:
    image = bytearray(MICROCODE[:512] + MICROCODE + packed(MAIN, kind))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(image) - 1))
        image[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with suppress(FormatError):
        initramfs.rewrite(bytes(image), {"usr/lib/x": b"1"})


def test_describe_names_what_is_gained_lost_and_changed() -> None:
    after = initramfs.rewrite(packed(MAIN, Compression.GZIP), {"conf/modules": b"x", "conf/new/a": b"12"})
    before = packed(archive({"init": b"#!/bin/sh\n", "gone": b"123"}), Compression.GZIP)
    lines = describe(packed(MAIN, Compression.GZIP), after)
    assert lines[0].startswith("gzip, ")
    assert lines[1:] == ["~ conf/modules (5 -> 1 bytes)", "+ conf/new/", "+ conf/new/a (2 bytes)"]
    assert "- gone (3 bytes)" in describe(before, after)
    assert describe(None, b"?") == [
        "cannot be read: at byte 0 there is neither an archive nor a compression the kernel knows: found b'?'"
    ]


@pytest.mark.parametrize("kind", [Compression.ZSTD, Compression.XZ, Compression.LZ4])
def test_the_distributions_own_tools_show_what_was_put_in(tmp_path: Path, kind: Compression) -> None:
    image = tmp_path / "initrd.img"
    early = MICROCODE + b"\0" * 512
    image.write_bytes(
        initramfs.rewrite(early + packed(MAIN, kind), {"usr/lib/modules/6.1/nvme.ko": b"1" * 7})
    )
    tools = [tool for tool in ("lsinitramfs", "lsinitrd") if shutil.which(tool)]
    if not tools:
        pytest.skip("needs lsinitramfs or lsinitrd")
    for tool in tools:
        shown = subprocess.run([tool, image], capture_output=True, text=True, check=False).stdout
        assert "usr/lib/modules/6.1/nvme.ko" in shown, tool
        assert "kernel/x86/microcode/GenuineIntel.bin" in shown, tool
