"""Labels by path: libselinux's rules one by one, and libselinux itself over a whole policy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.formats import file_contexts
from imgpatch.guest import Kind
from tests import selinux_policy

MAIN = """\
/.*\t\tsystem_u:object_r:default_t:s0
/etc(/.*)?\t\tsystem_u:object_r:etc_t:s0
/etc/fstab\\.d\t-d\tsystem_u:object_r:dir_t:s0
/etc/exact\t--\tsystem_u:object_r:exact_t:s0
/etc/e.*\t--\tsystem_u:object_r:e_t:s0
# a remark
/boot/\\.journal\t<<none>>
/usr/lib(/.*)?\tsystem_u:object_r:lib_t:s0
/dev/sd[a-z]\t-b\tsystem_u:object_r:disk_t:s0
/broken(\tsystem_u:object_r:broken_t:s0
"""
LOCAL = "/etc/local(/.*)?\tsystem_u:object_r:local_t:s0\n"

PATHS = [
    "/etc",
    "/etc/fstab",
    "/etc/netplan/x.yaml",
    "/etc/resolv.conf",
    "/etc/systemd/network/10.network",
    "/etc/init.d/x",
    "/etc/dracut.conf.d/imgpatch.conf",
    "/etc/lvm/devices/system.devices",
    "/etc/local/x",
    "/bin",
    "/bin/sh",
    "/lib64/x",
    "/boot/initrd.img-6.1.0",
    "/boot/.journal",
    "/boot/lost+found/x",
    "/boot/efi/EFI/BOOT/BOOTX64.EFI",
    "/boot/efi/System.map-1",
    "/var/run/x",
    "/run",
    "/var/lib/imgpatch",
    "/var/lib/imgpatch/manifest.json",
    "/usr/lib/libGL.so.1.2",
    "/usr/share/x",
    "/vmlinuz.old",
    "/lib/private",
    "/nothing/of/the/kind",
    "/",
    "/etc/udev/rules.d/70.rules",
    "/etc/default/grub",
    "/etc/sysconfig/network-scripts/ifcfg-eth0",
    "/root/x",
]


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("/etc/fstab", Kind.FILE, "etc_t"),
        ("/etc/fstab.d", Kind.DIRECTORY, "dir_t"),
        ("/etc/fstab.d", Kind.FILE, "etc_t"),
        ("/etc/exact", Kind.FILE, "exact_t"),  # written out: before `e.*`, which comes later
        ("/etc/exact", Kind.DIRECTORY, "etc_t"),
        ("/etc/exacter", Kind.FILE, "e_t"),
        ("/etc/local/x", Kind.FILE, "local_t"),
        ("/boot/.journal", Kind.FILE, None),
        ("/lib64/x", Kind.FILE, "lib_t"),
        ("/lib64x", Kind.FILE, "default_t"),
        ("/chroot/etc/x", Kind.FILE, "etc_t"),
        ("/dev/sda", Kind.FILE, "default_t"),
        ("/broken(", Kind.FILE, "default_t"),
        ("relative", Kind.FILE, None),
    ],
)
def test_the_rules_of_libselinux(path: str, kind: Kind, expected: str | None) -> None:
    contexts = file_contexts.build([MAIN, "", LOCAL], ["/chroot /\n", "/lib64 /usr/lib\n# no pair\n"])
    context = contexts.context(path, kind)
    assert context == (None if expected is None else f"system_u:object_r:{expected}:s0")


@pytest.mark.skipif(shutil.which("matchpathcon") is None, reason="needs selinux-utils (scripts/judges)")
@pytest.mark.skipif(not selinux_policy.MODULES.is_dir(), reason="needs a policy (scripts/judges)")
@pytest.mark.parametrize(("kind", "name"), [(Kind.FILE, "file"), (Kind.DIRECTORY, "dir")])
def test_libselinux_gives_the_same_labels(kind: Kind, name: str, tmp_path: Path) -> None:
    main, subs = selinux_policy.file_contexts(), selinux_policy.SUBSTITUTIONS.read_text()
    files = {"": main, ".local": LOCAL, ".subs_dist": subs}
    for end, text in files.items():
        (tmp_path / f"file_contexts{end}").write_text(text)
    command = ["matchpathcon", "-N", "-n", "-m", name, "-f", str(tmp_path / "file_contexts"), *PATHS]
    judged = subprocess.run(command, capture_output=True, text=True, check=True)
    contexts = file_contexts.build([main, "", LOCAL], ["", subs])
    ours = [contexts.context(path, kind) or file_contexts.NONE for path in PATHS]
    assert dict(zip(PATHS, ours, strict=True)) == dict(
        zip(PATHS, judged.stdout.split("\n")[:-1], strict=True)
    )
