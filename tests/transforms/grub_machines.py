"""Small machines with GRUB, and what the boot transforms make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgpatch import edition
from imgpatch.formats import grubenv
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import inspect
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.plan import Context, Plan, make_plan, planned
from imgpatch.storage import Device, Disk, Storage
from imgpatch.target import EC2
from imgpatch.transforms import fallback_loader, grub, kernel_command_line

ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ESP = Device(disk=0, partition=1, fstype="vfat", uuid="AAAA-0001", parttype=ESP_TYPE)
ROOT = Device(disk=0, partition=2, fstype="ext4", uuid="c0c0-root", partuuid="p0p0-02")
BOOT = Device(disk=0, partition=4, fstype="xfs", uuid="b0b0-boot", partuuid="p0p0-04")
SWAP = Device(disk=0, partition=3, fstype="swap", uuid="5a5a-swap", partuuid="p0p0-03")

BOTH = "kernel/drivers/block/xen-blkfront.ko\nkernel/drivers/nvme/host/nvme.ko\n"
XEN_ONLY = "kernel/drivers/block/xen-blkfront.ko\n"


def kernels(**builtin: str) -> dict[str, str]:
    """Files of kernels by release, with their modules.builtin; `_` stands for `-` and `.`."""
    files = {}
    for name, text in builtin.items():
        release = name.removeprefix("v").replace("_", ".")
        files[f"/boot/vmlinuz-{release}"] = "kernel"
        files[f"/lib/modules/{release}/modules.builtin"] = text
    return files


def machine(
    files: Mapping[str, str | bytes],
    *,
    mounts: Mapping[str, Device] | None = None,
    os_id: str = "debian",
    devices: Sequence[Device] = (ROOT, SWAP),
    links: Mapping[str, str] | None = None,
) -> Guest:
    mounted = {"/": ROOT} if mounts is None else mounts
    contents = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    contents["/etc/os-release"] = f"ID={os_id}\nVERSION_ID=12\n".encode()
    folding = [point for point, device in mounted.items() if device.fstype == "vfat"]
    every = tuple(dict.fromkeys((*devices, *mounted.values())))
    tree = MemoryTree(contents, links=links, case_folding=folding)
    return Guest(tree, Storage((Disk("gpt", 1),), every, mounted))


def plan_of(guest: Guest, name: str = edition.NEWEST) -> Plan:
    """The plan; planning again over its outcome must change nothing."""
    plan = _plan(guest, name)
    again = _plan(after(guest, plan), name)
    assert again.changes == ()
    return plan


def _plan(guest: Guest, name: str) -> Plan:
    context = Context(edition.load(name), inspect(guest, EC2))
    return make_plan(guest, (kernel_command_line, grub, fallback_loader), context)


def after(guest: Guest, plan: Plan) -> Guest:
    return planned(guest, {change.path: change.after for change in plan.changes})


def text_after(guest: Guest, path: str) -> str:
    """The file as the plan leaves it."""
    return after(guest, plan_of(guest)).text(path) or ""


def bootloader(of: Guest) -> Bootloader:
    found = inspect_bootloader(of)
    assert found is not None
    return found


def default_kernel(of: Guest) -> str | None:
    default = bootloader(of).default
    return None if default is None else default.kernel


def environment(of: Guest, folder: str) -> dict[str, str]:
    """What the block in a folder holds; its size is GRUB's."""
    data = of.read(f"{folder}/grubenv") or b""
    assert len(data) == 1024
    return grubenv.values(data)


def kernel(release: str, builtin: str = BOTH) -> dict[str, str | bytes]:
    """The files of one kernel whose name `kernels` cannot spell."""
    return {f"/boot/vmlinuz-{release}": "x", f"/lib/modules/{release}/modules.builtin": builtin}


def block(**settings: str) -> bytes:
    return grubenv.created(settings)


def menu(*releases: str, head: str = 'set default="0"\nset timeout=5\n', root: str = "UUID=c0c0-root") -> str:
    """A grub.cfg as Debian's grub-mkconfig lays it out, the first release on top."""

    def entry(title: str, name: str, release: str, extra: str = "") -> str:
        return (
            f"menuentry '{title}' $menuentry_id_option '{name}' {{\n"
            f"\tlinux\t/boot/vmlinuz-{release} root={root} ro {extra}\n"
            f"\tinitrd\t/boot/initrd.img-{release}\n}}\n"
        )

    text = head + 'menuentry_id_option="--id"\n' + entry("Linux", "gnulinux-simple-U", releases[0], "quiet")
    text += "submenu 'Advanced' $menuentry_id_option 'gnulinux-advanced-U' {\n"
    for release in releases:
        text += entry(f"Linux {release}", f"gnulinux-{release}-advanced-U", release, "quiet")
        text += entry(f"Linux {release} (recovery)", f"gnulinux-{release}-recovery-U", release, "single")
    return text + "}\n"


SAVED_HEAD = """if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="${saved_entry}"
fi
set timeout=5
"""
