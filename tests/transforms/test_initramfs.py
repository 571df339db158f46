"""M-10 and M-11: every kernel's initramfs gets what EC2 needs, from the guest's own modules."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.archives import archive
from imgpatch import edition
from imgpatch.formats import initramfs as image_format
from imgpatch.formats import modindex
from imgpatch.formats.compression import Compression
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import BootEntry, Bootloader
from imgpatch.inspection.kernels import inspect_kernels
from imgpatch.inspection.network import Network
from imgpatch.inspection.system import OperatingSystem
from imgpatch.plan import Choices, Context, NoteKind, Plan, make_plan, planned
from imgpatch.storage import Storage
from imgpatch.target import EC2
from imgpatch.transforms import initramfs
from tests.inspection.kernel_trees import MODULES, contents, image, modules_in, tree

DEBIAN = {"/usr/sbin/mkinitramfs": b"", "/etc/initramfs-tools/modules": b"# none\next4"}
INITRD = "/boot/initrd.img-6.1"
ALL = {modindex.module_name(path) for path in MODULES}
MICROCODE = archive({"kernel/x86/microcode/AuthenticAMD.bin": b"\x02" * 3000})


def guest_of(files: dict[str, bytes], links: dict[str, str] | None = None) -> Guest:
    return Guest(MemoryTree(files, links=links), Storage())


def context_of(guest: Guest, *, method: str = "repack", default: str | None = None) -> Context:
    found = BootEntry("x", None, "0", default or "", (), "", "")
    loader = None if default is None else Bootloader("grub2", (), (found,), found, 5)
    kernels = inspect_kernels(guest, loader, EC2)
    system = OperatingSystem("debian", (), "12", "Debian", "x86_64")
    inspection = Inspection(system, "bios", None, kernels, Network((), ()))
    choices = replace(Choices(), initramfs=method)
    return Context(edition.load(), inspection, choices)


def plan_of(guest: Guest, *, method: str = "repack", default: str | None = None) -> Plan:
    return make_plan(guest, [initramfs], context_of(guest, method=method, default=default))


def after(plan: Plan, path: str) -> bytes:
    data = next(change.after for change in plan.changes if change.path == path)
    assert data is not None
    return data


def again(guest: Guest, plan: Plan, **how: str) -> Plan:
    return plan_of(planned(guest, {change.path: change.after for change in plan.changes}), **how)


def warnings(plan: Plan) -> list[str]:
    return [note.text for note in plan.notes if note.kind is NoteKind.WARNING]


@pytest.mark.parametrize("kind", [kind for kind in Compression if kind is not Compression.LZO])
@pytest.mark.parametrize("suffix", ["", ".xz"])
def test_drivers_come_with_what_they_need_and_the_second_plan_is_empty(
    kind: Compression, suffix: str
) -> None:
    early = MICROCODE + b"\0" * 1024
    guest = guest_of(tree("6.1", suffix=suffix) | {INITRD: image("6.1", kind=kind, early=early)} | DEBIAN)
    plan = plan_of(guest)
    data = after(plan, INITRD)
    assert data.startswith(early)
    found = image_format.read(data)
    assert [segment.compression for segment in found.segments] == [Compression.NONE, kind]
    assert modules_in(data, "6.1") == ALL
    folder = "usr/lib/modules/6.1"
    index = modindex.parse({"modules.dep": (found.data(f"{folder}/modules.dep") or b"").decode()})
    assert set(index.paths.values()) == set(MODULES)
    assert index.needs["nvme"] == ("nvme_core", "t10_pi")
    assert b"xen:vbd xen_blkfront" in (found.data(f"{folder}/modules.alias") or b"")
    nvme = found.files[f"{folder}/kernel/drivers/nvme/host/nvme.ko"]
    assert nvme.size == len(contents("kernel/drivers/nvme/host/nvme.ko"))
    assert again(guest, plan).is_empty


def test_no_directory_stands_where_something_is_already() -> None:
    guest = guest_of(tree("6.1") | {INITRD: image("6.1")} | DEBIAN)
    before = image_format.read(image("6.1"))
    [segment] = image_format.read(after(plan_of(guest), INITRD)).segments
    new = [e.path for e in segment.entries if e.is_directory and e.path not in before.files]
    folder = "usr/lib/modules/6.1/kernel"
    names = ("block", "drivers", "drivers/block", "drivers/net", "drivers/net/ethernet")
    more = (
        "drivers/net/ethernet/amazon",
        "drivers/net/ethernet/amazon/ena",
        "drivers/nvme",
        "drivers/nvme/host",
    )
    assert new == [f"{folder}/{name}" for name in (*names, *more)]
    links = [entry.path for entry in segment.entries if entry.path in ("lib", "sbin")]
    assert links == ["lib", "sbin"]


def test_a_layout_without_usr() -> None:
    extra = {"sbin/modprobe": b""}
    guest = guest_of(tree("4.4") | {"/boot/initrd-4.4": image("4.4", prefix="lib", extra=extra)})
    plan = plan_of(guest)
    found = image_format.read(after(plan, "/boot/initrd-4.4"))
    assert "lib/modules/4.4/kernel/drivers/nvme/host/nvme.ko" in found.files
    assert not any(path.startswith("usr") for path in found.files)


def test_conf_modules_of_initramfs_tools_names_the_disk_drivers() -> None:
    extra = {"usr/sbin/modprobe": b"", "conf/initramfs.conf": b"", "conf/modules": b"ext4\nxen_blkfront"}
    guest = guest_of(tree("6.1") | {INITRD: image("6.1", extra=extra)} | DEBIAN)
    found = image_format.read(after(plan_of(guest), INITRD))
    assert found.data("conf/modules") == b"ext4\nxen_blkfront\nnvme\n"


def test_only_what_is_missing_is_added_and_reasons_say_what() -> None:
    have = ("ext4", "xen_blkfront", "xen_netfront", "t10_pi", "ena")
    guest = guest_of(tree("6.1") | {INITRD: image("6.1", have)} | DEBIAN)
    [change, config] = plan_of(guest).changes
    assert config.path == "/etc/initramfs-tools/modules"
    assert [(reason.rule, reason.text) for reason in change.reasons] == [
        ("M-11", "kernel 6.1 lacked nvme in its initramfs, for Nitro"),
        ("M-11", "what these drivers need comes with them: nvme-core"),
    ]


def test_an_initramfs_that_has_them_is_left_alone_though_softdeps_name_more() -> None:
    files = tree("6.1") | {INITRD: image("6.1", tuple(ALL - {"ext4"}))} | DEBIAN
    files["/lib/modules/6.1/modules.softdep"] = b"softdep nvme pre: ext4\n"
    assert [change.path for change in plan_of(guest_of(files)).changes] == ["/etc/initramfs-tools/modules"]
    files[INITRD] = image("6.1", ("xen_blkfront",))
    assert "ext4" in modules_in(after(plan_of(guest_of(files)), INITRD), "6.1")


def test_modules_their_index_does_not_name_are_indexed() -> None:
    """A .ko that is not in modules.dep.bin does not exist for modprobe."""
    folder = "usr/lib/modules/6.1"
    files = {f"{folder}/{path}": contents(path) for path in MODULES}
    files |= {"usr/sbin/modprobe": b"", f"{folder}/modules.dep": b"kernel/fs/ext4.ko:\n"}
    data = archive(files, links={"lib": "usr/lib"})
    guest = guest_of(tree("6.1") | {INITRD: data} | DEBIAN)
    plan = plan_of(guest)
    text = image_format.read(after(plan, INITRD)).data(f"{folder}/modules.dep") or b""
    assert text.count(b"\n") == len(MODULES)
    assert again(guest, plan).is_empty


def test_all_kernels_and_each_file_once() -> None:
    files = tree("6.1") | tree("5.10", without=("ena",)) | {INITRD: image("6.1")} | DEBIAN
    files |= {"/boot/initrd.img-5.10": image("5.10")}
    plan = plan_of(guest_of(files), default="/boot/vmlinuz-5.10")
    assert modules_in(after(plan, "/boot/initrd.img-5.10"), "5.10") == ALL - {"ena"}
    assert modules_in(after(plan, INITRD), "6.1") == ALL
    assert warnings(plan) == [
        (
            "kernel 5.10, which boots by default today, has no ena, built in or as a module: "
            "it has no network on Nitro"
        )
    ]
    assert (
        after(plan, "/etc/initramfs-tools/modules")
        == b"# none\next4\nxen-blkfront\nxen-netfront\nnvme\nena\n"
    )


def test_built_in_drivers_need_nothing() -> None:
    names = ("xen_blkfront", "xen_netfront", "nvme", "ena")
    files = tree("6.1", without=names, builtin=names) | {INITRD: image("6.1")} | DEBIAN
    plan = plan_of(guest_of(files))
    assert plan.is_empty
    assert plan.notes == ()


def test_what_no_kernel_has_is_said_and_not_pretended() -> None:
    files = (
        tree("3.2", without=("nvme", "nvme_core", "ena")) | {"/boot/initrd.img-3.2": image("3.2")} | DEBIAN
    )
    plan = plan_of(guest_of(files))
    assert [text.split(": ")[1] for text in warnings(plan)] == [
        "it cannot find its root file system on Nitro",
        "it has no network on Nitro",
    ]
    assert after(plan, "/etc/initramfs-tools/modules") == b"# none\next4\nxen-blkfront\nxen-netfront\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({INITRD: b"junk"}, "(E-24)"),
        ({}, "kernel 6.1 has no initramfs, so that xen-blkfront, nvme cannot be loaded"),
        ({INITRD: image("6.1", extra={"bin/nash": b""})}, "neither modprobe nor udev"),
        ({INITRD: image("6.1", extra={"squash-root.img": b""})}, "squash-root.img"),
        (
            {INITRD: image("6.1"), "/lib/modules/6.1/kernel/block/t10-pi.ko": None},
            "t10-pi.ko is not in the guest",
        ),
        (
            {INITRD: image("6.1", extra={"usr/sbin/modprobe": b"", "usr/lib/modules/6.1/extra/own.ko": b""})},
            "no index of the guest knows its modules own",
        ),
    ],
)
def test_what_cannot_be_changed_is_left_and_said(files: dict[str, bytes | None], says: str) -> None:
    merged = {**tree("6.1"), **DEBIAN, **files}
    plan = plan_of(guest_of({path: data for path, data in merged.items() if data is not None}))
    assert [change.path for change in plan.changes] == ["/etc/initramfs-tools/modules"]
    assert [text for text in warnings(plan) if says in text]


def test_rebuild_leaves_the_image_to_the_guests_own_tool() -> None:
    guest = guest_of(tree("6.1") | {INITRD: image("6.1")} | DEBIAN)
    plan = plan_of(guest, method="rebuild")
    assert [change.path for change in plan.changes] == ["/etc/initramfs-tools/modules"]
    [rebuild] = plan.rebuilds
    assert (rebuild.path, rebuild.argv) == (INITRD, ("mkinitramfs", "-o", INITRD, "6.1"))
    done = guest_of(tree("6.1") | {INITRD: image("6.1", tuple(ALL))} | DEBIAN)
    assert plan_of(done, method="rebuild").rebuilds == ()


def dracut_guest(*confs: tuple[str, str]) -> Guest:
    image_file = {"/boot/initramfs-6.1.img": image("6.1", tuple(ALL))}
    conf = {f"/etc/dracut.conf.d/{name}": text.encode() for name, text in confs}
    return guest_of(tree("6.1") | image_file | {"/usr/bin/dracut": b""} | conf)


def test_dracut_is_told_the_names_padded_with_blanks() -> None:
    guest = dracut_guest()
    plan = plan_of(guest)
    assert after(plan, "/etc/dracut.conf.d/imgpatch.conf") == (
        b'add_drivers+=" xen-blkfront xen-netfront nvme ena "\n'
    )
    assert again(guest, plan).is_empty


def test_dracut_is_not_told_what_it_knows() -> None:
    guest = dracut_guest(("a.conf", 'add_drivers+=" nvme ena "\n#add_drivers+=" xen-blkfront "\n'))
    assert after(plan_of(guest), "/etc/dracut.conf.d/imgpatch.conf") == (
        b'add_drivers+=" xen-blkfront xen-netfront "\n'
    )
    every = dracut_guest(("a.conf", "force_drivers+=' xen_blkfront xen_netfront nvme ena '\n"))
    assert plan_of(every).is_empty


def test_the_tool_is_the_one_that_is_there_not_the_one_that_left_its_folder() -> None:
    base = tree("6.1") | {INITRD: image("6.1", tuple(ALL))}
    debian = base | {"/usr/sbin/mkinitramfs": b"", "/etc/dracut.conf.d/old.conf": b""}
    assert plan_of(guest_of(debian)).changes[0].path == "/etc/initramfs-tools/modules"
    dracut = base | {"/usr/bin/dracut": b"", "/etc/initramfs-tools/modules": b""}
    assert plan_of(guest_of(dracut)).changes[0].path == "/etc/dracut.conf.d/imgpatch.conf"
    suse = base | {"/sbin/mkinitrd": b""}
    assert "is not configured here" in warnings(plan_of(guest_of(suse)))[0]


HOST = Path("/lib/modules")
RELEASES = sorted(path.parent.name for path in HOST.glob("*/modules.dep"))


def host_tree(release: str, names: Iterable[str]) -> dict[str, bytes]:
    folder = HOST / release
    paths = [*names, *(f for f in (*modindex.TEXTS, "modules.builtin") if (folder / f).exists())]
    return {f"/lib/modules/{release}/{path}": (folder / path).read_bytes() for path in paths}


@pytest.mark.skipif(
    not RELEASES or not all(map(shutil.which, ("depmod", "cpio", "modprobe"))),
    reason="needs a kernel's modules, kmod and cpio",
)
def test_real_modprobe_finds_real_modules_by_name_and_by_alias(tmp_path: Path) -> None:
    """A real kernel's modules, an initramfs indexed by real depmod, read back by cpio, modprobe, depmod."""
    release = RELEASES[-1]
    texts = {name: (HOST / release / name).read_text() for name in modindex.TEXTS}
    whole = modindex.parse(texts)
    names = [name for name in ("xen_blkfront", "xen_netfront", "nvme", "ena") if name in whole.paths]
    few = whole.closure([name for name in whole.paths if name not in names][:20])
    old = tmp_path / "old/lib/modules" / release
    for path in (*(whole.paths[name] for name in few), "modules.order", "modules.builtin"):
        (old / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOST / release / path, old / path)
    subprocess.run(["depmod", "-a", "-b", tmp_path / "old", release], check=True, capture_output=True)
    (tmp_path / "old/sbin").mkdir()
    (tmp_path / "old/sbin/modprobe").touch()
    listing = subprocess.run(["find", "."], cwd=tmp_path / "old", capture_output=True, check=True).stdout
    argv = ["cpio", "-o", "-H", "newc", "--quiet"]
    data = subprocess.run(argv, input=listing, cwd=tmp_path / "old", capture_output=True, check=True).stdout
    files = host_tree(release, (whole.paths[name] for name in whole.closure(names)))
    files |= {f"/boot/vmlinuz-{release}": b"", f"/boot/initrd.img-{release}": data} | DEBIAN
    new = tmp_path / "new"
    new.mkdir()
    packed = after(plan_of(guest_of(files)), f"/boot/initrd.img-{release}")
    subprocess.run(["cpio", "-i", "--quiet"], input=packed, cwd=new, check=True, capture_output=True)
    aliases = {m: a.replace("*", "0") for a, m in whole.aliases if m in names and "[" not in a}
    for wanted in (*names, *aliases.values()):
        argv = ["modprobe", "-S", release, "-d", str(new), "--show-depends", wanted]
        shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert shown.startswith("insmod "), wanted
    ours = {name: (new / "lib/modules" / release / name).read_bytes() for name in modindex.FILES}
    subprocess.run(["depmod", "-a", "-b", new, release], check=True, capture_output=True)
    for name in modindex.FILES:
        if not name.startswith("modules.dep"):  # the order of what is needed is depmod's own
            assert ours[name] == (new / "lib/modules" / release / name).read_bytes(), name
