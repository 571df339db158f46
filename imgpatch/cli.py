"""The command line: parse, call, render, exit."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from imgpatch import edition as editions
from imgpatch import operations, reference
from imgpatch.checks import predicted
from imgpatch.errors import ImgpatchError, UsageError
from imgpatch.images import doctor as doctors
from imgpatch.images import probe
from imgpatch.images.windows_volumes import Opening
from imgpatch.plan import Choices, Package
from imgpatch.progress import Progress, on_stderr
from imgpatch.reports import document, machine_check, task, text, verdict

EXIT_CHANGES = 1
EXIT_FAILS = 1
EXIT_INTERRUPTED = 130
EXIT_BUG = 70
ADVICE = frozenset({"rdp", "utc"})
DRIVERS_LIMIT = 256 << 20
_WINDOWS_NAME = re.compile(r'(?:[^<>:"/\\|?*\x00-\x1f]*[^<>:"/\\|?*\x00-\x1f .](?:/|$))+')

Command = Callable[..., Any]
images_argument = click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


_edition_option = click.option(
    "--edition",
    "edition_name",
    default=editions.NEWEST,
    show_default=True,
    help=f"Edition of the documents to follow: {', '.join(editions.names())}.",
)


def planning_options(command: Command) -> Command:
    """The options that decide what a plan holds: preview and apply take the same, so that digests agree."""
    options = [
        _edition_option,
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
            help="Windows: drivers (with their .inf files) for it to install when it meets the hardware.",
        ),
        _force_dirty_hives,
    ]
    for option in reversed(options):
        command = option(command)
    return opening_options(command)


_force_dirty_hives = click.option(
    "--force-dirty-hives",
    is_flag=True,
    help="Windows: take a registry hive as it stands that was being written and whose logs are of no use.",
)


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-v", "--verbose", count=True, help="Say each step and its seconds; twice: every libguestfs call."
)
@click.version_option(package_name="imgpatch")
@click.pass_context
def cli(context: click.Context, verbose: int) -> None:
    """Does to a disk image what AWS VM Import/Export does to it on import: shown first, and undoable.

    Several IMAGE arguments are the disks of one machine, in the machine's order.
    """
    logging.basicConfig(
        level=(logging.WARNING, logging.WARNING, logging.DEBUG)[min(verbose, 2)],
        format="%(name)s: %(message)s",
        stream=sys.stderr,
    )
    context.obj = on_stderr(verbose=verbose > 0)
    context.call_on_close(context.obj.close)  # after an error too: its message wants a clean line


cli.add_command(reference.explain)
cli.add_command(reference.edition)


@cli.command()
@images_argument
@_force_dirty_hives
@json_option
@click.pass_obj
def inspect(progress: Progress, /, images: tuple[Path, ...], as_json: bool, force_dirty_hives: bool) -> None:
    """Say what is in a machine: disks, file systems, system, boot loader, kernels, drivers, network."""
    found = operations.inspect_images(images, progress, force_dirty_hives=force_dirty_hives)
    progress.close()
    if as_json:
        _print_json(document.inspection_document(found))
    else:
        _print(text.render_inspection(found, colour=_colour()))


@cli.command()
@images_argument
@planning_options
@json_option
@click.option("--exit-code", is_flag=True, help="Exit 1 where there are changes, 0 where there are none.")
@click.pass_obj
def preview(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    edition_name: str,
    as_json: bool,
    exit_code: bool,
    force_hibernated: bool,
    force_unclean: bool,
    **choices: Any,
) -> None:
    """Show every change as a diff with the rule it follows; nothing is written."""
    edition = editions.load(edition_name)
    chosen = _choices(**choices)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.preview_images(images, edition, chosen, progress, opening)
    progress.close()
    if as_json:
        _print_json(document.plan_document(result.plan, edition, result.messages))
    else:
        _print(text.render_plan(result.plan, edition, result.messages, choices=chosen, colour=_colour()))
    if exit_code and not result.plan.is_empty:
        sys.exit(EXIT_CHANGES)


@cli.command()
@images_argument
@_edition_option
@click.option(
    "--matrix",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A table of systems of your own, in TOML, laid over the edition's.",
)
@click.option("--after", is_flag=True, help="Check the machine as apply would leave it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "aws"]),
    default="text",
    help="aws: as AWS tells it.",
)
@click.option("--json", "form", flag_value="json", help="One JSON document on stdout.")
@click.pass_obj
def check(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    edition_name: str,
    matrix: Path | None,
    after: bool,
    form: str,
) -> int:
    """Predict whether the import would fail, and with which words; exit 1 where it would."""
    edition = editions.load(edition_name)
    if matrix is not None:
        edition = editions.with_matrix(edition, matrix.read_text(encoding="utf-8", errors="surrogateescape"))
    result = operations.check_images(images, edition, progress, after=after)
    progress.close()
    if form == "json":
        _print_json(verdict.verdict_document(result))
    elif form == "aws":
        _print_json(task.task_document(result))
    else:
        _print(verdict.render_verdict(result, colour=_colour()))
    return 0 if predicted(result.findings) is None else EXIT_FAILS


@cli.command()
@images_argument
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a new file; once for each IMAGE, in the same order.",
)
@click.option("--in-place", is_flag=True, help="Change the image itself; safe to kill at any instant.")
@click.option(
    "--plan", "expected", metavar="DIGEST", help="Refuse unless the plan is the one preview printed."
)
@planning_options
@json_option
@click.pass_obj
def apply(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    outputs: tuple[Path, ...],
    in_place: bool,
    expected: str | None,
    edition_name: str,
    as_json: bool,
    force_hibernated: bool,
    force_unclean: bool,
    **choices: Any,
) -> None:
    """Make the changes, keep the originals beside them, and read everything back from a fresh session."""
    destination = operations.Destination(outputs, in_place)
    edition = editions.load(edition_name)
    chosen = _choices(**choices)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.apply_images(images, destination, edition, chosen, expected, progress, opening)
    progress.close()
    if as_json:
        _print_json(document.plan_document(result.plan, edition, result.messages, written=result.written))
    else:
        _print(text.render_plan(result.plan, edition, result.messages, choices=chosen, colour=_colour()))
        _print("".join(f"Written and verified: {path}\n" for path in result.written))


@cli.command()
@images_argument
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a new file instead of changing the image; once for each IMAGE.",
)
@opening_options
@json_option
@click.pass_obj
def revert(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    outputs: tuple[Path, ...],
    as_json: bool,
    force_hibernated: bool,
    force_unclean: bool,
) -> None:
    """Put every original back, from the manifest in the image; in place unless --output is given."""
    destination = operations.Destination(outputs, in_place=not outputs)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.revert_images(images, destination, progress, opening)
    progress.close()
    if as_json:
        _print_json(document.revert_document(result.manifest, written=result.written))
    else:
        _print(text.render_revert(result.manifest))
        _print("".join(f"Written and verified: {path}\n" for path in result.written))


@cli.command()
@images_argument
def recover(images: tuple[Path, ...]) -> None:
    """Finish or discard a change in place that was killed; apply and revert in place do so by themselves."""
    done = operations.recover_images(images)
    _print(f"The change that was killed has been {done}.\n" if done else "Nothing to recover.\n")


@cli.command()
@json_option
@click.option("--again", is_flag=True, help="Probe anew instead of using what was remembered.")
@click.pass_obj
def doctor(progress: Progress, /, as_json: bool, again: bool) -> None:
    """Say what this machine can do, what is missing and what to install."""
    progress.step("probing this machine")
    machine = probe.probe(refresh=again)
    progress.close()
    rows = doctors.examine(machine)
    if as_json:
        _print_json(machine_check.doctor_document(rows))
    else:
        _print(machine_check.render_doctor(rows, colour=_colour()))
    if not doctors.usable(rows):
        sys.exit(UsageError.exit_code + 1)


def _choices(
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


def _print(output: str) -> None:
    click.echo(output, nl=False)


def _print_json(fields: Mapping[str, Any]) -> None:
    _print(document.dumps(fields))


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


class _Interrupted(BaseException):
    """A signal asks to stop; no KeyboardInterrupt, at which click would print a line of its own."""


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Interrupted


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """What is ignored stays ignored: nohup(1) and background jobs want it so."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and gives its exit code; the only place where errors are caught."""
    try:
        with _stopped_by_signals():
            ended = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except ImgpatchError as error:
        return _fail(str(error), error.hint, error.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (_Interrupted, KeyboardInterrupt, click.Abort):
        return _fail("interrupted", None, EXIT_INTERRUPTED)
    except Exception:  # noqa: BLE001  the last resort: a bug is shown whole, with an exit code of its own
        traceback.print_exc()
        return _fail("this is a bug in imgpatch", "please report it with the lines above", EXIT_BUG)
    return ended if isinstance(ended, int) else 0


def _fail(message: str, hint: str | None, code: int) -> int:
    click.echo(f"imgpatch: {text.safe(message)}", err=True)
    if hint:
        click.echo(f"  {text.safe(hint)}", err=True)
    return code
