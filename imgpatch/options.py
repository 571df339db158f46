"""What commands are given: options that several of them share, and the choices these make."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from imgpatch import edition as editions
from imgpatch.errors import UsageError
from imgpatch.finding import Operation
from imgpatch.images import output_formats
from imgpatch.plan import Choices, Package

ADVICE = frozenset({"rdp", "utc"})
DRIVERS_LIMIT = 256 << 20
_WINDOWS_NAME = re.compile(r'(?:[^<>:"/\\|?*\x00-\x1f]*[^<>:"/\\|?*\x00-\x1f .](?:/|$))+')

Command = Callable[..., Any]
images_argument = click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
edition_option = click.option(
    "--edition",
    "edition_name",
    default=editions.NEWEST,
    show_default=True,
    help=f"Edition of the documents to follow: {', '.join(editions.names())}.",
)
matrix_option = click.option(
    "--matrix",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A table of systems of your own, in TOML, laid over the edition's.",
)
force_dirty_hives_option = click.option(
    "--force-dirty-hives",
    is_flag=True,
    help="Windows: take a registry hive as it stands that was being written and whose logs are of no use.",
)


def planning_options(command: Command) -> Command:
    """The options that decide what a plan holds: preview and apply take the same, so that digests agree."""
    options = [
        edition_option,
        click.option(
            "--original-suffix",
            default=Choices().original_suffix,
            show_default=True,
            help="Ends the name of every kept original (the documents give none).",
        ),
        click.option(
            "--nic-names",
            type=click.Choice(["eth0", "keep"]),
            default=Choices().nic_names,
            show_default=True,
            help="eth0: the one network interface of EC2 gets this name (net.ifnames=0). keep: no renaming.",
        ),
        click.option(
            "--initramfs",
            type=click.Choice(["repack", "rebuild"]),
            default=Choices().initramfs,
            show_default=True,
            help="repack: add the drivers, running nothing of the guest. rebuild: run the guest's own tool.",
        ),
        click.option(
            "--with-ssm",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="PACKAGE",
            help="A .deb or .rpm of the Systems Manager client, which the guest installs at its first boot.",
        ),
    ]
    options += [
        click.option(
            "--with",
            "advice",
            metavar="WHAT,...",
            default="",
            help="Windows: also do what the documents tell its user to do: rdp, utc.",
        ),
        click.option(
            "--driver-dir",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            metavar="FOLDER",
            help="Windows: drivers with their .inf files: an NVMe one is bound for boot where there is none.",
        ),
        force_dirty_hives_option,
    ]
    for option in reversed(options):
        command = option(command)
    return opening_options(command)


def opening_options(command: Command) -> Command:
    """What may be lost of a Windows that was not shut down."""
    options = [
        click.option(
            "--force-hibernated",
            is_flag=True,
            help="Windows: delete a hibernated session (or Fast Startup's), with what was not saved in it.",
        ),
        click.option(
            "--force-unclean",
            is_flag=True,
            help="Windows: reset an unfinished NTFS journal, with the changes that only it holds.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


OPERATIONS = {
    "import-image": Operation.IMAGE,
    "import-snapshot": Operation.SNAPSHOT,
    "import-instance": Operation.INSTANCE,
}
operation_option = click.option(
    "--operation",
    type=click.Choice(list(OPERATIONS)),
    default="import-image",
    show_default=True,
    help="The call that is predicted. import-snapshot looks at the disk files alone; import-instance is old.",
)


def output_options(command: Command) -> Command:
    """Where a new file goes, and as what; `destination` takes what they give."""
    options = [
        click.option(
            "--output",
            "outputs",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write a new file: once for each disk, in the same order; one for all of an OVA.",
        ),
        click.option(
            "--output-format",
            type=click.Choice(output_formats.CHOICES),
            help="What to write instead of the input's own format; ova takes all disks into one file.",
        ),
        click.option(
            "--thin",
            is_flag=True,
            help="Write only the changes, as a qcow2 over the image, which must stay as it is from then on.",
        ),
        click.option(
            "--work-dir",
            type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
            metavar="DIR",
            help="For temporary files; else they are beside the output.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def form_option(default: str) -> Callable[[Command], Command]:
    """How a verdict is told."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json", "aws"]),
        default=default,
        show_default=True,
        help="aws: as AWS tells it.",
    )


def load_edition(name: str, matrix: Path | None) -> editions.Edition:
    """An edition, with the user's own table laid over it."""
    edition = editions.load(name)
    if matrix is None:
        return edition
    return editions.with_matrix(edition, matrix.read_text(encoding="utf-8", errors="surrogateescape"))


def choices(
    original_suffix: str,
    nic_names: str,
    initramfs: str,
    with_ssm: Path | None,
    advice: str,
    driver_dir: Path | None,
    force_dirty_hives: bool,
) -> Choices:
    if not re.fullmatch(r"[.~_-][A-Za-z0-9._~-]{1,40}", original_suffix):
        raise UsageError(
            f"--original-suffix {original_suffix!r} cannot end a file name here",
            hint="begin it with one of . ~ _ - and use letters, digits and those, for example .before-import",
        )
    package = None if with_ssm is None else _package(with_ssm)
    return Choices(
        original_suffix=original_suffix,
        nic_names=nic_names,
        initramfs=initramfs,
        force_dirty_hives=force_dirty_hives,
        advice=_advice(advice),
        drivers=() if driver_dir is None else _drivers(driver_dir),
        ssm_package=package,
    )


def _drivers(folder: Path) -> tuple[tuple[str, bytes], ...]:
    """Every regular file; links are not followed."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(folder).as_posix() for path in found]
    if not any(name.lower().endswith(".inf") for name in names):
        raise UsageError(
            f"--driver-dir {folder}: there is no .inf file in it",
            hint="give the unpacked folder of the drivers, not an installer",
        )
    if wrong := next((name for name in names if not _WINDOWS_NAME.fullmatch(name)), None):
        raise UsageError(f"--driver-dir {folder}: {wrong!r} cannot be the name of a file on Windows")
    size = sum(path.stat().st_size for path in found)
    if size > DRIVERS_LIMIT:
        raise UsageError(f"--driver-dir {folder}: {size} bytes are more than drivers have ({DRIVERS_LIMIT})")
    return tuple((name, path.read_bytes()) for name, path in zip(names, found, strict=True))


def _advice(text: str) -> frozenset[str]:
    words = frozenset(filter(None, text.split(",")))
    if unknown := sorted(words - ADVICE):
        raise UsageError(
            f"--with {','.join(unknown)}: not known", hint=f"what it may name is {', '.join(sorted(ADVICE))}"
        )
    return words


def _package(path: Path) -> Package:
    data = path.read_bytes()
    for kind, magic in {"deb": b"!<arch>\ndebian-binary", "rpm": b"\xed\xab\xee\xdb"}.items():
        if data.startswith(magic):
            return Package(kind, data)
    raise UsageError(
        f"--with-ssm {path}: neither a .deb nor an .rpm",
        hint="give the package of amazon-ssm-agent for the guest's system, as AWS offers it for download",
    )


def colour() -> bool:
    """Whether stdout is a terminal whose user has nothing against colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
