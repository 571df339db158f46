"""Made-up kernels for tests: a module tree with its indexes, and an initramfs of some family's kind."""

from __future__ import annotations

import lzma

from fixtures.archives import archive
from imgpatch.formats import initramfs, modindex
from imgpatch.formats.compression import Compression, pack

MODULES = {
    "kernel/block/t10-pi.ko": (),
    "kernel/drivers/block/xen-blkfront.ko": (),
    "kernel/drivers/net/ethernet/amazon/ena/ena.ko": (),
    "kernel/drivers/net/xen-netfront.ko": (),
    "kernel/drivers/nvme/host/nvme.ko": ("kernel/drivers/nvme/host/nvme-core.ko", "kernel/block/t10-pi.ko"),
    "kernel/drivers/nvme/host/nvme-core.ko": ("kernel/block/t10-pi.ko",),
    "kernel/fs/ext4.ko": (),
}
ALIASES = """# Aliases extracted from modules themselves.
alias xen:vbd xen_blkfront
alias pci:v*d*sv*sd*bc01sc08i02* nvme
alias fs-ext4 ext4
"""


def tree(
    release: str, *, without: tuple[str, ...] = (), suffix: str = "", builtin: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """The files of `/lib/modules/RELEASE` and the kernel; `without` names modules it has not."""
    folder = f"/lib/modules/{release}"
    kept = {p: needs for p, needs in MODULES.items() if modindex.module_name(p) not in without}
    dep = "".join(f"{p}{suffix}:{''.join(f' {n}{suffix}' for n in needs)}\n" for p, needs in kept.items())
    files = {f"{folder}/{p}{suffix}": _module(p, suffix) for p in kept}
    return files | {
        f"/boot/vmlinuz-{release}": b"MZ",
        f"/boot/config-{release}": b"# CONFIG_A is not set\nCONFIG_RD_ZSTD=y\n",
        f"{folder}/modules.dep": dep.encode(),
        f"{folder}/modules.alias": ALIASES.encode(),
        f"{folder}/modules.builtin": "".join(f"kernel/drivers/{name}.ko\n" for name in builtin).encode(),
    }


def contents(path: str) -> bytes:
    """What the module of this path holds, unpacked."""
    return b"\x7fELF " + path.encode()


def _module(path: str, suffix: str) -> bytes:
    return lzma.compress(contents(path)) if suffix == ".xz" else contents(path)


def image(
    release: str,
    modules: tuple[str, ...] = ("ext4",),
    *,
    kind: Compression = Compression.GZIP,
    prefix: str = "usr/lib",
    extra: dict[str, bytes] | None = None,
    early: bytes = b"",
) -> bytes:
    """An initramfs as initramfs-tools makes it, with some of the modules and their indexes."""
    folder = f"{prefix}/modules/{release}"
    have = {modindex.module_name(p): p for p in MODULES if modindex.module_name(p) in modules}
    texts = {
        "modules.dep": "".join(f"{p}: {' '.join(needs)}\n" for p, needs in MODULES.items()),
        "modules.alias": ALIASES,
    }
    index = modindex.parse(texts).only(have)
    files = {f"{folder}/{name}": data for name, data in modindex.render(index).items()}
    files |= {f"{folder}/{p}": contents(p) for p in have.values()}
    files |= {"usr/sbin/modprobe": b"", "init": b"#!/bin/sh\n"} if extra is None else extra
    links = {"lib": "usr/lib", "sbin": "usr/sbin"} if prefix.startswith("usr") else {}
    folders = {parent for path in files for parent in _parents(path)}
    data = archive(files, directories=sorted(folders), links=links)
    return early + b"".join(pack([data], kind))


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def modules_in(data: bytes, release: str) -> set[str]:
    """Names of the modules an initramfs has."""
    return set(initramfs.read(data).modules(release))
