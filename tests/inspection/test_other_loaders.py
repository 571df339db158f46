"""Boot loaders that are not treated are named, never passed over in silence (R-29)."""

from __future__ import annotations

import pytest

from imgpatch.inspection.other_loaders import other_loaders
from imgpatch.plan import NoteKind
from tests.transforms.grub_machines import BOTH, ESP, ROOT, kernels, machine, plan_of

ALONE = {"/": ROOT, "/boot/efi": ESP}
MENU = "set default=A\nset timeout=5\nmenuentry A {\n linux /boot/vmlinuz-6.9 root=UUID=c0c0-root\n}\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/boot/extlinux/extlinux.conf", "extlinux"),
        ("/boot/syslinux/syslinux.cfg", "syslinux"),
        ("/boot/efi/loader/loader.conf", "systemd-boot"),
        ("/boot/efi/EFI/systemd/systemd-bootx64.efi", "systemd-boot"),
        ("/boot/efi/EFI/SuSE/elilo.conf", "ELILO"),  # SLES 11 by UEFI
        ("/etc/lilo.conf", "LILO"),
    ],
)
def test_another_loader_is_named(path: str, name: str) -> None:
    guest = machine({path: "x", "/boot/efi/EFI/BOOT/BOOTX64.EFI": "MZ"}, mounts=ALONE)
    ((found, _),) = other_loaders(guest)
    assert found == name
    plan = plan_of(guest)
    assert plan.changes == ()
    assert [(note.kind, note.rule) for note in plan.notes] == [(NoteKind.WARNING, "R-29")]
    assert name in plan.notes[0].text


def test_no_loader_at_all_is_said() -> None:
    (note,) = plan_of(machine({"/etc/fstab": ""})).notes
    assert "nor are files of another boot loader" in note.text


def test_grub_comes_before_files_left_behind() -> None:
    files = {"/boot/grub/grub.cfg": MENU, "/etc/lilo.conf": "x", **kernels(v6_9=BOTH)}
    assert plan_of(machine(files)).notes == ()


def test_grub_legacy_s_menu_beside_grub_2_s_is_left_and_said() -> None:
    """Ubuntu's cloud images had one for pv-grub, and upgrades from Debian 5 leave theirs."""
    legacy = "timeout 0\ntitle A\nkernel /boot/vmlinuz-6.9 root=/dev/sda2\n"
    files = {"/boot/grub/grub.cfg": MENU, "/boot/grub/menu.lst": legacy, **kernels(v6_9=BOTH)}
    plan = plan_of(machine(files))
    assert plan.changes == ()
    assert [(note.kind, note.rule) for note in plan.notes] == [(NoteKind.DECISION, "R-30")]
