"""The system and the kernel that boots by default are on the list (E-27; documents R-60, R-61, R-67).

Systems that are not on it at all were refused for their kernel too, even where another system has the same.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.kernels import IMAGE_PATTERNS
from imgpatch.matrix import Support, support

RELEASE_FILES = ("/etc/centos-release", "/etc/rocky-release", "/etc/oracle-release", "/etc/redhat-release")
_GENERIC = "boot the distribution's ordinary kernel by default"
FLAVOURS = {
    "ubuntu": (frozenset({"generic", "server", "virtual"}), re.compile(r"[\d.]+-\d+-([a-z][\w-]*)")),
    "debian": (frozenset({"amd64"}), re.compile(r"[\d.]+-[\d.]+-([a-z][\w-]*)")),
}
"""Of a system: the flavours that its import was seen with, and where a release has its flavour."""

REFUSED = frozenset({("ubuntu", "aws")})
"""What people met (import-failures A57a)."""

_SNAPSHOT = "use import-snapshot and register-image, which take any kernel"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    release, path = default_release(machine.inspection)
    if release is None:
        return
    system, edition = machine.inspection.system, machine.edition
    version = point_version(machine.guest, machine.inspection)
    found = support(edition.linux, system.id, version, release)
    if found is Support.LISTED:
        yield from _flavour(system.id, release, path)
        return
    name = f"{system.name} ({version})" if version and version not in system.name else system.name
    if found is Support.POINT_RELEASE:
        yield Finding(
            "R-60",
            Severity.UNKNOWN,
            f"{name} is not in the table of the edition {edition.name}, which has {_listed(machine)}; "
            f"the kernel {release} is listed for those",
            "nothing may be wrong: only an import tells",
            path=path,
        )
        return
    yield Finding(
        "R-61" if found is Support.OTHER_KERNEL else "R-60",
        Severity.FAILS,
        f"{name} boots {release} by default; {found}: {_listed(machine) or 'nothing of this name is'}",
        _remedy(machine, version, found),
        error="E-27",
        path=path,
        values={"release": release},
    )


def _flavour(system_id: str, release: str, path: str | None) -> Iterator[Finding]:
    """The tables give versions; kernels of a listed version but made for a cloud were refused."""
    usual, pattern = FLAVOURS.get(system_id, (frozenset(), None))
    match = pattern.fullmatch(release) if pattern is not None else None
    if match is None or match[1] in usual:
        return
    text = f"{release} is of a listed version, but of the flavour {match[1]}"
    if (system_id, match[1]) in REFUSED:
        text += "; kernels of this flavour were refused"
        values = {"release": release}
        yield Finding("R-61", Severity.FAILS, text, _GENERIC, error="E-27", path=path, values=values)
    else:
        text += "; whether the service takes it is not known"
        yield Finding("R-61", Severity.UNKNOWN, text, _GENERIC, path=path)


def default_release(inspection: Inspection) -> tuple[str | None, str | None]:
    """What `uname -r` would print after the default entry, and the kernel it boots; None: not known."""
    kernel = inspection.default_kernel
    if kernel is not None:
        return kernel.release, kernel.image
    default = inspection.bootloader.default if inspection.bootloader else None
    if default is None:
        return None, None
    base = posixpath.basename(default.kernel)
    prefixes = [posixpath.basename(pattern).rstrip("*") for pattern in IMAGE_PATTERNS]
    return next((base.removeprefix(p) for p in prefixes if base.startswith(p)), None), default.kernel


def point_version(guest: Guest, inspection: Inspection) -> str:
    """`7.9` of a CentOS whose os-release says 7; the version as it is where no file says more."""
    version = inspection.system.version
    for path in RELEASE_FILES:
        match = re.search(r"release (\d+(?:\.\d+)*)", guest.text(path) or "")
        if match is not None and (match[1] == version or match[1].startswith(f"{version}.")):
            return match[1]
    return version


def _listed(machine: Machine) -> str:
    """The rows of the same release with their kernels; where there is none, the releases there are."""
    rows = [row for row in machine.edition.linux if row.id == machine.inspection.system.id]
    major = [row for row in rows if row.has_major(machine.inspection.system.version)]
    if major:
        return "; ".join(f"{row.title} with {row.kernel_text}" for row in major)
    versions = dict.fromkeys(version for row in rows for version in row.versions)
    return f"{rows[0].name} {', '.join(versions)}" if rows else ""


def _remedy(machine: Machine, version: str, found: Support) -> str:
    if found is not Support.OTHER_KERNEL:
        return _SNAPSHOT
    rows, system = machine.edition.linux, machine.inspection.system.id
    for kernel in machine.inspection.kernels:
        if not kernel.default and support(rows, system, version, kernel.release) is Support.LISTED:
            return f"{kernel.release} is installed and listed: make it the default in the guest"
    return f"install a listed kernel in the guest and make it the default; or {_SNAPSHOT}"
