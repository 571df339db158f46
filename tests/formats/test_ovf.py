"""Descriptors of several exporters give one machine; nothing outside the file is ever taken from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import ovas
from fixtures.ovas import Place
from imgpatch.errors import FormatError
from imgpatch.formats import ovf, ovf_hardware, xmltext
from imgpatch.formats.ovf_hardware import Drive, Nic

MIB = 1 << 20

XEN = ovas.vmware().replace('<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="bios"/>',
    '<VirtualSystemOtherConfigurationData Name="HVM_boot_params"><Value>{}</Value>'
    "</VirtualSystemOtherConfigurationData>")  # fmt: skip

EXPORTERS: dict[str, Callable[[Sequence[Place]], str]] = {
    "vSphere": ovas.vmware,
    "VirtualBox, OVF 1": ovas.virtualbox,
    "VirtualBox, OVF 2": lambda places: ovas.virtualbox(places, version=2),
    "VirtualBox, OVF 0.9": ovas.draft,
    "oVirt": lambda places: ovas.draft(places, namespace=f"{ovas.DMTF}/1/"),
}


def parse(text: str) -> ovf.Appliance:
    return ovf.parse(text.encode())


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_machine_of_every_exporter(exporter: str) -> None:
    machine = parse(
        EXPORTERS[exporter]([Place(), Place("data.vmdk", unit=1, capacity='ovf:capacity="1048576"')])
    )
    assert (machine.name, machine.processors, machine.memory) == ("box & co", 2, 512 * MIB)
    assert machine.firmware == "bios"
    assert machine.nics == (Nic("VmxNet3", "VM Network"),)
    assert machine.drives == ()
    disks = [(disk.id, disk.file.href, disk.capacity, disk.format) for disk in machine.disks]
    assert disks == [
        ("vmdisk1", "disk1.vmdk", 8 * MIB, ovas.STREAM),
        ("vmdisk2", "data.vmdk", MIB, ovas.STREAM),
    ]
    assert machine.notes == ()


@pytest.mark.parametrize(
    ("text", "firmware"),
    [
        (ovas.vmware(firmware="efi"), "uefi"),
        (ovas.vmware(firmware="bios"), "bios"),
        (ovas.vmware().replace("firmware", "other"), None),
        (ovas.virtualbox(firmware='<Firmware type="EFI64"/>'), "uefi"),
        (ovas.virtualbox(firmware='<Firmware type="BIOS"/>'), "bios"),
        (ovas.virtualbox(firmware=""), "bios"),
        (XEN.format("order=dc;firmware=uefi;"), "uefi"),
        (XEN.format("order=dc;"), "bios"),
    ],
)
def test_firmware(text: str, firmware: str | None) -> None:
    assert parse(text).firmware == firmware


@pytest.mark.parametrize(
    ("places", "order"),
    [
        ([Place("b", unit=1), Place("a", unit=0)], "ab"),
        ([Place("b", bus=1), Place("c", bus=1, unit=2), Place("a", bus=0, unit=9)], "abc"),
        ([Place("a", controller=5, bus=1), Place("b", controller=20, bus=0)], "ab"),
        ([Place("a", controller=6, unit=10), Place("c", controller=5), Place("b", bus=1, unit=0)], "abc"),
    ],
)
def test_disks_come_as_they_hang_on_their_controllers(places: list[Place], order: str) -> None:
    assert "".join(disk.file.href for disk in parse(ovas.vmware(places)).disks) == order


@given(st.permutations(range(6)))
@settings(max_examples=25, derandomize=True)
def test_order_of_text_does_not_matter_on_one_controller(units: list[int]) -> None:
    places = [Place(f"{unit}.vmdk", unit=unit) for unit in units]
    assert [disk.file.href[0] for disk in parse(ovas.vmware(places)).disks] == list("012345")


def test_disks_without_addresses_come_as_in_the_text() -> None:
    text = ovas.vmware([Place("b", unit=1), Place("a", unit=0)]).replace("AddressOnParent", "Other")
    assert [disk.file.href for disk in parse(text).disks] == ["b", "a"]


@pytest.mark.parametrize("resource", ["/disk/vmdisk1", "ovf:/disk/vmdisk1", "group/vmdisk1", "vmdisk1"])
def test_ways_to_name_a_disk(resource: str) -> None:
    text = ovas.vmware().replace("ovf:/disk/vmdisk1", resource)
    assert parse(text).disks[0].id == "vmdisk1"


def test_disks_of_xenserver() -> None:
    """It has no controllers, another ResourceType, and the place of a disk in its Connection."""
    items = "".join(
        ovas.item(
            number,
            19,
            Connection=f"device={place},bootable=true,mode=RW,deletable=true",
            HostResource=f"ovf:/disk/vmdisk{number - 300}",
        )
        for number, place in ((301, 10), (302, 2))
    )
    text = ovas.vmware([Place("b"), Place("a")]).replace(">17<", ">99<")
    text = text.replace("ovf:/disk/vmdisk", "x").replace("<rasd:InstanceID>200<", f"</Item>{items}<Item><z>")
    text = text.replace("<z>", "<rasd:InstanceID>200<").replace("<Item></Item>", "")
    assert [disk.file.href for disk in parse(text).disks] == ["a", "b"]


def test_media_in_drives_are_no_disks() -> None:
    """R-82; VirtualBox exports an ISO image as a Disk."""
    cd = ovas.item(300, 15, ElementName="CD 1", HostResource="ovf:/disk/vmdisk2")
    floppy = ovas.item(301, 14, ElementName="Floppy 1", HostResource="/dev/fd0")
    empty = ovas.item(302, 16, ElementName="CD 2")
    iso = Place("install.iso")
    text = ovas.vmware([Place(), iso], extra_items=cd + floppy + empty)
    start = text.index("<Item><rasd:InstanceID>102<")
    text = text[:start] + text[text.index("</Item>", start) + len("</Item>") :]
    machine = parse(text)
    assert [disk.file.href for disk in machine.disks] == ["disk1.vmdk"]
    assert machine.drives == (
        Drive("CD-ROM", "CD 1", "ovf:/disk/vmdisk2"),
        Drive("floppy", "Floppy 1", "/dev/fd0"),
    )
    assert machine.notes == ()


def test_unattached_disk_is_said() -> None:
    text = ovas.vmware([Place(), Place("old.vmdk")])
    start = text.index("<Item><rasd:InstanceID>102<")
    machine = parse(text[:start] + text[text.index("</Item>", start) + len("</Item>") :])
    assert [disk.id for disk in machine.disks] == ["vmdisk1"]
    assert "vmdisk2" in machine.notes[0]


def test_hardware_of_the_default_deployment_option() -> None:
    options = (
        '<DeploymentOptionSection><Info/><Configuration ovf:id="small"/>'
        '<Configuration ovf:id="big" ovf:default="true"/></DeploymentOptionSection>'
    )
    small = ovas.item(1, 3, VirtualQuantity=1).replace("<Item", '<Item ovf:configuration="small"')
    bound = ovas.item(1, 3, VirtualQuantity=64).replace("<Item", '<Item ovf:bound="max"')
    text = ovas.vmware(extra_items=small + bound).replace("  <NetworkSection>", f"{options}<NetworkSection>")
    text = text.replace(
        "<Item><rasd:InstanceID>1<", '<Item ovf:configuration="big other"><rasd:InstanceID>1<'
    )
    assert parse(text).processors == 2
    assert parse(text.replace(' ovf:default="true"', "")).processors == 1


def test_vapp_of_one_machine_is_taken_and_said() -> None:
    text = ovas.vmware().replace("<VirtualSystem ", '<VirtualSystemCollection ovf:id="v"><VirtualSystem ')
    machine = parse(text.replace("</VirtualSystem>", "</VirtualSystem></VirtualSystemCollection>"))
    assert machine.name == "box & co"
    assert "vApp" in machine.notes[0]


@pytest.mark.parametrize(
    ("number", "units", "size"),
    [
        ("20", "byte * 2^30", 20 << 30),
        ("20", "byte*2^30", 20 << 30),
        ("20", "byte", 20),
        ("20", " bytes ", 20),
        ("3", "byte * 10^9", 3 * 10**9),
        ("3", "byte * 1024", 3072),
        ("3", "MegaBytes", 3 << 20),
        ("3", "GB", 3 << 30),
        ("${disk}", "byte", None),
        ("-1", "byte", None),
        ("3", "parsec", None),
        ("3", "byte * 2^999", None),
    ],
)
def test_units(number: str, units: str, size: int | None) -> None:
    assert ovf_hardware.in_bytes(number, units) == size


def test_capacity_that_is_not_understood_is_said() -> None:
    machine = parse(ovas.vmware([Place(capacity='ovf:capacity="${disk.size}"')]))
    assert machine.disks[0].capacity is None
    assert "${disk.size}" in machine.notes[0]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings(codec: str) -> None:
    text = (
        ovas.vmware()
        .replace("box &amp; co", "Kasten f\u00fcr \u4e2d")
        .replace("UTF-8", codec.removesuffix("-sig").removesuffix("-be"))
    )
    data = b"\xfe\xff" * (codec == "utf-16-be") + text.encode(codec)
    machine = ovf.parse(data)
    assert machine.name == "Kasten f\u00fcr \u4e2d"
    assert machine.document.edited([]) == data


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\n\r"), max_size=20)
)
@settings(max_examples=100, derandomize=True)
def test_edited_value_is_read_back_and_nothing_else_is_touched(value: str) -> None:
    value = value.replace("\ufffe", "").replace("\uffff", "")
    text = ovas.vmware([Place(), Place("data.vmdk", unit=1)])
    document = xmltext.parse(text.encode())
    machine = parse(text)
    span = ovf.attribute_span(machine.disks[1].element, "format")
    gone = ovf.attribute_span(machine.disks[0].element, "populatedSize")
    assert span is not None
    assert gone is not None
    edited = document.edited([(span, value), (gone, None)])
    again = ovf.parse(edited)
    assert again.disks[1].format == value
    assert ovf.attribute(again.disks[0].element, "populatedSize") is None
    before = text.replace(' ovf:populatedSize="12345"', "", 1)
    at = before.rindex(ovas.STREAM)
    rest = edited.decode()
    assert rest.startswith(before[:at])
    assert rest.endswith(before[at + len(ovas.STREAM) :])


def test_quotes_and_angles_in_values_do_not_confuse() -> None:
    text = ovas.vmware().replace(
        "<Info>A machine</Info>", "<Info a='\">' b=\"'>\">x</Info><!-- <File> --><![CDATA[<z>]]>"
    )
    machine = parse(text)
    span = ovf.attribute_span(machine.files[0].element, "href")
    assert span is not None
    assert machine.document.text[span.value_start : span.value_end] == "disk1.vmdk"


@given(st.binary(max_size=200))
@settings(max_examples=200, derandomize=True)
def test_any_bytes_are_refused_in_order(data: bytes) -> None:
    with pytest.raises(FormatError):
        ovf.parse(data)
