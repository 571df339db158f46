"""/etc/resolv.conf as a file or a link, and what else names the old network's servers and addresses."""

from __future__ import annotations

import pytest

from imgpatch.plan import NoteKind
from tests.networks import KEYFILES, after, guest, plan

PATH = "/etc/resolv.conf"
LAN = {"/etc/systemd/network/a.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"}
KEYFILE = {f"{KEYFILES}/a": "[connection]\ntype=ethernet\ninterface-name=eth0\n"}
OLD = "nameserver 10.0.0.2\n"
NEW = "nameserver 169.254.169.253\n# nameserver 10.0.0.2\n"
WANTS = "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service"


@pytest.mark.parametrize("stack", [LAN, KEYFILE])
def test_a_link_to_a_file_of_the_image_is_followed(stack: dict[str, str]) -> None:
    machine = guest({"/etc/resolv.conf.lab": OLD, **stack}, {PATH: "resolv.conf.lab"})
    assert {c.path: c.after for c in plan(machine).changes} == {"/etc/resolv.conf.lab": NEW.encode()}


@pytest.mark.parametrize(
    ("target", "files", "warned"),
    [
        ("/run/systemd/resolve/stub-resolv.conf", {}, True),
        ("../run/systemd/resolve/stub-resolv.conf", {WANTS: ""}, False),
        ("/run/resolvconf/resolv.conf", {"/sbin/resolvconf": ""}, False),
        ("/run/resolvconf/resolv.conf", {}, True),
        ("/run/NetworkManager/resolv.conf", {}, False),
        ("/etc/gone", {}, True),
    ],
)
def test_a_link_to_what_is_made_at_boot_stays(target: str, files: dict[str, str], warned: bool) -> None:
    made = plan(guest({**LAN, **files}, {PATH: target}))
    assert made.changes == ()
    assert [note.kind for note in made.notes if note.text.startswith(PATH)] == [NoteKind.WARNING] * warned


def test_a_stale_copy_under_run_is_no_file_of_the_guest() -> None:
    made = plan(
        guest({**LAN, "/run/systemd/resolve/resolv.conf": OLD}, {PATH: "/run/systemd/resolve/resolv.conf"})
    )
    assert made.changes == ()


@pytest.mark.parametrize(
    ("path", "text", "warned"),
    [
        ("/etc/systemd/resolved.conf", "[Resolve]\nDNS=10.0.0.2 8.8.8.8\n", True),
        ("/etc/systemd/resolved.conf.d/a.conf", "[Resolve]\n#DNS=10.0.0.2\nDNS=1.1.1.1#one.one\n", False),
        ("/etc/resolvconf/resolv.conf.d/head", OLD, True),
        ("/etc/hosts", "127.0.0.1 localhost\n10.0.0.5 filer.example.org filer\n", True),
        ("/etc/hosts", "127.0.1.1 filer\n10.0.0.9 other\n#10.0.0.5 filer\n", False),
    ],
)
def test_what_else_names_the_old_network_is_said_and_left(path: str, text: str, warned: bool) -> None:
    made = plan(guest({path: text, "/etc/hostname": "filer\n", **LAN}))
    assert made.changes == ()
    assert bool([note for note in made.notes if note.text.startswith(path)]) is warned


def test_a_file_is_edited_as_before() -> None:
    assert after({PATH: OLD, **LAN}) == NEW
