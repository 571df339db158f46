"""Which kernels a guest has, which initramfs belongs to each, and where each driver is."""

from __future__ import annotations

import pytest

from fixtures import modules
from imgpatch.formats.compression import Compression
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection.bootloader import BootEntry, Bootloader
from imgpatch.inspection.kernels import Kernel, Presence, inspect_kernels, release_key, release_of_image
from imgpatch.storage import Storage
from imgpatch.target import EC2
from tests.inspection.kernel_trees import image, tree


def entry(kernel: str, *initrds: str) -> BootEntry:
    return BootEntry("x", None, "0", kernel, initrds, "", "/boot/grub/grub.cfg")


def kernels(
    files: dict[str, bytes],
    *entries: BootEntry,
    links: dict[str, str] | None = None,
) -> tuple[Kernel, ...]:
    loader = Bootloader("grub2", (), entries, entries[0], 5) if entries else None
    return inspect_kernels(Guest(MemoryTree(files, links=links), Storage()), loader, EC2)


def states(kernel: Kernel) -> dict[str, tuple[Presence, bool | None]]:
    return {state.module: (state.presence, state.in_initramfs) for state in kernel.drivers}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("initrd.img-6.1.0-9", Compression.ZSTD),
        ("initramfs-6.1.0-9.img", Compression.GZIP),
        ("initrd-6.1.0-9", Compression.XZ),
        ("initrd-6.1.0-9.img", Compression.NONE),
    ],
)
def test_the_initramfs_by_each_familys_name(name: str, kind: Compression) -> None:
    files = tree("6.1.0-9") | {f"/boot/{name}": image("6.1.0-9", ("nvme", "nvme_core", "t10_pi"), kind=kind)}
    [kernel] = kernels(files)
    assert (kernel.release, kernel.initramfs) == ("6.1.0-9", f"/boot/{name}")
    assert (kernel.modules, kernel.default) == ("/lib/modules/6.1.0-9", False)
    assert states(kernel) == {
        "xen-blkfront": (Presence.MODULE, False),
        "xen-netfront": (Presence.MODULE, False),
        "nvme": (Presence.MODULE, True),
        "ena": (Presence.MODULE, False),
    }


def test_built_in_by_modules_builtin_and_by_the_configuration_and_absent() -> None:
    files = tree("5.4", without=("nvme", "xen_blkfront", "ena"), builtin=("nvme/host/nvme",))
    files["/boot/config-5.4"] = b"CONFIG_XEN_BLKDEV_FRONTEND=y\nCONFIG_ENA_ETHERNET=m\n"
    [kernel] = kernels(files)
    assert states(kernel) == {
        "xen-blkfront": (Presence.BUILT_IN, None),
        "xen-netfront": (Presence.MODULE, None),
        "nvme": (Presence.BUILT_IN, None),
        "ena": (Presence.ABSENT, None),
    }
    assert (kernel.initramfs, kernel.initramfs_problem) == (None, None)


def test_a_module_that_only_its_index_knows_is_absent() -> None:
    files = tree("6.1")
    del files["/lib/modules/6.1/kernel/drivers/net/ethernet/amazon/ena/ena.ko"]
    assert states(kernels(files)[0])["ena"] == (Presence.ABSENT, None)


def test_old_names_of_the_xen_drivers() -> None:
    files = {
        "/boot/vmlinuz-2.6.18-8.el5": b"MZ",
        "/lib/modules/2.6.18-8.el5/modules.dep": b"/lib/modules/2.6.18-8.el5/kernel/xen-vbd.ko:\n",
        "/lib/modules/2.6.18-8.el5/kernel/xen-vbd.ko": b"",
    }
    state = kernels(files)[0].drivers[0]
    assert (state.module, state.presence, state.name) == ("xen-blkfront", Presence.MODULE, "xen_vbd")


def test_newest_first_debug_last_and_what_is_no_kernel_left_out() -> None:
    files = tree("6.1.0-9") | tree("6.1.0-10") | tree("7.0+debug")
    files |= {
        "/boot/vmlinuz-0-rescue-0123456789": b"",
        "/boot/vmlinuz-6.1.0-9.hmac": b"",
        "/boot/.vmlinuz-6.1.0-9.imgpatch.orig": b"",
        "/boot/initramfs-6.1.0-9kdump.img": b"",
        "/lib/modules/extra/modules.dep": b"",
    }
    found = kernels(files, links={"/boot/vmlinuz-current": "vmlinuz-6.1.0-9"})
    assert [kernel.release for kernel in found] == ["6.1.0-10", "6.1.0-9", "7.0+debug"]


def test_the_default_is_the_boot_loaders_and_so_is_its_initramfs() -> None:
    files = tree("6.1.0-9") | tree("6.1.0-10")
    files |= {"/boot/initrd.img-6.1.0-9": image("6.1.0-9"), "/boot/my.img": image("6.1.0-9", ("ext4", "ena"))}
    default = entry("/boot/vmlinuz-6.1.0-9", "/boot/intel-ucode.img", "/boot/my.img")
    new, old = kernels(files, default, entry("/boot/vmlinuz-6.1.0-10", "/boot/gone.img"))
    assert (old.default, old.initramfs) == (True, "/boot/my.img")
    assert (new.default, new.initramfs) == (False, None)
    assert states(old)["ena"] == (Presence.MODULE, True)


def test_a_kernel_only_the_boot_loader_names() -> None:
    files = {path: data for path, data in tree("6.11.4").items() if not path.startswith("/boot")}
    files |= {"/boot/0123/6.11.4/linux": b"MZ", "/boot/0123/6.11.4/initrd": image("6.11.4")}
    [kernel] = kernels(files, entry("/boot/0123/6.11.4/linux"))
    assert (kernel.release, kernel.initramfs, kernel.default) == ("6.11.4", "/boot/0123/6.11.4/initrd", True)


def test_the_release_from_the_kernel_itself() -> None:
    kernel = bytearray(0x600)
    kernel[0x202:0x206] = b"HdrS"
    kernel[0x20E:0x210] = (0x300).to_bytes(2, "little")
    kernel[0x500:0x520] = b"6.11.1-arch1-1 (linux@arch) #1\0\0"
    assert release_of_image(bytes(kernel)) == "6.11.1-arch1-1"
    assert release_of_image(b"MZ") is None
    assert release_of_image(bytes(kernel[:0x208])) is None
    files = {path: data for path, data in tree("6.11.1-arch1-1").items() if not path.startswith("/boot")}
    files |= {"/boot/vmlinuz-linux": bytes(kernel), "/boot/initramfs-linux.img": image("6.11.1-arch1-1")}
    [found] = kernels(files)
    assert (found.release, found.initramfs) == ("6.11.1-arch1-1", "/boot/initramfs-linux.img")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"garbage", "neither"),
        (image("6.1", kind=Compression.ZSTD)[:-50], "cut off"),
    ],
)
def test_an_initramfs_that_cannot_be_read_says_why(data: bytes, says: str) -> None:
    [kernel] = kernels(tree("6.1") | {"/boot/initrd.img-6.1": data})
    assert kernel.initramfs == "/boot/initrd.img-6.1"
    assert says in (kernel.initramfs_problem or "")
    assert states(kernel)["nvme"] == (Presence.MODULE, None)


def test_what_a_squash_image_holds_cannot_be_seen() -> None:
    data = image("6.1", ("nvme", "nvme_core", "t10_pi"), extra={"squash-root.img": b"hsqs"})
    [kernel] = kernels(tree("6.1") | {"/boot/initrd.img-6.1": data})
    assert kernel.initramfs_problem is None
    assert states(kernel)["nvme"] == (Presence.MODULE, True)
    assert states(kernel)["ena"] == (Presence.MODULE, None)


@pytest.mark.parametrize(
    ("flavour", "finds"), [("el5", True), ("el5xen", False), ("el6", True), ("sles11", True)]
)
def test_whether_a_fully_virtualized_guest_finds_xen(flavour: str, finds: bool) -> None:
    assert kernels(modules.tree("2.6", flavour))[0].finds_xen is finds


def test_without_a_configuration_nothing_is_said_of_xen() -> None:
    files = modules.tree("2.6.32-5-amd64", "debian6")
    files["/boot/config-2.6.32-5-amd64"] = b"CONFIG_XEN=y\n# CONFIG_XEN_PVHVM is not set\n"
    assert kernels(files)[0].finds_xen is False
    del files["/boot/config-2.6.32-5-amd64"]
    assert kernels(files)[0].finds_xen is None


def test_releases_sort_as_packages_do() -> None:
    rising = ["2.6.32-754.el6", "3.10.0-514.el7", "3.10.0-1160.el7", "4.18.0-80.el8", "5.10.0-8", "6.1.0-10"]
    mixed = [rising[i] for i in (3, 0, 5, 1, 4, 2)]
    assert sorted(mixed, key=release_key) == rising
