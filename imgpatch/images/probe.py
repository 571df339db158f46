"""What this machine can do for imgpatch, found by trying rather than by asking.

A /dev/kvm that opens proves nothing: in a virtual machine whose own host does not nest, kernels hang
in it or QEMU aborts. So a kernel is booted in it once, and the answer remembered until the next boot.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from imgpatch.errors import RefusedError
from imgpatch.images import packages
from imgpatch.images.appliance import Settings
from imgpatch.images.durable import room, write_file

SCHEMA = 1
PATIENCE = 10.0
"""Seconds a kernel has to panic in. With a working KVM it takes 1 to 2."""

_KVM = Path("/dev/kvm")


class Kvm(StrEnum):
    ABSENT = "absent"
    FORBIDDEN = "not permitted"
    BROKEN = "broken"
    WORKS = "works"
    UNTRIED = "not tried"  # nothing to try it with


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine.

    Attributes:
        distribution: the ids of os-release(5), the closest first: `ubuntu`, `debian`.
        guestfs: the version of libguestfs; None: its Python binding cannot be imported.
        qemu: the emulator that libguestfs runs; None: there is none.
        qemu_img: whether there is a qemu-img.
        kernel: a kernel this user can read, for the appliance; None: there is none.
        unreadable_kernels: kernels only root can read, as Ubuntu installs them.
        fixed_appliance: a ready appliance named by LIBGUESTFS_PATH, which needs no kernel.
        cache: where libguestfs builds its appliance.
        cache_room: bytes free there; None: there is no such folder.
        appliance_built: whether an appliance of this user stands there.
        backend_settings: LIBGUESTFS_BACKEND_SETTINGS, which wins over what is found here.
    """

    distribution: tuple[str, ...]
    guestfs: str | None
    qemu: Path | None
    qemu_img: bool
    kvm: Kvm
    kernel: Path | None
    unreadable_kernels: tuple[Path, ...]
    fixed_appliance: Path | None
    cache: Path
    cache_room: int | None
    appliance_built: bool
    backend_settings: str | None

    @property
    def emulates(self) -> bool:
        """Whether the appliance runs without KVM: some five times slower."""
        if self.backend_settings:
            return "force_tcg" in self.backend_settings
        return self.kvm is not Kvm.WORKS


def probe(*, refresh: bool = False) -> Machine:
    """Looks at this machine; KVM is tried only once a boot, or with `refresh`."""
    qemu = _qemu()
    readable, unreadable = _kernels()
    kernel = readable[0] if readable else None
    cache = _appliance_cache()
    fixed = _fixed_appliance()
    built = cache / f".guestfs-{os.geteuid()}" / "appliance.d" / "kernel"
    bootable = [
        path for path in (kernel, fixed and fixed / "kernel", built) if path and os.access(path, os.R_OK)
    ]
    return Machine(
        distribution=packages.distribution(),
        guestfs=_guestfs_version(),
        qemu=qemu,
        qemu_img=shutil.which("qemu-img") is not None,
        kvm=_kvm(qemu, next(iter(bootable), None), refresh=refresh),
        kernel=kernel,
        unreadable_kernels=unreadable,
        fixed_appliance=fixed,
        cache=cache,
        cache_room=room(cache) if cache.is_dir() else None,
        appliance_built=built.exists(),
        backend_settings=os.environ.get("LIBGUESTFS_BACKEND_SETTINGS") or None,
    )


def appliance_settings(machine: Machine) -> Settings:
    """How appliances are started on this machine.

    Raises:
        RefusedError: none can be started.
    """
    if machine.guestfs is None:
        raise RefusedError(
            "the Python binding of libguestfs cannot be imported by this Python",
            hint=packages.install("guestfs", machine.distribution),
        )
    if machine.qemu is None:
        raise RefusedError(
            "there is no QEMU that libguestfs could run", hint=packages.install("qemu", machine.distribution)
        )
    if machine.kernel is None and machine.fixed_appliance is None:
        found, remedy = no_kernel(machine)
        raise RefusedError(found, hint=remedy)
    if not machine.emulates:
        return Settings(force_tcg=False)
    # `max` with fsrm and erms clears pages by `rep stosb`, which crawls under emulation; without la57 (as
    # libguestfs has it) page tables are a level less deep. One worker keeps udev from racing itself on
    # the one processor: 0.7 s of a launch of 6.4 s.
    x86 = platform.machine() == "x86_64"
    parameters = (("-cpu", "max,la57=off,erms=off,fsrm=off"),) if x86 else ()
    return Settings(
        force_tcg=machine.backend_settings is None,  # else it stands in there, perhaps with more
        parameters=parameters,
        append=None if os.environ.get("LIBGUESTFS_APPEND") else "udev.children_max=1",
    )


def no_kernel(machine: Machine) -> tuple[str, str]:
    """What is wrong where no kernel can be read, and what to do."""
    if machine.unreadable_kernels:
        kernel = machine.unreadable_kernels[0]
        found = f"{kernel}: only root can read this kernel, and the libguestfs appliance boots it"
        remedy = f"sudo chmod 0644 {kernel}  (a newer kernel needs it again; dpkg-statoverride makes it last)"
    else:
        found = "no kernel is installed that the libguestfs appliance could boot (/boot/vmlinuz-*)"
        remedy = f"{packages.install('kernel', machine.distribution)}, or name one in SUPERMIN_KERNEL"
    return found, f"{remedy}; or name the folder of a fixed appliance in LIBGUESTFS_PATH"


def _guestfs_version() -> str | None:
    try:
        import guestfs

        found = guestfs.GuestFS(python_return_dict=True).version()
    except (ImportError, RuntimeError):  # RuntimeError: a LIBGUESTFS_ variable it cannot make sense of
        return None
    return f"{found['major']}.{found['minor']}.{found['release']}"


def _qemu() -> Path | None:
    """The emulator libguestfs takes, its own variable first."""
    names = (
        os.environ.get("LIBGUESTFS_HV") or os.environ.get("LIBGUESTFS_QEMU"),
        f"qemu-system-{platform.machine()}",
        "qemu-kvm",
        "/usr/libexec/qemu-kvm",
    )
    found = next((path for path in map(shutil.which, filter(None, names)) if path), None)
    return None if found is None else Path(found)


def _kernels() -> tuple[list[Path], tuple[Path, ...]]:
    """Kernels as supermin(1) looks for them, the newest first: readable ones, and the others."""
    named = os.environ.get("SUPERMIN_KERNEL")
    if named:
        found = [Path(named)]
    else:
        found = [*Path("/lib/modules").glob("*/vmlinuz"), *Path("/boot").glob("vmlinu[xz]-*")]
        found = [path for path in found if "rescue" not in path.name and path.exists()]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    readable = [path for path in found if os.access(path, os.R_OK)]
    return readable, tuple(path for path in found if path not in readable)


def _fixed_appliance() -> Path | None:
    folders = map(Path, filter(None, os.environ.get("LIBGUESTFS_PATH", "").split(":")))
    return next((folder for folder in folders if (folder / "README.fixed").is_file()), None)


def _appliance_cache() -> Path:
    named = os.environ.get("LIBGUESTFS_CACHEDIR") or os.environ.get("TMPDIR")
    return Path(named or "/var/tmp")  # noqa: S108  libguestfs's own default


def _kvm(qemu: Path | None, kernel: Path | None, *, refresh: bool) -> Kvm:
    try:
        os.close(os.open(_KVM, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return Kvm.ABSENT
    except PermissionError:
        return Kvm.FORBIDDEN
    except OSError:
        return Kvm.BROKEN
    if qemu is None or kernel is None:
        return Kvm.UNTRIED
    key = _key(qemu, kernel)
    known = None if refresh else _remembered(key)
    if known is None:
        known = try_kvm(qemu, kernel)
        _remember(key, known)
    return known


def try_kvm(qemu: Path, kernel: Path, accelerator: str = "kvm", patience: float = PATIENCE) -> Kvm:
    """Boots a kernel that finds no root: where virtual machines work, it panics and QEMU ends."""
    machine = "" if platform.machine() == "x86_64" else "virt,"
    command: list[str | Path] = [
        qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256",
        "-machine", f"{machine}accel={accelerator}", "-cpu", "max", "-serial", "stdio",
        "-kernel", kernel, "-append", "panic=-1 quiet console=ttyS0 console=ttyAMA0",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return Kvm.BROKEN
    return Kvm.WORKS if done.returncode == 0 and b"Kernel panic" in done.stdout else Kvm.BROKEN


def _key(qemu: Path, kernel: Path) -> dict[str, str]:
    """What the answer depends on: a new boot, kernel, QEMU or user asks again."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "boot": boot.read_text(encoding="ascii").strip() if boot.exists() else "",
        "host": platform.release(),
        **{
            name: f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}"
            for name, path in (("qemu", qemu), ("kernel", kernel))
        },
    }


def _memory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base if base and os.path.isabs(base) else Path.home() / ".cache") / "imgpatch/machine.json"


def _remembered(key: dict[str, str]) -> Kvm | None:
    try:
        data = json.loads(_memory().read_bytes())
        return Kvm(data["kvm"]) if (data["schema"], data["key"]) == (SCHEMA, key) else None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def _remember(key: dict[str, str], kvm: Kvm) -> None:
    with suppress(OSError, RuntimeError, RefusedError):  # no home, or a read-only one: asked again next time
        path = _memory()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, json.dumps({"schema": SCHEMA, "key": key, "kvm": kvm}, indent=2).encode("utf-8"))
