"""An edition of the VM Import/Export documents as data.

The five editions differ in what the service is said to do; each is a TOML file in `editions/`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from imgpatch.errors import UsageError

NEWEST = "2026"


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition.

    Attributes:
        name: `2019`, `2024`, `2025-07`, `2025-12` or `2026`.
        disabled_fstypes: the types M-05 disables, where the edition names them.
        ssm_agent: whether the service installs the Systems Manager client (M-12).
        debian_fallback_loader: whether it makes BOOTX64.EFI of a Debian guest's GRUBX64.EFI (M-21).
    """

    name: str
    title: str
    disabled_fstypes: frozenset[str]
    ssm_agent: bool
    debian_fallback_loader: bool


def names() -> tuple[str, ...]:
    """The editions there are, oldest first."""
    folder = resources.files("imgpatch") / "editions"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load(name: str = NEWEST) -> Edition:
    """Reads one edition.

    Raises:
        UsageError: there is no such edition.
    """
    if name not in names():
        raise UsageError(
            f"there is no edition {name!r} of the documents", hint=f"choose one of {', '.join(names())}"
        )
    text = (resources.files("imgpatch") / "editions" / f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return Edition(
        name=name,
        title=data["title"],
        disabled_fstypes=frozenset(data["fstab"]["disabled_types"]),
        ssm_agent=data["guest"]["ssm_agent"],
        debian_fallback_loader=data["uefi"]["debian_fallback_loader"],
    )
