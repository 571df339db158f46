"""OVA files: found as tarfile finds them, verified, and refused where anything in them leads elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import ovas
from fixtures.ovas import Place
from imgpatch.errors import FormatError, RefusedError
from imgpatch.formats import tar
from imgpatch.images import ova
from tests.images.disks import content, make, needs_qemu_img, qemu_img


class Bytes:
    """A file in memory that says how much of it was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        self.read_bytes += length
        return self.data[offset : offset + length]


def opened(data: bytes) -> ova.Ova:
    return ova.open_ova(Bytes(data))


@pytest.mark.parametrize("name", ovas.HOSTILE)
def test_hostile(name: str) -> None:
    make_it, message = ovas.HOSTILE[name]
    file = Bytes(make_it())
    with pytest.raises(FormatError) as caught:
        ova.open_ova(file)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_disks_are_where_tarfile_finds_them() -> None:
    data = ovas.good({"a.vmdk": b"a" * 700, "b.vmdk": b"b" * 10})
    found = opened(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as judge:
        wanted = [(member.name, member.offset_data, member.size) for member in judge.getmembers()]
    assert [(member.name, member.offset, member.size) for member in found.members] == wanted
    assert [member.name for member in found.disks] == ["a.vmdk", "b.vmdk"]
    assert found.content(found.disks[0]).read(690, 99) == b"a" * 10
    assert found.content(found.disks[1]).read(11, 5) == b""
    assert (found.notes, found.verify()) == ((), ())


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=150).filter(
    lambda name: not name.endswith("/")
)


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1200)), max_size=5),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(max_examples=100, derandomize=True)
def test_members_are_those_of_tarfile(files: list[tuple[str, bytes]], tar_format: int) -> None:
    data = ovas.archive(files, tar_format)
    with tarfile.open(fileobj=io.BytesIO(data)) as judge:
        wanted = [(member.offset_data, member.size) for member in judge.getmembers()]
    found = list(tar.members(Bytes(data).read, len(data), 1000))
    assert [(member.offset, member.size) for member in found] == wanted


@given(st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """Whatever bytes change, no member is outside of the file and only FormatError is raised."""
    whole = bytearray(ovas.good())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = opened(bytes(whole))
    except FormatError:
        return
    assert all(0 <= member.offset <= member.offset + member.size <= len(whole) for member in found.members)


def test_index_reads_no_disk() -> None:
    file = Bytes(ovas.good({"a.vmdk": bytes(32 << 20)}))
    ova.open_ova(file)
    assert file.read_bytes < 1 << 16


def test_size_in_base_256_and_in_pax() -> None:
    """A sparse file of more than 8 GiB: the header alone is read."""

    class Huge:
        size = 20 << 30

        def __init__(self, head: bytes) -> None:
            self.head = head

        def read(self, offset: int, length: int) -> bytes:
            return self.head[offset : offset + length].ljust(length, b"\0")

    for header in (
        tar.header("a.vmdk", 9 << 30, 0),
        tarfile.TarInfo("a.vmdk").create_pax_header(
            {**tarfile.TarInfo("a.vmdk").get_info(), "size": 9 << 30}, "utf-8"
        ),
    ):
        huge = Huge(header)
        (member,) = tar.members(huge.read, huge.size, 10)
        assert (member.name, member.size) == ("a.vmdk", 9 << 30)


def test_order_and_strange_members_are_said() -> None:
    files: list[tuple[str | tarfile.TarInfo, bytes]] = [
        ("disk1.vmdk", bytes(1024)),
        (ovas.of_kind("../up", tarfile.SYMTYPE, "/etc"), b""),
        ("../../etc/cron.d/x", b"* * * * *"),
        (ovas.of_kind("sub/", tarfile.DIRTYPE), b""),
        ("./box.ovf", ovas.vmware().encode()),
        ("box.cert", b"-----BEGIN CERTIFICATE-----"),
    ]
    found = opened(ovas.archive(files))
    notes = "\n".join(found.notes)
    assert "disk1.vmdk is the first file" in notes
    assert "../up" in notes
    assert "cron.d/x" in notes
    assert "signed" in notes
    assert found.signed
    assert "no manifest" in found.verify()[0]


def test_attributes_that_macos_puts_beside_files_are_no_second_descriptor() -> None:
    disk = ("disk1.vmdk", bytes(1024))
    text = ovas.vmware().encode()
    found = opened(ovas.archive([("./._box.ovf", b"attributes"), ("./box.ovf", text), disk]))
    assert found.descriptor.name == "box.ovf"
    assert [member.name for member in found.disks] == ["disk1.vmdk"]


def test_sparse_member_with_a_long_map_is_passed_over() -> None:
    sparse = bytearray(ovas.of_kind("holes", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    sparse[482] = 1
    sparse[148:156] = b"        "
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    rest = ovas.good()
    found = opened(bytes(sparse) + bytes(504) + b"\1" + bytes(7) + bytes(512) + rest)
    assert [member.kind for member in found.members][:2] == [tar.Kind.SPARSE, tar.Kind.FILE]
    assert found.content(found.disks[0]).read(0, 4) == bytes(range(4))


def test_missing_end_is_said() -> None:
    data = ovas.good().rstrip(b"\0")
    data += bytes(-len(data) % 512)
    assert "no end mark" in opened(data).notes[0]


def test_size_that_differs_from_the_descriptor_is_said() -> None:
    found = opened(ovas.good({"disk1.vmdk": b"x"}, text=ovas.vmware([Place(size=2)])))
    assert found.notes == ("disk1.vmdk has 1 bytes, and the OVF says 2",)


def test_name_in_percent_code() -> None:
    disk = ("my disk.vmdk", b"x" * 1024)
    text = ovas.vmware([Place("my%20disk.vmdk")])
    assert opened(ovas.archive([("box.ovf", text.encode()), disk])).disks[0].name == "my disk.vmdk"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_verify(algorithm: str) -> None:
    data = bytearray(ovas.good(algorithm=algorithm))
    told: list[float] = []
    assert opened(bytes(data)).verify(told.append) == ()
    assert told == sorted(told)
    assert told[-1] == 1.0
    found = opened(bytes(data))
    data[found.disks[0].offset + 5] ^= 1
    with pytest.raises(RefusedError) as caught:
        opened(bytes(data)).verify()
    disk = bytes(range(256)) * 4
    bad = disk[:5] + bytes([disk[5] ^ 1]) + disk[6:]
    for part in (
        "disk1.vmdk",
        hashlib.new(algorithm, disk).hexdigest(),
        hashlib.new(algorithm, bad).hexdigest(),
    ):
        assert part in str(caught.value)


def test_verify_says_what_it_could_not() -> None:
    text = ovas.vmware().encode()
    lines = ovas.manifest({"box.ovf": text, "gone.vmdk": b""}) + b"nonsense\n"
    found = opened(ovas.archive([("box.ovf", text), ("box.mf", lines), ("disk1.vmdk", bytes(1024))]))
    assert [note.rpartition(" the OVA ")[2] for note in found.verify()]
    notes = "\n".join(found.verify())
    assert "no sum for disk1.vmdk" in notes
    assert "gone.vmdk" in notes
    assert "nonsense" in notes


def test_two_sums_for_one_file_must_both_agree() -> None:
    text = ovas.vmware().encode()
    lines = ovas.manifest({"disk1.vmdk": bytes(1024)}) + ovas.manifest({"disk1.vmdk": b"other"})
    found = opened(ovas.archive([("box.ovf", text), ("box.mf", lines), ("disk1.vmdk", bytes(1024))]))
    with pytest.raises(RefusedError, match="adds up"):
        found.verify()


@needs_qemu_img
def test_qemu_reads_the_disk_where_it_lies(tmp_path: Path) -> None:
    disk = make(tmp_path / "disk1.vmdk", content(), "vmdk", "-o", "subformat=streamOptimized")
    path = tmp_path / "box.ova"
    path.write_bytes(ovas.good({"disk1.vmdk": disk.read_bytes()}))
    member = opened(path.read_bytes()).disks[0]
    place = {"driver": "file", "filename": str(path)}
    node = {"driver": "raw", "offset": member.offset, "size": member.size, "file": place}
    qemu_img("compare", "-U", "json:" + json.dumps({"driver": "vmdk", "file": node}), str(disk))
