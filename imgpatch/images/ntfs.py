"""NTFS in an appliance: who may touch a file, which ntfs-3g gives no name in the list of attributes.

ntfs-3g without a mapping of users gives everybody full access to what is created, a copy of the registry
too (`cp -a` does not help): so every file made here gets a security descriptor in so many words. The
bindings pass no NUL in an attribute's value, therefore setfattr(1) of the appliance sets them.
"""

from __future__ import annotations

import shlex

from imgpatch.formats import security_descriptor
from imgpatch.images.appliance import Appliance, ApplianceError

SECURITY = "system.ntfs_acl"
FLAGS = "system.ntfs_attrib_be"
"""The DOS attributes (hidden, system, archive), most significant byte first."""

SETTABLE_FLAGS = 0x1 | 0x2 | 0x4 | 0x20 | 0x1000 | 0x2000
"""Read-only, hidden, system, archive, offline, not indexed: the rest says how the file is stored."""

DRIVER = "ntfs-3g"
OPTIONS = "noatime"

Attributes = tuple[tuple[str, bytes], ...]


def attributes(appliance: Appliance, path: str) -> Attributes:
    """Security descriptor and DOS attributes."""
    found = {name: bytes(appliance.lgetxattr(path, name)) for name in (SECURITY, FLAGS)}
    return tuple((name, trimmed(name, value)) for name, value in found.items())


def trimmed(name: str, value: bytes) -> bytes:
    """One of the two attributes as it is compared: without padding, and without how the file is stored."""
    if name == SECURITY:
        return security_descriptor.trimmed(value)
    return (int.from_bytes(value, "big") & SETTABLE_FLAGS).to_bytes(4, "big")


def set_attributes(appliance: Appliance, path: str, wanted: Attributes) -> None:
    """Sets them in one call.

    Raises:
        ApplianceError: what is read back is not what was set.
    """
    real = shlex.quote(f"/sysroot{path}")
    script = "; ".join(f"setfattr -n {name} -v 0x{value.hex()} {real}" for name, value in wanted)
    appliance.debug("sh", [script])
    found = dict(attributes(appliance, path))
    for name, value in wanted:
        if found[name] != value:
            raise ApplianceError(
                f"{path}: {name} could not be set, and without it anybody may change the file"
            )


def secure_as_new(appliance: Appliance, path: str, parent: str, *, folder: bool) -> None:
    """Gives what was just made what Windows would have it inherit from its folder."""
    above = dict(attributes(appliance, parent))[SECURITY]
    set_attributes(appliance, path, ((SECURITY, security_descriptor.inherited(above, folder=folder)),))
