"""Boot loaders that are no GRUB, which ImportImage does not take (documents R-29), by their files."""

from __future__ import annotations

from imgpatch.guest import Guest

_FILES = {
    "extlinux": (
        "/boot/extlinux/extlinux.conf",
        "/boot/extlinux.conf",
        "/extlinux.conf",
        "/extlinux/extlinux.conf",
    ),
    "syslinux": (
        "/boot/syslinux/syslinux.cfg",
        "/boot/syslinux.cfg",
        "/syslinux.cfg",
        "/boot/efi/EFI/syslinux/syslinux.cfg",
        "/efi/EFI/syslinux/syslinux.cfg",
        "/boot/EFI/syslinux/syslinux.cfg",
    ),
    "systemd-boot": (
        "/boot/efi/EFI/systemd/systemd-bootx64.efi",
        "/efi/EFI/systemd/systemd-bootx64.efi",
        "/boot/EFI/systemd/systemd-bootx64.efi",
        "/boot/efi/loader/loader.conf",
        "/efi/loader/loader.conf",
        "/boot/loader/loader.conf",
    ),
    "rEFInd": (
        "/boot/efi/EFI/refind/refind.conf",
        "/efi/EFI/refind/refind.conf",
        "/boot/EFI/refind/refind.conf",
    ),
    "ELILO": ("/boot/efi/EFI/*/elilo.conf", "/etc/elilo.conf"),
    "LILO": ("/etc/lilo.conf",),
    "Limine": ("/boot/limine.conf", "/boot/limine/limine.conf", "/boot/limine.cfg", "/boot/efi/limine.conf"),
    "U-Boot": ("/boot/boot.scr", "/boot/uEnv.txt", "/etc/sysconfig/uboot"),
}


def other_loaders(guest: Guest) -> tuple[tuple[str, str], ...]:
    """Name and first file of each that the guest has files of, the likeliest to boot it first."""
    found = []
    for name, patterns in _FILES.items():
        path = next((path for pattern in patterns for path in guest.glob(pattern)), None)
        if path is not None:
            found.append((name, path))
    return tuple(found)
