"""Every Windows that the documents name: what is read of it, what is changed, and that it is changed once."""

from __future__ import annotations

from functools import cache

import pytest

from fixtures import windows
from imgpatch import edition
from imgpatch.formats import bcd, registry
from imgpatch.guest import Guest
from imgpatch.inspection import inspect
from imgpatch.inspection.windows import control_sets
from imgpatch.inspection.windows.addresses import persistent_routes, read_interfaces
from imgpatch.plan import Context, Plan, make_plan, planned
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS

ROWS = windows.rows()
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def make(guest: Guest) -> Plan:
    return make_plan(guest, TRANSFORMS, Context(edition.load(), inspect(guest, EC2)))


@cache
def plan(row: windows.Row) -> Plan:
    return make(windows.guest(row))


def after(row: windows.Row) -> Guest:
    return planned(windows.guest(row), {change.path: change.after for change in plan(row).changes})


def system(row: windows.Row) -> registry.Key:
    data = after(row).read(f"{row.folder}/System32/config/SYSTEM")
    assert data is not None
    return registry.read(data)


@each
def test_its_release_is_known(row: windows.Row) -> None:
    found = inspect(windows.guest(row), EC2)
    assert found.windows is not None
    release = found.windows.release
    assert release.generation == row.generation
    assert (release.build, release.edition, release.installation) == (
        row.build,
        row.edition,
        row.installation,
    )
    assert release.architecture == row.architecture
    assert release.language == 0x409
    assert release.is_server == (row.installation != "Client")
    assert found.firmware == row.firmware
    assert found.system.name == row.generation


@each
def test_the_drivers_of_both_families_start_at_boot_if_they_are_there(row: windows.Row) -> None:
    found = inspect(after(row), EC2).windows
    assert found is not None
    for need in found.needs:
        assert need.met == (row.has_nvme or "stornvme" not in need.services), need


@each
def test_no_static_address_is_left_in_any_control_set(row: windows.Row) -> None:
    root = system(row)
    for name in control_sets(root):
        control = root.at(name)
        assert control is not None
        interfaces = read_interfaces(control)
        assert not any(i.static or i.gateways or i.name_servers for i in interfaces)
        assert not list(persistent_routes(control))
        assert (dhcp := control.at("Services\\Dhcp")) is not None
        assert (start := dhcp.value("Start")) is not None
        assert start.number == 2


@each
def test_nothing_of_the_old_network_is_left_in_the_hive(row: windows.Row) -> None:
    for key in system(row).walk():
        for value in key.values.values():
            assert "192.168.50" not in (value.text, *value.texts), key.path
            assert "192.168.50" not in value.name, key.path


@each
def test_ems_is_off(row: windows.Row) -> None:
    guest = after(row)
    found = inspect(guest, EC2).windows
    assert found is not None
    if row.family == "nt5":
        assert b"redirect" not in (guest.read("/C:/boot.ini") or b"")
        assert b"/fastdetect\r\n" in (guest.read("/C:/boot.ini") or b"")
    for path in found.boot_stores:
        store = bcd.read(registry.read(guest.read(path) or b""))
        assert not list(store.switched_on(bcd.EMS, bcd.BOOT_EMS))
        assert store.default is not None
    assert bool(found.boot_stores) == (row.family != "nt5")


@each
def test_a_second_plan_is_empty(row: windows.Row) -> None:
    assert make(after(row)).changes == ()


@each
def test_only_hives_and_the_boot_configuration_change(row: windows.Row) -> None:
    names = {change.path.rsplit("/", 1)[1].lower() for change in plan(row).changes}
    assert names == {"system", "boot.ini" if row.family == "nt5" else "bcd"}
