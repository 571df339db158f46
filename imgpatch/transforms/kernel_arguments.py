"""What becomes of each argument of a kernel command line on EC2; not a transform, the rules of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from imgpatch.devices import Naming, naming, resolve, same_tag
from imgpatch.formats import cmdline
from imgpatch.plan import OWN_RULE, Reason
from imgpatch.storage import Device, Storage
from imgpatch.transforms.network_arguments import NetworkArguments

_FROM_VARIABLE = re.compile(r"\$\{?[A-Za-z_]*kernelopts\b")
"""A line that gets its arguments from a variable, which is edited where it is set (RHEL 8)."""
_SWAP = frozenset({"swap", "swsuspend", None})
_ARRAYS = ("/dev/md", "/dev/disk/by-id/md-")
_LOGICAL_VOLUMES = frozenset({"rd.lvm.lv", "rd_LVM_LV"})
"""dracut's, and the one it had in Red Hat 6."""
_MOUNTED = {"boot": "/boot", "mount.usr": "/usr"}
"""What an initramfs of dracut mounts besides the root (dracut.cmdline(7)).

A machine in FIPS mode does not start where `boot=` is not there, with the checksum of its kernel.
"""
_BLACKLISTS = frozenset(
    {"rd.driver.blacklist", "rdblacklist", "modprobe.blacklist", "module_blacklist", "blacklist"}
)
"""dracut's, the one it had in Red Hat 6, kmod's, the kernel's, initramfs-tools'."""
_HARMFUL = {
    "pci=nomsi": "ENA and NVMe need message-signalled interrupts",
    "acpi=off": "EC2's machines describe their devices by ACPI",
    "noapic": "the interrupts of EC2's devices come through the I/O APIC",
    "nolapic": "the interrupts of EC2's devices come through the local APIC",
    "xen_nopv": "the disk and the network of Xen HVM instances are paravirtual",
    "xen_emul_unplug=never": "the emulated disk would stay beside the paravirtual one on Xen HVM instances",
}
"""Arguments that were set for other hardware (the kernel's kernel-parameters.txt) and harm on EC2's."""


class Arguments:
    """Rewrites arguments and remembers why."""

    def __init__(
        self,
        storage: Storage,
        added: Sequence[str],
        today: str = "",
        network: NetworkArguments | None = None,
        drivers: Collection[str] = (),
        *,
        by_path: bool = False,
    ) -> None:
        """Takes the machine's disks, what every kernel line must have, and the line that boots today.

        What that line calls the root is the root, whatever its name would count to among the disks given.
        `drivers` may not be blacklisted. `by_path` is for an initramfs that wants a path of udev's for a
        UUID: SUSE's mkinitrd resumes from nothing else, and not all of its versions know `root=UUID=`.
        """
        self.added = tuple(added)
        values = [cmdline.parameter(word) for word in cmdline.words(today)]
        self._root_today = next((v.strip('"') for name, v in reversed(values) if name == "root" and v), None)
        self._storage = storage
        self._network = network
        self._drivers = frozenset(name.replace("-", "_") for name in drivers)
        self._uuid = "/dev/disk/by-uuid/" if by_path else "UUID="
        self._reasons: dict[Reason, None] = {}
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def root_has_uuid(self) -> bool:
        """Whether grub-mkconfig can name the root by UUID (it names a logical volume by its path)."""
        root = self._storage.mounts.get("/")
        return root is not None and root.mapper is None and root.uuid is not None

    def take_reasons(self) -> tuple[Reason, ...]:
        """The reasons since the last call."""
        reasons, self._reasons = tuple(self._reasons), {}
        return reasons

    def line(self, text: str, *, initrd: bool, add: bool = True) -> str:
        """A whole command line; `initrd`: an initramfs is loaded, so that `UUID=` is understood."""
        if text.count('"') % 2:
            self._warnings[f"a quote is never closed in the kernel command line {text.strip()!r}"] = None
            return text
        out = cmdline.mapped(text, lambda word: self.word(word, initrd=initrd))
        if add and not takes_variable(text):
            for word in self.missing(cmdline.words(out)):
                out = cmdline.with_word(out, word)
        return out

    def missing(self, words: Sequence[str]) -> tuple[str, ...]:
        """Which of the arguments that must be there are not."""
        missing = tuple(word for word in self.added if word not in words)
        if missing:
            self._reason(
                "R-66", f"{' '.join(missing)} keeps the kernel's name of the network interface, eth0"
            )
        return missing

    def word(self, word: str, *, initrd: bool) -> str | None:
        """One argument as it must be; None: it goes."""
        name, value = cmdline.parameter(word)
        if word in _HARMFUL:
            self._warnings[f"{word} on the kernel command line is left, but {_HARMFUL[word]}"] = None
        if value is None:
            return word
        for wanted in self.added:
            if cmdline.parameter(wanted)[0] == name:
                if word != wanted:
                    self._reason("R-66", f"{word} becomes {wanted}")
                return wanted
        changed = None if self._network is None else self._network.word(name, value)
        if changed is not None:
            self._reasons[changed[1]] = None
            return changed[0]
        if name in {"root", "resume", *_MOUNTED}:
            return self._device(word, name, value.strip('"'), initrd=initrd)
        if name in _LOGICAL_VOLUMES and resolve(f"/dev/{value}", self._storage) is None:
            self._warnings[
                f"{word} on the kernel command line names no logical volume of the disks given: the initramfs"
                " waits for it, and may end in a shell"
            ] = None
        if name in _BLACKLISTS:
            return self._blacklist(word, name, value)
        return word

    def _blacklist(self, word: str, name: str, value: str) -> str | None:
        modules = value.split(",")
        kept = [module for module in modules if module.replace("-", "_") not in self._drivers]
        if len(kept) == len(modules):
            return word
        self._reason("M-11", f"{word} keeps a driver from loading that EC2 needs")
        return f"{name}={','.join(kept)}" if kept else None

    def _device(self, word: str, name: str, value: str, *, initrd: bool) -> str | None:
        if name == "resume":
            return self._resume(word, value)
        return self._root(word, value, initrd=initrd) if name == "root" else self._mounted(word, name, value)

    def _root(self, word: str, value: str, *, initrd: bool) -> str:
        if naming(value) is not Naming.HARDWARE:
            return word
        device = resolve(value, self._storage)
        root = self._storage.mounts.get("/")
        if value == self._root_today and root is not None and root.mapper is None:
            device = root
        spec = None if device is None else self._tag(device, initrd=initrd)
        if spec is None:
            self._warnings[f"{word} on the kernel command line cannot be told by UUID and is left"] = None
            return word
        self._reason(OWN_RULE, f"{word} depends on the old disk controller: root={spec}")
        return f"root={spec}"

    def _resume(self, word: str, value: str) -> str | None:
        how = naming(value)
        device = None if how is Naming.OTHER else resolve(value, self._storage)
        mapped = how is Naming.VOLUME and not value.startswith(_ARRAYS)
        if (how is Naming.TAG or mapped) and device is None:
            self._warnings[f"{word} names no device of the image: the initramfs may wait for it"] = None
        if how is not Naming.HARDWARE:
            return word
        holds_swap = device is not None and device.fstype in _SWAP
        spec = self._tag(device, initrd=True) if device is not None and holds_swap else None
        if spec is None:
            self._reason(OWN_RULE, f"{word} names no swap of the image, and waiting for it delays the boot")
            return None
        self._reason(OWN_RULE, f"{word} depends on the old disk controller: resume={spec}")
        return f"resume={spec}"

    def _mounted(self, word: str, name: str, value: str) -> str:
        if naming(value) is not Naming.HARDWARE:
            return word
        device = self._storage.mounts.get(_MOUNTED[name]) or resolve(value, self._storage)
        spec = None if device is None else self._tag(device, initrd=True)
        if spec is None:
            self._warnings[f"{word} on the kernel command line cannot be told by UUID and is left"] = None
            return word
        self._reason(OWN_RULE, f"{word} depends on the old disk controller: {name}={spec}")
        return f"{name}={spec}"

    def _tag(self, device: Device, *, initrd: bool) -> str | None:
        """What names a device on any hardware: the kernel by itself only knows PARTUUID."""
        if device.mapper is not None:
            return None
        if initrd and device.uuid is not None and not same_tag(device, self._storage):
            return f"{self._uuid}{device.uuid}"
        return None if device.partuuid is None else f"PARTUUID={device.partuuid}"

    def _reason(self, rule: str, text: str) -> None:
        self._reasons[Reason(rule, text)] = None


def takes_variable(text: str) -> bool:
    """Whether a command line has its arguments from `$kernelopts`."""
    return _FROM_VARIABLE.search(text) is not None
