"""The two tools called mkinitrd and the configuration by which they take drivers; not a transform itself.

Red Hat Enterprise Linux 5 (mkinitrd 5.1): modules that `/etc/modprobe.conf` calls `scsi_hostadapter`.
SUSE Linux Enterprise 11 (mkinitrd 2.4): INITRD_MODULES in `/etc/sysconfig/kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgpatch.errors import FormatError
from imgpatch.formats import shellvars
from imgpatch.formats.modindex import module_name
from imgpatch.guest import Guest
from imgpatch.plan import Edit, Note, NoteKind, Reason
from imgpatch.target import EC2

MODPROBE_CONF = "/etc/modprobe.conf"
HOST_ADAPTER = "scsi_hostadapter"
BUSES = frozenset(driver.bus for driver in EC2.drivers)
SUSE_KERNEL = "/etc/sysconfig/kernel"
SUSE_LIST = "INITRD_MODULES"


def mkinitrd_red_hat(guest: Guest, names: Sequence[str], everywhere: Sequence[str]) -> Iterator[Edit | Note]:
    """`alias scsi_hostadapterN` for disks, and `alias eth0` as the installer writes it for the network.

    mkinitrd gives up where an alias names a module the kernel does not have, and then the new kernel has no
    initrd at all; so only what all kernels have is named.
    """
    yield from _not_named(names, everywhere, "mkinitrd would stop at what a kernel does not have")
    everywhere = [name for name in everywhere if name not in BUSES]  # modules.dep brings them
    text = guest.text(MODPROBE_CONF) or ""
    rows = [line.split() for line in text.split("\n")]
    aliases = {row[1]: module_name(row[2]) for row in rows if len(row) >= 3 and row[0] == "alias"}
    pairs = {(row[1], module_name(row[2])) for row in rows if len(row) >= 3 and row[0] == "alias"}
    known = {module for alias, module in pairs if alias.startswith(HOST_ADAPTER)}
    lines, named = [], []
    for name in everywhere:
        if _is_disk(name):
            if module_name(name) in known:
                continue
            alias = _free_adapter(aliases)
            aliases[alias] = name
        else:
            alias = "eth0"
            if (alias, module_name(name)) in pairs:
                continue
        lines.append(f"alias {alias} {name}\n")
        named.append(name)
    if lines:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        reason = Reason("M-10", f"the next initrd takes {', '.join(named)} too")
        yield Edit(MODPROBE_CONF, (start + "".join(lines)).encode("utf-8", "surrogateescape"), (reason,))


def _is_disk(name: str) -> bool:
    return any(
        driver.boot and module_name(name) in map(module_name, (driver.module, *driver.old_names))
        for driver in EC2.drivers
    )


def _free_adapter(aliases: dict[str, str]) -> str:
    """As kudzu counts: the first has no number, the next is 1."""
    taken = len([alias for alias in aliases if alias.startswith(HOST_ADAPTER)])
    number = taken
    while f"{HOST_ADAPTER}{number or ''}" in aliases:
        number += 1
    return f"{HOST_ADAPTER}{number or ''}"


def mkinitrd_suse(guest: Guest, names: Sequence[str], everywhere: Sequence[str]) -> Iterator[Edit | Note]:
    """The list the tool loads in its order; it complains of what a kernel does not have and goes on."""
    text = guest.text(SUSE_KERNEL) or ""
    listed = shellvars.values(shellvars.parse(text)).get(SUSE_LIST)
    known = {module_name(word) for word in (listed or "").split()}
    wanted = names if len(everywhere) == 0 else everywhere
    missing = [name for name in wanted if module_name(name) not in known]
    after = text
    try:
        for name in missing:
            after = shellvars.with_word(after, SUSE_LIST, name)
    except FormatError as error:
        yield Note(NoteKind.WARNING, "M-11", f"{SUSE_KERNEL} does not get {', '.join(missing)}: {error}")
        return
    if missing:
        reason = Reason("M-11", f"the next initrd takes {', '.join(missing)} too")
        yield Edit(SUSE_KERNEL, after.encode("utf-8", "surrogateescape"), (reason,))
    yield from _not_named(names, wanted, "mkinitrd complains of what a kernel does not have")


def _not_named(names: Sequence[str], named: Sequence[str], why: str) -> Iterator[Note]:
    left = [name for name in names if name not in named]
    if left:
        text = f"the next initrd is not told of {', '.join(left)}, which not all kernels have: {why}"
        yield Note(NoteKind.WARNING, "M-11", text)
