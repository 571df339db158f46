"""Which policy a guest has, and when what is created gets a label."""

from __future__ import annotations

import pytest

from imgpatch.guest import Guest, Kind, MemoryTree
from imgpatch.labels import guest_labels
from imgpatch.storage import Storage

CONTEXTS = "/etc/selinux/{}/contexts/files/file_contexts"
RULES = b"/.*\tx:default_t\n/etc(/.*)?\tx:etc_t\n"
ETC = b"x:old_etc_t\0"


def wanted(files: dict[str, bytes], path: str, folder: bytes | None) -> bytes | None:
    return guest_labels(Guest(MemoryTree(files), Storage())).wanted(path, Kind.FILE, folder)


@pytest.mark.parametrize(
    ("config", "policy"),
    [
        (b"SELINUX=enforcing\nSELINUXTYPE=mls\n", "mls"),
        (b"  SELINUX=Permissive \n# SELINUXTYPE=x\nSELINUXTYPE=x\nSELINUXTYPE= mls \t\n", "mls"),
        (b"SELINUX=enforcing\n", "targeted"),
    ],
)
def test_the_policy_that_the_guest_loads(config: bytes, policy: str) -> None:
    files = {"/etc/selinux/config": config, CONTEXTS.format(policy): RULES}
    assert wanted(files, "/etc/new", ETC) == b"x:etc_t\0"
    assert wanted(files, "/etc/new", None) == b"x:etc_t\0"


def test_a_guest_that_is_off_keeps_its_labels_right_and_gets_none_it_has_not() -> None:
    files = {
        "/etc/selinux/config": b"SELINUX=disabled\nSELINUX=enforcing\n",
        CONTEXTS.format("targeted"): RULES,
    }
    assert wanted(files, "/etc/new", ETC) == b"x:etc_t\0"
    assert wanted(files, "/etc/new", None) is None


def test_a_compiled_policy_alone_leaves_the_label_of_the_folder() -> None:
    files = {
        "/etc/selinux/config": b"SELINUX=enforcing\n",
        f"{CONTEXTS.format('targeted')}.bin": b"\x8a\xff\x7c\xf9",
    }
    assert wanted(files, "/etc/new", ETC) == ETC
    assert wanted(files, "/etc/new", None) is None


def test_local_rules_and_substitutions_count() -> None:
    base = CONTEXTS.format("targeted")
    files = {
        "/etc/selinux/config": b"SELINUX=enforcing\n",
        base: RULES,
        f"{base}.local": b"/etc/new\tx:mine_t\n",
        f"{base}.subs_dist": b"/etc.real /etc\n",
    }
    assert wanted(files, "/etc/new", ETC) == b"x:mine_t\0"
    assert wanted(files, "/etc.real/new", ETC) == b"x:mine_t\0"


def test_a_guest_without_selinux_has_labels_only_where_it_has_them() -> None:
    assert wanted({}, "/etc/new", None) is None
    assert wanted({}, "/etc/new", ETC) == ETC
