"""What is written is what tarfile, GNU tar and QEMU find; of a given OVA only the least changes."""

from __future__ import annotations

import difflib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from xml.dom import minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import ovas
from fixtures.ovas import Place
from imgpatch.errors import RefusedError, UsageError
from imgpatch.formats import ovf, ovf_edit, tar
from imgpatch.formats.ovf_edit import DiskFile, NewMachine
from imgpatch.images import ova, ova_output
from imgpatch.images.ova_output import NewDisk
from tests.images.disks import content, make, needs_qemu_img, qemu_img
from tests.images.test_ova import Bytes, opened

MIB = 1 << 20
OLD = {"disk1.vmdk": b"1" * 1500, "data.vmdk": b"2" * 900}


def written(template: ova.Ova | NewMachine, disks: list[NewDisk]) -> bytes:
    out = io.BytesIO()
    told: list[float] = []
    ova_output.write_ova(out, template, disks, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    return out.getvalue()


def disk(name: str, data: bytes, disk_format: str = "vmdk", capacity: int = 8 * MIB) -> NewDisk:
    return NewDisk(name, Bytes(data), capacity, disk_format)


def extracted(data: bytes, folder: Path) -> dict[str, bytes]:
    """By GNU tar, which is to have nothing to say."""
    (folder / "x.ova").write_bytes(data)
    done = subprocess.run(
        ["tar", "-xf", "x.ova"], cwd=folder, capture_output=True, check=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "x.ova"}


def changed_lines(before: bytes, after: bytes) -> list[str]:
    lines = difflib.unified_diff(before.decode().split("\n"), after.decode().split("\n"), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", None])
def test_same_format(algorithm: str | None, tmp_path: Path) -> None:
    template = opened(ovas.good(OLD, algorithm=algorithm))
    new = [disk("disk1.vmdk", b"new" * 1000), disk("data.vmdk", b"2" * 900)]
    data = written(template, new)
    again = opened(data)
    assert (again.notes, again.verify()) == ((), ())
    assert [member.name for member in again.members] == ["box.ovf", "box.mf", "disk1.vmdk", "data.vmdk"]
    assert again.manifest is not None
    assert again.manifest.algorithm == (algorithm or "sha256").upper()
    assert extracted(data, tmp_path)["disk1.vmdk"] == b"new" * 1000
    lines = changed_lines(template.read(template.descriptor), again.read(again.descriptor))
    assert [line[0] for line in lines] == ["-", "+", "-", "-", "+", "+"]
    assert lines[1] == lines[0].replace('size="1500"', 'size="3000"').replace("-", "+", 1)
    assert lines[4:] == [
        line.replace(' ovf:populatedSize="12345"', "").replace("-", "+", 1) for line in lines[2:4]
    ]
    assert data == written(template, new)


def test_tarfile_finds_plain_headers() -> None:
    data = written(opened(ovas.good(OLD)), [disk("disk1.vmdk", b"a"), disk("data.vmdk", b"b")])
    assert len(data) % tar.RECORD == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as judge:
        for member in judge:
            assert (member.isreg(), member.uid, member.gid, member.mode, member.uname) == (
                True,
                0,
                0,
                0o644,
                "",
            )
        assert judge.pax_headers == {}


def test_other_format() -> None:
    template = opened(ovas.good(OLD))
    names = [ova_output.file_name(member.name, "vpc") for member in template.disks]
    assert names == ["disk1.vhd", "data.vhd"]
    data = written(template, [disk(name, b"x", "vpc", 9 * MIB) for name in names])
    again = opened(data)
    assert (again.notes, again.verify()) == ((), ())
    for found in again.machine.disks:
        assert (found.file.size, found.capacity) == (1, 9 * MIB)
        assert found.format == ovf_edit.FORMATS["vpc"][0]


def test_capacity_that_is_the_same_in_other_units_stays() -> None:
    again = opened(written(opened(ovas.good(OLD)), [disk(name, b"x") for name in OLD]))
    assert 'ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20"' in again.machine.document.text


@pytest.mark.parametrize("uri", ["http://www.vmware.com/specifications/vmdk.html#compressed", ovas.STREAM])
def test_uri_that_says_the_same_stays(uri: str) -> None:
    text = ovas.vmware().replace(ovas.STREAM, uri)
    again = opened(written(opened(ovas.good(text=text)), [disk("disk1.vmdk", b"x")]))
    assert again.machine.disks[0].format == uri


def test_uri_of_another_variety_is_corrected() -> None:
    text = ovas.vmware().replace(ovas.STREAM, "http://www.vmware.com/specifications/vmdk.html#sparse")
    again = opened(written(opened(ovas.good(text=text)), [disk("disk1.vmdk", b"x")]))
    assert again.machine.disks[0].format == ovas.STREAM


def test_disks_go_as_references_list_them_and_the_rest_is_kept() -> None:
    """Machine's order b, a; References' order a, iso, b; the iso is no disk, the nvram is in no list."""
    places = [Place("a.vmdk", unit=1), Place("install.iso"), Place("b.vmdk", unit=0)]
    text = ovas.vmware(places)
    start = text.index("<Item><rasd:InstanceID>102<")
    text = text[:start] + text[text.index("</Item>", start) + len("</Item>") :]
    long = "n" * 120 + ".nvram"
    files: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (long, b"nvram"),
        ("b.vmdk", b"bbb"),
        ("a.vmdk", b"aaa"),
        ("install.iso", b"iso"),
        ("box.ovf", text.encode()),
        ("box.cert", b"cert"),
        (ovas.of_kind("link", tarfile.SYMTYPE, "/etc"), b""),
        ("../up", b"up"),
    ]
    template = opened(ovas.archive(files, tarfile.GNU_FORMAT))
    assert [member.name for member in template.disks] == ["b.vmdk", "a.vmdk"]
    out = io.BytesIO()
    left_out = ova_output.write_ova(out, template, [disk("b.vmdk", b"B"), disk("a.vmdk", b"A")])
    again = opened(out.getvalue())
    names = [member.name for member in again.members]
    assert names == ["box.ovf", "box.mf", "a.vmdk", "install.iso", "b.vmdk", long]
    assert [again.read(member) for member in again.members[2:]] == [b"A", b"iso", b"B", b"nvram"]
    assert again.verify() == ()
    assert [line.partition(":")[0] for line in left_out] == ["box.cert", "link", "../up"]
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as judge:
        assert judge.getnames() == names


def test_unchanged_disks_may_come_from_the_template() -> None:
    template = opened(ovas.good(OLD))
    kept = [NewDisk(member.name, template.content(member), 8 * MIB) for member in template.disks]
    again = opened(written(template, kept))
    assert [again.read(member) for member in again.disks] == list(OLD.values())


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "box.ovf", "x.MF", "x.cert", "data.vmdk"]
)
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        ova_output.write_ova(io.BytesIO(), opened(ovas.good(OLD)), [disk(name, b""), disk("data.vmdk", b"")])


def test_format_without_a_name_in_ovf() -> None:
    with pytest.raises(UsageError, match="vhdx"):
        ova_output.write_ova(io.BytesIO(), NewMachine("m"), [disk("a.vhdx", b"", "vhdx")])


def test_name_of_another_file_of_the_ova_is_taken() -> None:
    template = opened(
        ovas.archive([("box.ovf", ovas.vmware().encode()), ("disk1.vmdk", b"x"), ("efi.nvram", b"y")])
    )
    with pytest.raises(UsageError, match=r"efi\.nvram"):
        ova_output.write_ova(io.BytesIO(), template, [disk("efi.nvram", b"")])


def test_file_that_becomes_shorter_is_refused() -> None:
    file = Bytes(b"x" * 100)
    file.size = 200
    with pytest.raises(RefusedError, match="ended at 100 bytes"):
        ova_output.write_ova(io.BytesIO(), NewMachine("m"), [NewDisk("a.vmdk", file, MIB)])


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 5 << 40])
def test_sizes_of_any_magnitude_are_read_by_tarfile(size: int) -> None:
    info = tarfile.TarInfo.frombuf(tar.header("a.vmdk", size, 1), "utf-8", "strict")
    assert (info.name, info.size, info.mtime) == ("a.vmdk", size, 1)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("system", ["linux", "windows", ""])
def test_new_machine(firmware: str, system: str) -> None:
    machine = NewMachine('web & "db" <1>!\x01', firmware, system, 3, 1536 * MIB)
    data = written(machine, [disk("one.vmdk", b"1"), disk("two.vhd", b"2", "vpc", 5 * MIB)])
    again = opened(data)
    found = again.machine
    assert (found.name, found.firmware, found.processors, found.memory) == (
        'web & "db" <1>!_',
        firmware,
        3,
        1536 * MIB,
    )
    assert [(member.name, again.read(member)) for member in again.disks] == [
        ("one.vmdk", b"1"),
        ("two.vhd", b"2"),
    ]
    assert [item.capacity for item in found.disks] == [8 * MIB, 5 * MIB]
    assert len(found.nics) == 1
    assert (again.notes, again.verify(), again.descriptor.name) == ((), (), "web_db_1.ovf")


def _text(node: minidom.Node) -> str:
    return "".join(child.nodeValue or "" for child in node.childNodes)


@given(st.integers(1, 45))
@settings(max_examples=15, derandomize=True)
def test_many_disks_keep_their_order_on_several_controllers(count: int) -> None:
    files = [DiskFile(f"disk {number} \u00e4&<.vmdk", 1, 2, "vmdk") for number in range(count)]
    data = ovf_edit.new(NewMachine("m"), files)
    machine = ovf.parse(data)
    assert [item.file.href for item in machine.disks] == [file.name for file in files]
    places = []
    for node in minidom.parseString(data).getElementsByTagName("Item"):
        names = [child.nodeName for child in node.childNodes if child.nodeType == child.ELEMENT_NODE]
        assert names == sorted(names)  # the schema of CIM asks for it
        values = {child.nodeName: _text(child) for child in node.childNodes}
        if values["rasd:ResourceType"] == "17":
            places.append((values["rasd:Parent"], values["rasd:AddressOnParent"]))
    assert len(set(places)) == count
    assert "7" not in {unit for _, unit in places}


@needs_qemu_img
def test_qemu_reads_each_disk_where_it_lies(tmp_path: Path) -> None:
    disks = []
    originals = []
    for number, (disk_format, options) in enumerate(
        {"vmdk": ("-o", "subformat=streamOptimized"), "vpc": ()}.items()
    ):
        path = make(tmp_path / f"{number}", content(seed=number), disk_format, *options)
        originals.append((disk_format, path))
        disks.append(disk(f"{number}.{disk_format}", path.read_bytes(), disk_format))
    path = tmp_path / "new.ova"
    path.write_bytes(written(NewMachine("m"), disks))
    for (disk_format, original), member in zip(originals, opened(path.read_bytes()).disks, strict=True):
        place = {"driver": "file", "filename": str(path)}
        node = {"driver": "raw", "offset": member.offset, "size": member.size, "file": place}
        inside = "json:" + json.dumps({"driver": disk_format, "file": node})
        qemu_img("compare", inside, "json:" + json.dumps({"driver": disk_format, "file.driver": "file",
                                                          "file.filename": str(original)}))  # fmt: skip
