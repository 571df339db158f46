from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import vmdks
from fixtures.vhds import Pieces
from imgpatch.errors import FormatError
from imgpatch.images import vmdk
from imgpatch.images.vmdk import Extent, Obstacle, obstacle
from imgpatch.images.vmdk_descriptor import is_descriptor, parse_descriptor

SPARSE = 'RW 1024 SPARSE "disk.vmdk"'


def file_of(data: bytes) -> Pieces:
    return Pieces(len(data), {0: data})


def test_reads_what_vmware_writes() -> None:
    text = vmdks.descriptor("twoGbMaxExtentSparse", [
        'RW 4192256 SPARSE "disk one-s001.vmdk"', 'RDONLY 2048 FLAT "disk-f002.vmdk" 128', "RW 63 ZERO",
    ])  # fmt: skip
    found = vmdk.describe(file_of(text))
    assert found is not None
    assert (found.create_type, found.cid, found.parent_cid, found.parent) == (
        "twoGbMaxExtentSparse", 0x7B0E5F01, 0xFFFFFFFF, None,
    )  # fmt: skip
    assert found.extents == (
        Extent("RW", 4192256, "SPARSE", "disk one-s001.vmdk"),
        Extent("RDONLY", 2048, "FLAT", "disk-f002.vmdk"),
        Extent("RW", 63, "ZERO"),
    )
    assert found.sectors == 4194367
    assert (found.adapter, found.database["geometry.heads"]) == ("lsilogic", "255")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_reads_any_line_ends_and_blanks(ends: str) -> None:
    text = (
        f'#x{ends} version = 1{ends}CID=1{ends}parentCID = FFFFFFFF{ends}createType= "monolithicFlat" {ends}'
    )
    found = parse_descriptor((text + f'  rw 10 flat "a b"  0{ends}').encode())
    assert (found.create_type, found.cid, found.parent_cid) == ("monolithicFlat", 1, 0xFFFFFFFF)
    assert found.extents == (Extent("RW", 10, "FLAT", "a b"),)


def test_of_two_values_the_first_counts_and_nothing_after_a_nul() -> None:
    found = parse_descriptor(b'createType="vmfs"\ncreateType="custom"\n\0CID=5\n')
    assert (found.create_type, found.cid) == ("vmfs", None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (vmdks.descriptor("monolithicFlat", ['RW 1024 FLAT "disk-flat.vmdk" 0']), Obstacle.FLAT),
        (vmdks.descriptor("vmfs", ['RW 1024 VMFS "disk-flat.vmdk"']), Obstacle.FLAT),
        (vmdks.descriptor("vmfs", ['RW 1024 VMFS "/etc/passwd"']), Obstacle.FLAT),
        (vmdks.descriptor("monolithicSparse", ['RW 1024 SPARSE "other.vmdk"']), Obstacle.FLAT),
        (b'# a comment\n\nversion=1\nRW 1024 FLAT "x" 0\n', Obstacle.FLAT),
        (vmdks.descriptor("twoGbMaxExtentSparse", ['RW 1024 SPARSE "disk-s001.vmdk"']), Obstacle.SPLIT),
        (vmdks.descriptor("custom", ['RW 1 FLAT "a" 0', "RW 1 ZERO"]), Obstacle.SPLIT),
        (vmdks.descriptor("seSparse", ['RW 1024 SESPARSE "disk-sesparse.vmdk"']), Obstacle.SE_SPARSE),
        (vmdks.descriptor("vmfs", ['RW 1024 SESPARSE "disk-sesparse.vmdk"']), Obstacle.SE_SPARSE),
        (vmdks.descriptor("vmfsRawDeviceMap", ['RW 1024 VMFSRDM "disk-rdm.vmdk"']), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("vmfsPassthroughRawDeviceMap"), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("fullDevice", ['RW 1024 FLAT "/dev/sda" 0']), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("partitionedDevice"), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("custom", ['RW 63 FLAT "\\\\.\\PhysicalDrive0" 0']), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("vmfs", parent_cid="00000000"), Obstacle.DELTA),
        (vmdks.descriptor("vmfsSparse", ['RW 1024 VMFSSPARSE "disk-delta.vmdk"']), Obstacle.DELTA),
        (vmdks.descriptor("vmfs", more='parentFileNameHint="base.vmdk"\n'), Obstacle.DELTA),
        (vmdks.descriptor("vmfs", more='encryptionKeys="vmware:key/..."\n'), Obstacle.ENCRYPTED),
        (b"COWD" + bytes(2044), Obstacle.COWD),
        (b"\xbe\xba\xfe\xca" + bytes(2044), Obstacle.SE_SPARSE),
    ],
)
def test_tells_apart_what_is_no_whole_disk(text: bytes, wanted: Obstacle) -> None:
    assert obstacle(file_of(text)) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (vmdks.descriptor("monolithicSparse", [SPARSE]), None),
        (vmdks.descriptor("streamOptimized", ['RDONLY 1024 SPARSE "generated-stream.vmdk"']), None),
        (vmdks.descriptor("streamOptimized", ['RO 1024 SPARSE "output/disk.vmdk"']), None),
        (vmdks.descriptor("monolithicSparse", [SPARSE], parent_cid="1234abcd"), Obstacle.DELTA),
        (vmdks.descriptor(more='parentFileNameHint="/etc/passwd"'), Obstacle.DELTA),
        (vmdks.descriptor(more='# parentFileNameHint="/etc/passwd"'), Obstacle.DELTA),
        (vmdks.descriptor("custom", [SPARSE, 'RW 1024 FLAT "/etc/passwd" 0']), Obstacle.SPLIT),
        (vmdks.descriptor(extents=['RW 1024 FLAT "disk-flat.vmdk" 0']), Obstacle.ELSEWHERE),
        (vmdks.descriptor(extents=['RW 1024 SPARSE "/etc/passwd"']), Obstacle.ELSEWHERE),
        (vmdks.descriptor(extents=['RW 1024 SPARSE "../disk.vmdk"']), Obstacle.ELSEWHERE),
        (vmdks.descriptor(extents=['RW 1024 SPARSE "C:\\disk.vmdk"']), Obstacle.ELSEWHERE),
        (vmdks.descriptor(extents=['RW 1024 SPARSE "\\\\host\\share\\disk.vmdk"']), Obstacle.ELSEWHERE),
        (vmdks.descriptor("fullDevice", ['RW 1024 SPARSE "disk.vmdk"']), Obstacle.RAW_DEVICE),
        (vmdks.descriptor("seSparse", [SPARSE]), Obstacle.SE_SPARSE),
        (b"", Obstacle.SPLIT),
    ],
)
def test_an_embedded_descriptor_must_lead_to_nothing_else(text: bytes, wanted: Obstacle | None) -> None:
    for data in (vmdks.sparse({0: b"x"}, 1024, text=text), vmdks.stream({0: b"x" * 65536}, 1024, text=text)):
        disk = vmdk.Vmdk(file_of(data))
        assert disk.obstacle is wanted is obstacle(file_of(data))
        if wanted is None:
            disk.check_whole()
            assert disk.read(0, 1) == b"x"
        else:
            with pytest.raises(FormatError, match=wanted.value):
                disk.read(0, 1)


def test_without_capacity_nothing_is_taken_from_the_descriptor() -> None:
    """QEMU opens the extents that the descriptor names then."""
    text = vmdks.descriptor("monolithicFlat", ['RW 1024 FLAT "/etc/passwd" 0'])
    for data in (vmdks.sparse({}, 1024, text=text), vmdks.sparse({}, 1024), vmdks.sparse({}, 1024, text=b"")):
        empty = file_of(vmdks.changed(data, capacity=0))
        disk = vmdk.Vmdk(empty)
        assert disk.obstacle is obstacle(empty) is Obstacle.ELSEWHERE
        assert disk.size == 0


def test_a_parent_where_qemu_looks_for_one_counts_whatever_the_header_says() -> None:
    """QEMU reads the second sector on, and not where the header says that the descriptor is."""
    data = vmdks.sparse({}, 1024, text=vmdks.descriptor(more='parentFileNameHint="/etc/passwd"'))
    clean = vmdks.descriptor("monolithicSparse", [SPARSE])
    moved = vmdks.changed(data, descriptor=len(data) // 512, descriptor_size=1)
    disk = vmdk.Vmdk(file_of(moved + clean.ljust(512, b"\0")))
    assert disk.descriptor is not None
    assert disk.descriptor.parent is None
    assert disk.obstacle is Obstacle.DELTA


def test_variety_is_what_header_and_descriptor_agree_on() -> None:
    def variety(data: bytes) -> str:
        return vmdk.Vmdk(file_of(data)).variety

    assert variety(vmdks.stream({}, 1024)) == "streamOptimized"
    assert variety(vmdks.stream({}, 1024, text=b"version=1\n")) == "streamOptimized"
    assert variety(vmdks.sparse({}, 1024)) == "monolithicSparse"
    assert variety(vmdks.sparse({}, 1024, text=vmdks.descriptor("streamOptimized"))) == "monolithicSparse"
    assert variety(vmdks.stream({}, 1024, text=vmdks.descriptor("monolithicSparse"))) == "monolithicSparse"
    assert variety(vmdks.sparse({}, 1024, text=vmdks.descriptor("vmfsThin"))) == "vmfsThin"
    assert variety(vmdks.sparse({}, 1024, text=b"")) == "extent"


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 1024, b"#!/bin/sh\necho version=1\n", b"version=4\n", b"\xebc\x90GRUB", b"#" * 9000]
)
def test_other_files_are_no_descriptors(data: bytes) -> None:
    assert vmdk.describe(file_of(data)) is None
    with pytest.raises(FormatError, match="no VMDK"):
        obstacle(file_of(data))


@pytest.mark.parametrize(
    "line",
    [
        b" " * (1 << 20), b"a" * (1 << 20), b"a=" + b" " * (1 << 20), b"RW " + b" " * (1 << 20),
        b'a="' * 400_000, b"RW 1 FLAT" + b" " * (1 << 20) + b'"',
        b"a=\n" * 400_000, b'RW 1 ZERO "\n' * 90_000,
    ],
)  # fmt: skip
def test_no_text_is_slow(line: bytes) -> None:
    started = time.process_time()
    parse_descriptor(b"version=1\n" + line + b"\nx")
    is_descriptor(line)
    assert time.process_time() - started < 3


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='RWFLAT 0123"=\n\\', max_size=100).map(str.encode))
def test_any_text_is_read_to_something(data: bytes) -> None:
    found = parse_descriptor(b"version=1\n" + data)
    assert len(found.extents) <= data.count(b"\n") + data.count(b"\r") + 1
    assert obstacle(file_of(b"# Disk DescriptorFile\n" + data)) is not None
