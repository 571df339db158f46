"""Which entry is to boot on EC2, by what the kernels of the guest are (M-09)."""

from __future__ import annotations

import pytest

from imgpatch.inspection.bootloader import inspect_bootloader
from imgpatch.plan import NoteKind
from tests.transforms.grub_machines import BOTH, XEN_ONLY, after, machine, plan_of

Files = dict[str, str | bytes]
XEN_PV = "CONFIG_X86_64=y\nCONFIG_X86_XEN=y\n"
OLD_XEN_PV = "CONFIG_X86_64_XEN=y\n"
PVOPS = "CONFIG_XEN=y\nCONFIG_XEN_PV=y\n"


def kernel(release: str, builtin: str = BOTH, config: str | None = None) -> Files:
    files: Files = {f"/boot/vmlinuz-{release}": "x", f"/lib/modules/{release}/modules.builtin": builtin}
    if config is not None:
        files[f"/boot/config-{release}"] = config
    return files


def entry(release: str, more: str = "ro") -> str:
    return f"menuentry 'k{release}' {{\n linux /boot/vmlinuz-{release} root=UUID=c0c0-root {more}\n}}\n"


def outcome(files: Files, *entries: str, default: str = "0") -> tuple[str, list[str]]:
    """The kernel that boots in the end, and the warnings."""
    cfg = f'set default="{default}"\nset timeout=5\n' + "".join(entries)
    guest = machine({"/boot/grub/grub.cfg": cfg, **files})
    plan = plan_of(guest)
    found = inspect_bootloader(after(guest, plan))
    assert found is not None
    assert found.default is not None
    return found.default.kernel.rpartition("vmlinuz-")[2], [n.text for n in plan.notes if n.kind == "warning"]


NEW = kernel("6.9")


@pytest.mark.parametrize(
    ("files", "release"),
    [
        (kernel("3.0.101-63-xen", config=XEN_PV), "3.0.101-63-xen"),
        (kernel("2.6.18-398.el5xen", config=OLD_XEN_PV), "2.6.18-398.el5xen"),
        (kernel("2.6.18-398.el5xen"), "2.6.18-398.el5xen"),  # by its name alone
        (kernel("3.0.101-63-kdump"), "3.0.101-63-kdump"),
        ({"/boot/vmlinuz-0-rescue-9af": "x"}, "0-rescue-9af"),
        ({"/boot/vmlinuz-5.0": "x", "/lib/modules/5.0/modules.builtin": XEN_ONLY}, "5.0"),
        ({}, "5.1"),  # it is not there
    ],
)
def test_what_cannot_run_on_ec2_is_passed_over(files: Files, release: str) -> None:
    assert outcome({**files, **NEW}, entry(release), entry("6.9")) == ("6.9", [])


@pytest.mark.parametrize(
    ("files", "release"),
    [
        (kernel("2.6.32-5-xen-amd64", config=PVOPS), "2.6.32-5-xen-amd64"),  # Debian's, of the new kind
        (kernel("4.12-xen", config=PVOPS), "4.12-xen"),
        (kernel("5.14.0-70.el9.x86_64+debug"), "5.14.0-70.el9.x86_64+debug"),
        (kernel("5.14.0-70.rt21.el9.x86_64"), "5.14.0-70.rt21.el9.x86_64"),
        (kernel("5.15.0-1.el9uek.x86_64"), "5.15.0-1.el9uek.x86_64"),
        (kernel("2.6.18-398.el5PAE"), "2.6.18-398.el5PAE"),
    ],
)
def test_what_boots_today_stays_where_it_can(files: Files, release: str) -> None:
    assert outcome({**files, **NEW}, entry("6.9"), entry(release), default="1") == (release, [])


def test_a_rescue_kernel_may_have_a_folder_of_its_own() -> None:
    path = "/boot/9af/0-rescue/linux"
    rescue = f"menuentry R {{\n linux {path} root=UUID=c0c0-root\n}}\n"
    assert outcome({path: "x", **NEW}, rescue, entry("6.9"))[0] == "6.9"


def test_memtest_is_no_kernel() -> None:
    memtest = "menuentry M {\n linux16 /boot/memtest86+.bin\n}\n"
    assert outcome({"/boot/memtest86+.bin": "x", **NEW}, memtest, entry("6.9"))[0] == "6.9"


def test_a_kernel_that_lacks_less_is_better_than_one_that_cannot_start() -> None:
    """Red Hat 5: no kernel of it has NVMe, and Xen's own is the default."""
    files = {**kernel("5-xen", config=XEN_PV), **kernel("5", XEN_ONLY)}
    release, warnings = outcome(files, entry("5-xen"), entry("5"))
    assert release == "5"
    assert warnings == ["/boot/grub/grub.cfg: /boot/vmlinuz-5 has no nvme driver, for Nitro"]


def test_debug_kernels_and_recovery_come_last() -> None:
    files = {**kernel("9.9+debug"), **kernel("7.0"), **kernel("1.0-xen", config=XEN_PV)}
    menu = (entry("1.0-xen"), entry("9.9+debug"), entry("7.0", "ro single"), entry("7.0", "ro quiet"))
    assert outcome(files, *menu) == ("7.0", [])
    assert outcome({**kernel("9.9+debug"), **kernel("1.0-xen")}, *menu[:2]) == ("9.9+debug", [])


def test_where_none_can_run_nothing_is_changed_and_it_is_said() -> None:
    guest = machine(
        {
            "/boot/grub/grub.cfg": "set default=k1.0-xen\nset timeout=5\n" + entry("1.0-xen"),
            **kernel("1.0-xen"),
        }
    )
    plan = plan_of(guest)
    assert plan.changes == ()
    assert [note.kind for note in plan.notes] == [NoteKind.WARNING]
    assert "paravirtual guest" in plan.notes[0].text
