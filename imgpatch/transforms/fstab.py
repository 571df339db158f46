"""Makes /etc/fstab hold on other hardware: UUIDs for device names, nofail, lines commented out.

The documents' four rules, in the order in which they are asked about one entry:

- M-05: an entry of a disabled file system type is commented out;
- M-02: an entry that is invalid is commented out. Invalid is what no reader can make a mount of: fewer than
  three fields, a `#` where the type or the options belong, a mount point that is no absolute path (swap
  has none). An entry whose device is missing is not invalid: M-04 is the rule made for it;
- M-03: a device name whose file system has a UUID becomes `UUID=`;
- M-04: a device name without one gets `nofail` and stays; also with `noauto`, where it does no harm.
  Upstart's mountall does not know that option, so its guests get `nobootwait` as well. Nor does the fsck of
  Red Hat 5, which would stop the boot: there such an entry is not checked any more.

Ours, since the documents are silent:

- `UUID=`, `LABEL=`, `PARTUUID=` and `PARTLABEL=` stay; those that no device has get `nofail`, but not
  with `noauto`: nothing waits for those;
- volumes (LVM, md, dm-crypt) keep their names, which do not depend on hardware; those that are not there
  and that nothing there makes get `nofail` by M-04;
- the line of `/` is never commented out, and where its device is not found it gets the UUID of the file
  system in which this fstab was found: without it the root stays read-only;
- a line is commented out as a whole, with the reason before it, so that deleting the reason restores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from imgpatch import devices
from imgpatch.devices import Naming
from imgpatch.formats import fstab
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason
from imgpatch.storage import Device
from imgpatch.transforms.fstab_sources import Source, Sources, survey

FSTAB = "/etc/fstab"

SAME_PROTOCOL = {"cifs": frozenset({"smb3"}), "nfs": frozenset({"nfs4"})}
"""Other names of a type that an edition disables: the same protocol through the same helper."""

HYPERVISOR_SHARES = frozenset({"vboxsf", "vmhgfs", "vmhgfs-fuse", "prl_fs", "virtiofs"})
"""Our reading of the documents' "etc.": folders that the old hypervisor shared. There is no such
hypervisor on EC2, and systemd takes all of these for local, so that one line stops the boot."""

_WITHOUT_MOUNT_POINT = frozenset({"swap", "ignore"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one entry: the same line where it stays."""

    line: fstab.Line
    rule: str = ""
    text: str = ""
    warning: str = ""


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    """One edit of the whole file, with a reason for each line it changes."""
    text = guest.text(FSTAB)
    if text is None:
        yield Note(NoteKind.WARNING, "R-48", f"there is no {FSTAB}: the service wants one that can be read")
        return
    lines = fstab.parse(text)
    new, reasons, warnings = list(lines), [], []
    for index, verdict in sorted(_verdicts(guest, context, lines), key=itemgetter(0)):
        new[index] = verdict.line
        if verdict.line != lines[index]:
            reasons.append(Reason(verdict.rule, f"line {index + 1}: {verdict.text}"))
        if verdict.warning:
            warning = f"{FSTAB} line {index + 1}: {verdict.warning}"
            warnings.append(Note(NoteKind.WARNING, verdict.rule or OWN_RULE, warning))
    if reasons:
        yield Edit(FSTAB, fstab.unparse(new).encode("utf-8", "surrogateescape"), tuple(reasons))
    yield from warnings


def _verdicts(guest: Guest, context: Context, lines: Sequence[fstab.Line]) -> Iterator[tuple[int, Verdict]]:
    disabled = _disabled_types(context.edition.disabled_fstypes)
    kept: dict[int, fstab.Line] = {}
    for index, line in enumerate(lines):
        if not line.is_entry:
            continue
        verdict = _without_mount(line, disabled)
        if verdict is None:
            kept[index] = line
        else:
            yield index, verdict
    sources = survey(guest, tuple(kept.values()), FSTAB)
    roots = [sources.of(line).device for line in kept.values() if line.fs_file == "/"]
    root_named = sources.root is not None and sources.root in roots
    for index, line in kept.items():
        yield index, _mounted(line, sources, root_named=root_named)


def _without_mount(line: fstab.Line, disabled: frozenset[str]) -> Verdict | None:
    """What M-05 and M-02 say of an entry; None where it is to be mounted."""
    fstype = _disabled_as(line, disabled)
    invalid = _invalid(line)
    if fstype is None and invalid is None:
        return None
    if fstype is not None:
        rule, text = "M-05", f"file system type {fstype} is disabled"
    else:
        rule, text = "M-02", f"invalid entry, {invalid}"
    if line.fs_file == "/":
        return Verdict(line, rule, warning=f"{text}, but it is the root's and stays; look at it")
    return Verdict(line.commented_out(f"imgpatch {rule} {text}"), rule, f"{text}; commented out")


def _disabled_types(edition: frozenset[str]) -> frozenset[str]:
    others = (SAME_PROTOCOL[name] for name in edition if name in SAME_PROTOCOL)
    return HYPERVISOR_SHARES.union(edition, *others)


def _disabled_as(line: fstab.Line, disabled: frozenset[str]) -> str | None:
    """The disabled type an entry has, in whichever way it says so.

    A FUSE file system is `fuse.sshfs`, or of type `fuse` with the program before a `#` in fs_spec or
    as the whole of it (mount.fuse(8)). 9p is a share of the hypervisor only with its own transport.
    """
    for name in line.fs_vfstype.split(","):
        program = line.fs_spec.partition("#")[0] if name in ("fuse", "fuse3") else ""
        plain = program or name.removeprefix("fuse.")
        if plain in disabled:
            return plain
        if plain == "9p" and {"trans=virtio", "trans=xen"} & set(line.options):
            return "9p"
    return None


def _invalid(line: fstab.Line) -> str | None:
    """Why no reader can make a mount of an entry; None where it can."""
    if len(line.words) < 3:
        return "fewer than three fields"
    if any(word.startswith("#") for word in line.words[2:4]):
        return "a comment where the type or the options belong"
    if not line.fs_file.startswith("/") and line.fs_vfstype not in _WITHOUT_MOUNT_POINT:
        return "the mount point is no absolute path"
    return None


def _mounted(line: fstab.Line, sources: Sources, *, root_named: bool) -> Verdict:
    """What becomes of an entry that is to be mounted."""
    source = sources.of(line)
    if source.naming is Naming.OTHER or source.later:
        return Verdict(line)
    if line.fs_file == "/" and not root_named and _root_unsure(source, sources):
        return _root(line, source, sources)
    if source.device is None:
        return _missing(line, source, sources)
    if source.naming in (Naming.TAG, Naming.VOLUME):
        return Verdict(line, warning=_ambiguous(line, source.device, sources))
    name = f"{line.fs_spec} is {source.device.name}"
    return Verdict(line.with_spec(f"UUID={source.device.uuid}"), "M-03", f"{name}, by its UUID from now on")


def _root_unsure(source: Source, sources: Sources) -> bool:
    return source.device is None or (source.naming is Naming.HARDWARE and sources.root is not None)


def _root(line: fstab.Line, source: Source, sources: Sources) -> Verdict:
    """The line of `/` whose device is not sure: the root is where this file was read."""
    root = sources.root
    found = f"{line.fs_spec}: {source.doubt or 'it is another device'}"
    if root is None or root.uuid is None:
        return Verdict(line, warning=f"{found}; no UUID of the root is known, the line stays as it is")
    rule = "M-03" if devices.is_device_name(line.fs_spec) else OWN_RULE
    text = f"{found}; the root is on {root.name}, by its UUID from now on"
    warning = _ambiguous(line, root, sources)
    if sources.misordered is line:
        warning = (
            f"the root is on {root.name}, which is not {line.fs_spec} of the disks given: they are not all "
            "there or not in the guest's order, and no name that counts disks is believed"
        )
    return Verdict(line.with_spec(f"UUID={root.uuid}"), rule, text, warning)


def _missing(line: fstab.Line, source: Source, sources: Sources) -> Verdict:
    """An entry whose device is not there: it must not stop the boot, and must not be lost."""
    after, options = line, sources.optional
    if source.naming is Naming.TAG:
        options = () if "noauto" in line.options else options
        rule, text = OWN_RULE, f"{line.fs_spec} is on none of the disks given"
    else:
        rule, text = "M-04", f"no UUID for {line.fs_spec}: {source.doubt}"
    if options:
        text += f"; {' and '.join(options)}, so that the boot does not wait for it"
    for option in options:
        after = after.with_option(option)
    if sources.stops and line.is_checked:
        after = after.without_check()
        text += "; 0 as the last number, since this guest's fsck stops the boot whatever the options are"
    return Verdict(after, rule, text)


def _ambiguous(line: fstab.Line, device: Device, sources: Sources) -> str:
    clones = devices.same_tag(device, sources.storage)
    if not clones or devices.naming(line.fs_spec) is Naming.VOLUME:
        return ""
    return f"{device.name} and {clones[0].name} have the same UUID; which one is mounted is left to chance"
