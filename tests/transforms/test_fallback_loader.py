"""M-21 and R-33: the loader that the firmware of EC2 starts."""

from __future__ import annotations

import pytest

from imgpatch.plan import NoteKind
from tests.transforms.grub_machines import BOTH, ESP, ROOT, after, kernels, machine, menu, plan_of

GRUB = b"MZ the loader"
MENU = {
    "/boot/grub/grub.cfg": menu("6.9", head="set default=gnulinux-simple-U\nset timeout=5\n"),
    **kernels(v6_9=BOTH),
}
UEFI = {"/": ROOT, "/boot/efi": ESP}


@pytest.mark.parametrize("name", ["EFI/debian/grubx64.efi", "efi/Debian/GRUBX64.EFI"])
def test_debian_gets_a_copy_of_its_grub(name: str) -> None:
    guest = machine({**MENU, f"/boot/efi/{name}": GRUB}, mounts=UEFI)
    plan = plan_of(guest)
    (change,) = (change for change in plan.changes if "BOOT" in change.path)
    assert (change.before, change.after) == (None, GRUB)
    assert change.path.casefold() == "/boot/efi/efi/boot/bootx64.efi"
    assert [reason.rule for reason in change.reasons] == ["M-21"]
    assert after(guest, plan).read("/boot/efi/EFI/Boot/bootx64.efi") == GRUB


@pytest.mark.parametrize("name", ["EFI/BOOT/BOOTX64.EFI", "EFI/boot/bootx64.efi"])
def test_a_loader_that_is_there_is_left(name: str) -> None:
    loaders = {"/boot/efi/EFI/debian/grubx64.efi": GRUB, f"/boot/efi/{name}": b"MZ another"}
    files: dict[str, str | bytes] = {**MENU, **loaders}
    plan = plan_of(machine(files, mounts=UEFI))
    assert not any("/efi/" in change.path for change in plan.changes)
    assert not any(note.rule == "R-33" for note in plan.notes)


@pytest.mark.parametrize(
    ("os_id", "edition", "loader"),
    [
        ("ubuntu", "2026", {"/boot/efi/EFI/ubuntu/grubx64.efi": GRUB}),
        ("debian", "2019", {"/boot/efi/EFI/debian/grubx64.efi": GRUB}),
        ("debian", "2026", {}),
        ("debian", "2026", {"/boot/efi/EFI/debian/grubx64.efi": b"no program"}),
    ],
)
def test_nothing_is_made_up_for_others(os_id: str, edition: str, loader: dict[str, bytes]) -> None:
    plan = plan_of(machine({**MENU, **loader}, mounts=UEFI, os_id=os_id), edition)
    assert not any("/efi/" in change.path for change in plan.changes)
    assert [note.kind for note in plan.notes if note.rule == "R-33"] == [NoteKind.WARNING]


def test_an_esp_that_is_not_mounted_is_told() -> None:
    plan = plan_of(machine(MENU, devices=(ROOT, ESP)))
    assert ["not in fstab" in note.text for note in plan.notes if note.rule == "R-33"] == [True]


def test_a_bios_guest_is_no_matter() -> None:
    assert not any(note.rule == "R-33" for note in plan_of(machine(MENU)).notes)
