"""Under which name the original of a changed file is kept (documents M-01).

The documents: in the same folder, under a new name. They do not give the name; ours is
`<name>.imgpatch.orig`, and `.<name>.imgpatch.orig` where a reader takes more than fixed names: of all
forms only the leading dot is passed over by every reader there is.
"""

from __future__ import annotations

import posixpath

FOLDERS_READ_BY_PATTERN = (
    "/boot",
    "/efi",
    "/etc/NetworkManager",
    "/etc/apt",
    "/etc/cloud",
    "/etc/cron.d",
    "/etc/default/grub.d",
    "/etc/dracut.conf.d",
    "/etc/grub.d",
    "/etc/initramfs-tools",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/netplan",
    "/etc/network",
    "/etc/sysconfig/network",
    "/etc/sysconfig/network-scripts",
    "/etc/systemd",
    "/etc/udev",
    "/usr/lib/systemd",
)
"""Folders (with all below them) whose reader may take any name. A fixed-name file in one of them
gets the dot too: it is never wrong, only less visible."""

FIXED_NAMES = frozenset({"/etc/network/interfaces", "/etc/initramfs-tools/modules"})
"""Files read by name in such a folder, next to which nothing is globbed."""


def kept_name(path: str, suffix: str) -> str:
    """The path of the original of `path`, in the same folder."""
    folder, name = posixpath.split(path)
    globbed = any(folder == f or folder.startswith(f"{f}/") for f in FOLDERS_READ_BY_PATTERN)
    dot = "." if globbed and path not in FIXED_NAMES and not name.startswith(".") else ""
    return posixpath.join(folder, f"{dot}{name}{suffix}")
