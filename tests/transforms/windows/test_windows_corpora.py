"""Real registry hives and boot stores in the place of made ones: the same laws hold."""

from __future__ import annotations

import re
from functools import cache

import pytest

from fixtures import windows
from imgpatch.errors import RefusedError
from imgpatch.formats import bcd, regf, registry
from imgpatch.guest import Guest
from imgpatch.inspection.windows import control_sets
from imgpatch.inspection.windows.addresses import persistent_routes, read_interfaces
from imgpatch.plan import Choices, Plan
from tests.hive_corpus import CORPUS, hive
from tests.transforms.windows.machines import after, plan, system_path

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real hives")

FORCED = Choices(force_dirty_hives=True)
HIVES = {
    "qthivex/SYSTEM": ("2016", ()),
    "regipy/SYSTEM.xz": ("7", ()),
    "regipy/SYSTEM_2.xz": ("2019", ()),
    "regipy/SYSTEM_B.xz": ("2019", ("regipy/SYSTEM_B.LOG1.xz", "regipy/SYSTEM_B.LOG2.xz")),
}
"""Each with a row of its generation and its logs; SYSTEM_2 is dirty without any."""

STORES = ("EricZimmerman-Registry/BCD", "qthivex/BCD-Template", "qthivex/bcdtest", "regipy/BCD.xz")

CHANGED = re.compile(
    r"ControlSet00[1-9]\\("
    r"Services\\[^\\]+(\\StartOverride)?|"
    r"Services\\(Tcpip|Tcpip6|NetBT)\\Parameters(\\Interfaces\\[^\\]+|\\PersistentRoutes)?|"
    r"Services\\{[^\\]+}\\Parameters\\Tcpip|"
    r"Control\\(CriticalDeviceDatabase|Class|Nsi)\\.*)",
    re.IGNORECASE,
)
"""What may change in SYSTEM, and nothing else."""


@cache
def machine(name: str) -> Guest:
    row, logs = HIVES[name]
    path = system_path(row)
    files: dict[str, bytes | None] = {path: hive(name)}
    files |= {f"{path}.LOG{number}": hive(log) for number, log in enumerate(logs, 1)}
    return windows.guest(windows.row(row), files)


@cache
def planned_for(name: str) -> Plan:
    return plan(machine(name), choices=FORCED)


@pytest.mark.parametrize("name", HIVES)
def test_a_real_system_hive(name: str) -> None:
    path = system_path(HIVES[name][0])
    (change,) = (change for change in planned_for(name).changes if change.path == path)
    assert change.after is not None
    regf.check(change.after)
    root = registry.read(change.after)
    for control in (root.at(set_name) for set_name in control_sets(root)):
        assert control is not None
        assert not any(i.static or i.name_servers for i in read_interfaces(control))
        assert not list(persistent_routes(control))
    assert plan(after(machine(name), planned_for(name)), choices=FORCED).changes == ()


@pytest.mark.parametrize(
    "name", [n for n, (_, logs) in HIVES.items() if not logs and n != "regipy/SYSTEM_2.xz"]
)
def test_only_what_is_needed_changes(name: str) -> None:
    path = system_path(HIVES[name][0])
    (change,) = (change for change in planned_for(name).changes if change.path == path)
    old = {key.path: key.values for key in registry.read(hive(name)).walk()}
    new = {key.path: key.values for key in registry.read(change.after or b"").walk()}
    changed = [path for path in old | new if old.get(path) != new.get(path)]
    assert changed
    assert not [path for path in changed if not CHANGED.fullmatch(path)]


def test_a_dirty_hive_without_logs_is_refused_unless_forced() -> None:
    with pytest.raises(RefusedError, match="was being written when the machine stopped"):
        plan(machine("regipy/SYSTEM_2.xz"))


@pytest.mark.parametrize("name", STORES)
def test_a_real_boot_store(name: str) -> None:
    guest = windows.guest(windows.row("2019"), {"/S:/Boot/BCD": hive(name)})
    made = plan(guest)
    data = after(guest, made).read("/S:/Boot/BCD") or b""
    regf.check(data)
    assert not list(bcd.read(registry.read(data)).switched_on(bcd.EMS, bcd.BOOT_EMS))
    assert plan(after(guest, made)).changes == ()
