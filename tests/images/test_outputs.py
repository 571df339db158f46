"""Every kind of input to every kind of output: the disk in it is what the overlay was, whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import pyvhdi
import pyvmdk

from fixtures import ovas
from imgpatch.errors import RefusedError, UsageError
from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images import ova, qemu, reflink
from imgpatch.images.container import open_images
from imgpatch.images.destination import Destination, Published, check_destination, new_files
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.layers import joined, open_stored
from imgpatch.images.output_formats import CHOICES, check_suffix, user_name
from imgpatch.images.overlay import create_overlay
from imgpatch.images.readback import check_whole, compare_by_readers
from imgpatch.images.vhd import Vhd
from imgpatch.images.vmdk import Vmdk
from imgpatch.progress import Silent
from tests.images import disks

pytestmark = disks.needs_qemu_img

# Neither whole mebibytes nor grains, clusters, blocks or cylinders.
SIZE = 5 * disks.MIB + 7 * 512
OTHER_SIZE = 3 * disks.MIB + 512
EDITS = ((50_000, b"n" * 10_000), (4096, bytes(300_000)), (SIZE - 1500, b"e" * 1500))
OTHER_EDITS = ((OTHER_SIZE - 512, b"f" * 512),)


def content(size: int, seed: int = 1) -> bytes:
    return disks.mbr(8, size // 512 - 8) + disks.content(size + 4096, seed)[512:size]


def edited(data: bytes, edits: Sequence[tuple[int, bytes]]) -> bytes:
    for offset, new in edits:
        data = data[:offset] + new + data[offset + len(new) :]
    return data


def in_ova(path: Path, *contents: bytes) -> Path:
    made = [disks.make(path.with_name(f"{path.stem}-{n}"), data, "vmdk", "-o", "subformat=streamOptimized")
            for n, data in enumerate(contents, 1)]  # fmt: skip
    places = [
        ovas.Place(f"disk{n}.vmdk", one.stat().st_size, f'ovf:capacity="{len(data)}"', unit=n - 1)
        for n, (one, data) in enumerate(zip(made, contents, strict=True), 1)
    ]
    files = {f"disk{n}.vmdk": one.read_bytes() for n, one in enumerate(made, 1)}
    path.write_bytes(ovas.good({**files}, text=ovas.vmware(places)))
    for one in made:
        one.unlink()
    return path


def _qemu(image_format: str, *options: str) -> Callable[[Path, bytes], Path]:
    return lambda path, data: disks.make(path, data, image_format, *options)


INPUTS: Mapping[str, Callable[[Path, bytes], Path]] = {
    "raw": _qemu("raw"),
    "qcow2": _qemu("qcow2"),
    "qcow2-compressed": _qemu("qcow2", "-c"),
    "vmdk": _qemu("vmdk", "-o", "subformat=streamOptimized"),
    "vmdk-sparse": _qemu("vmdk", "-o", "subformat=monolithicSparse"),
    "vhd": _qemu("vpc", "-o", "force_size=on"),
    "vhd-fixed": _qemu("vpc", "-o", "subformat=fixed,force_size=on"),
    "vhdx": _qemu("vhdx"),
    "vdi": _qemu("vdi"),
    "ova": in_ova,
}
OUTPUTS = (None, *CHOICES, "thin")


def apply(images: Sequence[Image], outputs: Sequence[Path], kind: str | None, **more: Path) -> Published:
    """What apply does, with edits of the disks' contents for a plan."""
    thin = kind == "thin"
    destination = Destination(tuple(outputs), False, None if thin else kind, thin, **more)
    with new_files(images, destination) as files:
        for overlay, edits in zip(files.overlays, (EDITS, OTHER_EDITS), strict=False):
            disks.write_all(overlay.path, edits)
        return files.publish(NewMachine("box") if files.wants_machine else None, Silent())


def pinned(image: Image) -> str:
    return qemu.name(qemu.node(image))


def judge(image: Image, data: bytes, folder: Path) -> None:
    """QEMU reads it as these bytes, and so do our reader and libvmdk or libvhdi."""
    wanted = folder / "wanted"
    wanted.write_bytes(data)
    assert image.size == len(data)
    disks.qemu_img("compare", pinned(Image(wanted, "raw", len(data))), pinned(image))
    if image.format in ("qcow2", "vmdk", "vdi", "vhdx"):
        disks.qemu_img("check", pinned(image))
    with open_stored(image) as disk:
        assert disk.read(0, len(data) + 1) == data
    whole = folder / "disk.bin"
    with open_file(image.path) as descriptor:
        whole.write_bytes(FileDisk(descriptor, image.offset, image.length).read(0, 1 << 30))
    if image.format == "vmdk":
        assert image.variety == "streamOptimized"
        assert by_libvmdk(whole) == data
    if image.format in ("vpc", "vhdx"):
        assert by_libvhdi(whole)[: len(data)].ljust(len(data), b"\0") == data
    if image.format == "vpc":
        with open_file(whole) as descriptor:
            assert Vhd(FileDisk(descriptor)).footer_faults() == ()
    whole.unlink()
    wanted.unlink()


def by_libvmdk(path: Path) -> bytes:
    handle = pyvmdk.handle()
    handle.open(str(path))
    handle.open_extent_data_files()
    try:
        return bytes(handle.read_buffer_at_offset(handle.get_media_size(), 0))
    finally:
        handle.close()


def by_libvhdi(path: Path) -> bytes:
    file = pyvhdi.file()
    file.open(str(path))
    try:
        return bytes(file.read_buffer_at_offset(file.get_media_size(), 0))
    finally:
        file.close()


def seen_through(thin: Path, size: int) -> bytes:
    """A thin output as whoever opens it by its name sees it, from another folder."""
    out = thin.with_suffix(".seen")
    disks.qemu_img("convert", "-f", "qcow2", "-O", "raw", thin, out)
    data = out.read_bytes()
    out.unlink()
    assert len(data) == size
    return data


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
@pytest.mark.parametrize("source", INPUTS)
def test_one_disk(tmp_path: Path, source: str, output: str | None) -> None:
    images = open_images([INPUTS[source](tmp_path / "in", content(SIZE))])
    wanted = edited(content(SIZE), EDITS)
    before = images[0].path.read_bytes()
    path = tmp_path / "out"
    published = apply(images, [path], output)
    assert images[0].path.read_bytes() == before
    (written,) = published.files
    assert (written.size, written.file_size) == (SIZE, path.stat().st_size)
    assert sorted(tmp_path.iterdir()) == sorted([images[0].path, path])
    if output == "thin":
        assert seen_through(path, SIZE) == wanted
        assert "must stay" in published.messages[0]
        return
    (made,) = open_images([path])
    expected = output or source.split("-")[0]
    assert written.format == expected
    assert (made.member is not None) == (expected == "ova")
    assert made.format == ("vmdk" if expected == "ova" else made.format)
    if expected != "ova":
        assert user_name(made.format) == expected
    if source == "vhd-fixed" and expected == "vhd":
        assert made.variety == "fixed"
    elif expected in ("vhd", "vhdx"):
        assert made.variety == "dynamic"
    judge(made, wanted, tmp_path)
    assert bool(published.messages) == (source == "vmdk-sparse" and expected == "vmdk")


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
@pytest.mark.parametrize("source", ["files", "ova"])
def test_two_disks(tmp_path: Path, source: str, output: str | None) -> None:
    contents = (content(SIZE), content(OTHER_SIZE, 2))
    if source == "ova":
        images = open_images([in_ova(tmp_path / "in.ova", *contents)])
    else:
        makers = (INPUTS["qcow2"], INPUTS["vhd"])
        images = open_images([make(tmp_path / f"in{n}", contents[n]) for n, make in enumerate(makers)])
    wanted = (edited(contents[0], EDITS), edited(contents[1], OTHER_EDITS))
    one = output == "ova" or (source == "ova" and output is None)
    outputs = [tmp_path / "box.ova"] if one else [tmp_path / "x", tmp_path / "y"]
    published = apply(images, outputs, output)
    assert published.paths == tuple(outputs)
    assert sum(written.size for written in published.files) == SIZE + OTHER_SIZE
    if output == "thin":
        for path, data in zip(outputs, wanted, strict=True):
            assert seen_through(path, len(data)) == data
        return
    made = open_images(outputs)
    for image, data in zip(made, wanted, strict=True):
        judge(image, data, tmp_path)
    if source == "ova" and one:
        with open_file(images[0].path) as old, open_file(outputs[0]) as new:
            before, after = ova.open_ova(FileDisk(old)), ova.open_ova(FileDisk(new))
            assert [m.name for m in after.members] == [m.name for m in before.members]
            assert after.verify() == ()


def test_what_the_writer_makes_of_a_vmdk_is_what_the_service_takes(tmp_path: Path) -> None:
    """Documents R-02, R-09, R-10: version, flags, algorithm, directory at the end, whole grains."""
    images = open_images([INPUTS["raw"](tmp_path / "in", content(SIZE))])
    apply(images, [tmp_path / "out.vmdk"], "vmdk")
    with open_file(tmp_path / "out.vmdk") as descriptor:
        disk = Vmdk(FileDisk(descriptor))
        assert (disk.header.version, disk.header.flags, disk.algorithm) == (3, 0x30001, 1)
        assert disk.header.directory == 0xFFFF_FFFF_FFFF_FFFF
        assert disk.descriptor is not None
        assert disk.descriptor.create_type == "streamOptimized"
        assert list(disk.bad_grains()) == []
        assert disk.end == (tmp_path / "out.vmdk").stat().st_size
    assert b'ddb.adapterType = "lsilogic"' in (tmp_path / "out.vmdk").read_bytes()[:8192]


def test_the_same_disk_gives_the_same_vmdk(tmp_path: Path) -> None:
    sums = set()
    for name in ("a", "b"):
        images = open_images([INPUTS["qcow2" if name == "b" else "raw"](tmp_path / name, content(SIZE))])
        sums.add(apply(images, [tmp_path / f"{name}.vmdk"], "vmdk").files[0].sha256)
    assert len(sums) == 1


@pytest.mark.parametrize("output", ["raw", "vmdk", "vhd", "vhdx", "qcow2"])
def test_a_disk_of_nothing_but_a_partition_table(tmp_path: Path, output: str) -> None:
    data = disks.mbr().ljust(64 * disks.MIB, b"\0")
    images = open_images([disks.make(tmp_path / "in", data)])
    with new_files(images, Destination((tmp_path / "out",), False, output)) as files:
        files.publish(None, Silent())
    (made,) = open_images([tmp_path / "out"])
    judge(made, data, tmp_path)
    assert (tmp_path / "out").stat().st_blocks * 512 < 4 * disks.MIB


@pytest.mark.parametrize("kind", [None, "vmdk", "ova"])
def test_snapshots_that_are_left_behind_are_told(tmp_path: Path, kind: str | None) -> None:
    source = disks.make(tmp_path / "a.qcow2", content(SIZE), "qcow2")
    disks.qemu_img("snapshot", "-c", "before", source)
    done = apply(open_images([source]), [tmp_path / "out"], kind)
    assert any("1 internal snapshots" in message for message in done.messages)


def test_a_thin_output_finds_its_image_from_another_folder(tmp_path: Path) -> None:
    data, wanted = content(SIZE), edited(content(SIZE), EDITS)
    (tmp_path / "images").mkdir()
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    images = open_images([disks.make(tmp_path / "images" / "a:b.img", data)])
    published = apply(images, [tmp_path / "link" / "out"], "thin", work_dir=tmp_path)
    reference = json.loads(disks.qemu_img("info", "--output=json", tmp_path / "link" / "out"))
    assert reference["backing-filename"] == "../../images/a:b.img"
    assert reference["backing-filename-format"] == "raw"
    assert seen_through(tmp_path / "link" / "out", SIZE) == wanted
    assert "../../images/a:b.img" in published.messages[0]
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert seen_through(tmp_path.with_name("elsewhere") / "link" / "out", SIZE) == wanted
    with pytest.raises(RefusedError, match="backing file"):
        open_images([tmp_path.with_name("elsewhere") / "link" / "out"])


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_what_is_merged_into_a_copy_is_the_image_with_its_overlay(tmp_path: Path, image_format: str) -> None:
    """What a file system with shared blocks would have cloned is copied here."""
    (image,) = open_images([INPUTS[image_format](tmp_path / "in", content(SIZE))])
    overlay = create_overlay(image, tmp_path / "overlay").path
    disks.write_all(overlay, EDITS)
    copy = Image(tmp_path / "copy", image.format, image.size)
    if not reflink.clone(image.path, copy.path):
        copy.path.write_bytes(image.path.read_bytes())
    told: list[float] = []
    reflink.merge_into_copy(copy, overlay, told.append)
    check_whole(copy)
    compare_by_readers(copy, image, overlay, told.append, changes_only=True)
    judge(copy, edited(content(SIZE), EDITS), tmp_path)


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("out.vmdk", "qcow2", "--output-format vmdk"),
        ("out.VHD", "vhdx", "--output-format vhd"),
        ("out.qcow2", "vdi", "name it out.vdi"),
        ("out.vdi", "raw", "name it out.raw"),
        ("out.raw.gz", "raw", "name it out.raw.raw"),
        ("out.ova", "vmdk", "--output-format ova"),
    ],
)
def test_a_name_that_says_otherwise_is_refused(name: str, written: str, said: str) -> None:
    with pytest.raises(UsageError, match="the name says") as caught:
        check_suffix(Path(name), written, chosen=False)
    assert said in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["out", "out.img", "out.disk", "out.2024", "out.Raw", "vm.qcow2.d/out"])
def test_a_name_that_says_nothing_will_do(name: str) -> None:
    check_suffix(Path(name), "raw", chosen=True)


@pytest.mark.parametrize(
    ("source", "count", "output", "said"),
    [
        ("files", 1, None, "2 disks and 1 outputs"),
        ("files", 3, "raw", "2 disks and 3 outputs"),
        ("files", 2, "ova", "one OVA holds the whole machine"),
        ("ova", 2, None, "one OVA holds the whole machine"),
        ("ova", 1, "raw", "2 disks and 1 outputs"),
        ("both", 3, None, "disks from an OVA and others"),
    ],
)
def test_as_many_outputs_as_files_are_written(
    tmp_path: Path, source: str, count: int, output: str | None, said: str
) -> None:
    archive = in_ova(tmp_path / "in.ova", content(SIZE), content(OTHER_SIZE))
    files = [disks.make(tmp_path / f"{n}.img", content(SIZE, n)) for n in range(2)]
    chosen = {"files": files, "ova": [archive], "both": [archive, files[0]]}[source]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=said) as caught:
        apply(open_images(chosen), [tmp_path / f"out{n}" for n in range(count)], output)
    assert caught.value.hint
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_given_twice_is_refused(tmp_path: Path) -> None:
    files = [disks.make(tmp_path / f"{n}.img", content(SIZE, n)) for n in range(2)]
    with pytest.raises(UsageError, match="given twice"):
        apply(open_images(files), [tmp_path / "out", tmp_path / "out"], None)


def test_a_disk_too_large_for_a_vhd_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "large.img"
    source.write_bytes(disks.mbr())
    with source.open("r+b") as file:
        file.truncate(3 << 40)
    with pytest.raises(RefusedError, match="are the most in a vhd"):
        apply(open_images([source]), [tmp_path / "out"], "vhd")


@pytest.mark.parametrize(
    "destination",
    [
        Destination((), False),
        Destination((Path("x"),), True),
        Destination((), True, output_format="raw"),
        Destination((), True, thin=True),
        Destination((), True, work_dir=Path("/tmp")),
        Destination((Path("x"),), False, output_format="qcow2", thin=True),
    ],
)
def test_what_contradicts_itself_is_refused(destination: Destination) -> None:
    with pytest.raises(UsageError) as caught:
        check_destination(destination)
    assert caught.value.hint


def test_the_smallest_gaps_are_filled() -> None:
    mib = 1 << 20
    extents = [(0, mib), (10 * mib, mib), (11 * mib + 512, mib), (30 * mib, mib), (50 * mib, 5)]
    assert joined(extents, 3, mib) == [(0, 12 * mib + 512), (30 * mib, mib), (50 * mib, 5)]
    assert joined(extents, 2, mib) == [(0, 31 * mib), (50 * mib, 5)]
    assert joined(extents, 1, mib) == [(0, 50 * mib + 5)]
    assert joined(extents, 100, mib) == [(0, mib), (10 * mib, 2 * mib + 512), (30 * mib, mib), (50 * mib, 5)]
    assert joined([], 3, mib) == []
