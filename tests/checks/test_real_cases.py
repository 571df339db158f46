"""The failures people met: reproduced with the same words, or listed with the reason why not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from imgpatch import catalogue, checks
from imgpatch.checks import opening
from imgpatch.edition import NEWEST
from imgpatch.errors import UnsupportedGuestError
from imgpatch.finding import Finding
from imgpatch.storage import Device
from tests.checks.changes import MENU_LST, STUB, alone, grubenv, line, mbr, put, rhel, uefi
from tests.checks.machines import MIB, Change, Parts, of_row, ubuntu
from tests.documents import FAILURES, cells, needs_documents

CONTAINER = "what a disk file is made of; of containers only raw and qcow2 are read yet"
SERVICE = "nothing on the disk shows it"
WINDOWS = "Windows is not checked yet"
NO_WORDS = "the message is not known"
BOOT = "it imports and does not boot: a finding without words of the service"

NOT_HERE = {
    **{f"A{number:02}": CONTAINER for number in (1, 2, 3, 4, 5, 8, 11, 12, 13, 14, 17, 18)},
    **{f"A{number:02}": SERVICE for number in (7, 9, 10, 66)},
    **{f"A{number:02}": NO_WORDS for number in (6, 16, 24, 30, 31, 32, 33, 34, 39, 43, 44, 59)},
    **{f"A{number:02}": WINDOWS for number in range(60, 66)},
    **{f"A{number:02}": BOOT for number in range(67, 73)},
    "A15": "refused on opening, with a rule: tests/checks/test_opening.py",
    "A29": "of ImportInstance, which is not what is predicted",
    "A48": "a hang, not a message",
    "A57": "the heading of A57a to A57g",
}  # fmt: skip


def refused(rule: str) -> Callable[[], Finding | None]:
    """What opening such disks refuses; tests/appliance/test_check.py has the disks."""
    return lambda: opening.finding(UnsupportedGuestError("found", rule=rule))


def guest(
    *changes: Change, base: Callable[[], Parts] = ubuntu, edition: str = NEWEST
) -> Callable[[], Finding | None]:
    def find() -> Finding | None:
        parts = base()
        for change in changes:
            parts = change(parts)
        return checks.predicted(parts.findings(edition))

    return find


def system(text: str) -> Change:
    return lambda parts: parts.having({"/etc/os-release": text, "/usr/lib/os-release": text})


ESP = Device(disk=0, partition=4, fstype="vfat", parttype="c12a7328-f81f-11d2-ba4b-00a0c93ec93b", size=MIB)
HYBRID = guest(lambda parts: parts.adding(ESP), base=mbr, edition="2019")
OSTREE = guest(lambda p: p.replaced("/boot/grub/grub.cfg", "ro net", "ostree=/ostree/boot.1/x/0 net"))
BLANK, NO_ETC = refused("R-32"), refused("R-60")
NIXOS = guest(lambda p: p.having({"/nix/store/fstab": "x"}).linked("/etc/fstab", "/nix/store/fstab"))
PHOTON = guest(system("ID=photon\nVERSION_ID=4.0\n"), put("/boot/efi/boot/grub2/grub.cfg", STUB), base=uefi)


def kernel(release: str, text: str | None = None) -> Callable[[], Finding | None]:
    changes = [alone(release)] if text is None else [alone(release), system(text)]
    return guest(*changes)


REPRODUCED: dict[str, Callable[[], Finding | None]] = {
    "A19": BLANK,
    "A20": refused("R-40"),
    "A21": refused("R-40"),
    "A22": BLANK,
    "A23": BLANK,
    "A25": HYBRID,
    "A26": HYBRID,
    "A27": HYBRID,
    "A28": HYBRID,
    "A35": NO_ETC,
    "A36": OSTREE,
    "A37": NO_ETC,
    "A38": NO_ETC,
    "A40": guest(lambda p: p.having({"/etc/os-release": None})),
    "A41": guest(lambda p: p.having({"/etc/os-release": None})),
    "A42": refused("R-41"),
    "A45": NO_ETC,
    "A46": NIXOS,
    "A47": NIXOS,
    "A49": guest(line("\0")),
    "A50": refused("R-28"),
    "A51": guest(lambda p: replace(p, storage=replace(p.storage, incomplete_groups=("vg",)))),
    "A52": PHOTON,
    "A53": PHOTON,
    "A54": guest(put("/boot/grub/menu.lst", MENU_LST)),
    "A55": guest(grubenv(""), base=rhel),
    "A56": guest(base=lambda: of_row("centos-8"), edition="2019"),
    "A57a": kernel("4.15.0-1021-aws", "ID=ubuntu\nVERSION_ID=16.04\n"),
    "A57b": kernel("4.18.0-15-generic", "ID=ubuntu\nVERSION_ID=18.04\n"),
    "A57c": kernel("4.9.0-8-amd64", "ID=debian\nVERSION_ID=9\n"),
    "A57d": kernel("5.8.0-59-generic", "ID=ubuntu\nVERSION_ID=20.04\n"),
    "A57e": kernel("5.4.66-gentoo-x86_64", "ID=gentoo\n"),
    "A57f": kernel("5.10.83-4.ph4-aws", "ID=photon\nVERSION_ID=4.0\n"),
    "A57g": kernel("5.10.220", "ID=buildroot\nVERSION_ID=2024\n"),
    "A58": guest(put("/boot/initrd.img-6.8.0-138-generic", b"\x1f\x8b\x08cut")),
}


def reported() -> dict[str, str]:
    """Every case with the message it was reported with; `same` is the one above."""
    found: dict[str, str] = {}
    last = ""
    for row in cells(FAILURES, "## A. Failure corpus", "### A7"):
        if re.fullmatch(r"A\d\d[a-g]?", row[0]):
            quoted = re.search(r"`([^`]+)`", row[1])
            if quoted is not None:
                last = quoted[1]
            found[row[0]] = last.replace("... ", "Unsupported kernel version ")
    return found


@needs_documents
def test_every_case_is_reproduced_or_has_a_reason() -> None:
    assert reported().keys() == REPRODUCED.keys() | NOT_HERE.keys()
    assert REPRODUCED.keys() & NOT_HERE.keys() == set()


@needs_documents
@pytest.mark.parametrize("name", REPRODUCED)
def test_a_case_has_the_words_it_was_met_with(name: str) -> None:
    found = REPRODUCED[name]()
    assert found is not None
    assert found.error is not None
    expected = [match.row.id for match in catalogue.find(reported()[name])]
    assert found.error in expected
    words = catalogue.rows()[found.error].words(found.values)
    if name.startswith("A57"):
        assert words.endswith(reported()[name])
