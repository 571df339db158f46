"""Scripts that load modules line by line gain lines at the right place and lose none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.initramfs import nash_init
from imgpatch.errors import FormatError
from imgpatch.formats import initscript

NASH = nash_init(["scsi_mod.ko", "sd_mod.ko"]).decode()
LOADER_049 = """#!/bin/sh
mount -t proc proc /proc

modprobe loop
if [ $? != 0 ]; then
    echo "Unable to setup loop module"
fi
modprobe squashfs
"""


def test_nash_is_known_by_its_first_line() -> None:
    assert initscript.is_nash(NASH)
    assert initscript.is_nash("#!/sbin/nash --force\n")
    assert not initscript.is_nash("#!/bin/sh\n# nash\n")
    assert not initscript.is_nash("\x7fELF")


def test_drivers_come_after_the_last_insmod_and_before_disks_are_looked_for() -> None:
    after = initscript.with_insmods(NASH, ["xen-platform-pci.ko", "xen-vbd.ko"])
    assert initscript.loaded(after, "insmod") == ("scsi_mod", "sd_mod", "xen_platform_pci", "xen_vbd")
    lines = after.split("\n")
    at = lines.index("insmod /lib/xen-vbd.ko")
    assert lines[at + 1] == "echo Waiting for driver initialization."
    assert "mkblkdevs" in lines[at + 1 :]
    new = [line for line in lines if "xen" in line]
    assert [line for line in lines if line not in new] == NASH.split("\n")


def test_an_init_without_any_module_gets_them_before_the_last_look_for_disks() -> None:
    lines = initscript.with_insmods(nash_init([]).decode(), ["a.ko"]).split("\n")
    assert lines[lines.index("insmod /lib/a.ko") + 1] == "mkblkdevs"


def test_a_module_loaded_after_the_disks_were_looked_for_is_not_the_place() -> None:
    text = "#!/bin/nash\nmkblkdevs\ninsmod /lib/dm-mod.ko\nmkrootdev -t ext3 /dev/sda1\n"
    lines = initscript.with_insmods(text, ["a.ko"]).split("\n")
    assert lines[1:4] == ['echo "Loading a.ko module"', "insmod /lib/a.ko", "mkblkdevs"]


def test_a_script_that_mounts_no_root_is_left() -> None:
    with pytest.raises(FormatError, match="mkrootdev"):
        initscript.with_insmods("#!/bin/nash\ninsmod /lib/a.ko\n", ["b.ko"])


def test_a_shell_script_loads_ours_before_its_own() -> None:
    after = initscript.with_modprobes(LOADER_049, ["nvme", "xen-blkfront"])
    assert after == LOADER_049.replace("modprobe loop", "modprobe nvme\nmodprobe xen-blkfront\nmodprobe loop")
    assert initscript.with_modprobes("#!/bin/sh\nexec /init\n", ["nvme"]) is None


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(["insmod /lib/a.ko ", "mkblkdevs", "mkrootdev x", "", "echo insmod b"])))
def test_no_line_is_lost(lines: list[str]) -> None:
    text = "\n".join(["#!/bin/nash", *lines])
    if "mkrootdev x" not in lines:
        return
    after = initscript.with_insmods(text, ["new.ko"]).split("\n")
    assert [line for line in after if "new.ko" not in line] == text.split("\n")
    assert after.index("insmod /lib/new.ko") < after.index("mkrootdev x")
