"""The command line: parse, call, render, exit."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from imgpatch import checking, comparing, importing, operations, options, reference
from imgpatch import edition as editions
from imgpatch.checks import predicted
from imgpatch.errors import ImgpatchError, UsageError
from imgpatch.finding import Operation
from imgpatch.images import doctor as doctors
from imgpatch.images import probe
from imgpatch.images.destination import Destination
from imgpatch.images.windows_volumes import Opening
from imgpatch.importing import EXIT_FAILS
from imgpatch.options import (
    colour,
    edition_option,
    force_dirty_hives_option,
    images_argument,
    json_option,
    matrix_option,
    opening_options,
    planning_options,
)
from imgpatch.progress import Progress, on_stderr
from imgpatch.reports import document, machine_check, task, text, verdict

EXIT_CHANGES = 1
EXIT_INTERRUPTED = 130
EXIT_BUG = 70


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
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(_Shown("%(name)s: %(message)s"))
    level = (logging.WARNING, logging.WARNING, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, handlers=[shown])
    context.obj = on_stderr(verbose=verbose > 0)
    context.call_on_close(context.obj.close)  # after an error too: its message wants a clean line


cli.add_command(reference.explain)
cli.add_command(reference.edition)
cli.add_command(comparing.diff)
cli.add_command(importing.import_image)
cli.add_command(importing.handoff)


@cli.command()
@images_argument
@force_dirty_hives_option
@json_option
@click.pass_obj
def inspect(progress: Progress, /, images: tuple[Path, ...], as_json: bool, force_dirty_hives: bool) -> None:
    """Say what is in a machine: disks, file systems, system, boot loader, kernels, drivers, network."""
    found = operations.inspect_images(images, progress, force_dirty_hives=force_dirty_hives)
    progress.close()
    if as_json:
        _print_json(document.inspection_document(found))
    else:
        _print(text.render_inspection(found, colour=colour()))


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
    chosen = options.choices(**choices)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.preview_images(images, edition, chosen, progress, opening)
    progress.close()
    if as_json:
        _print_json(document.plan_document(result.plan, edition, result.messages))
    else:
        _print(text.render_plan(result.plan, edition, result.messages, choices=chosen, colour=colour()))
    if exit_code and not result.plan.is_empty:
        sys.exit(EXIT_CHANGES)


@cli.command()
@images_argument
@edition_option
@matrix_option
@click.option("--after", is_flag=True, help="Check the machine as apply would leave it.")
@options.operation_option
@options.form_option("text")
@click.option("--json", "form", flag_value="json", help="One JSON document on stdout.")
@click.pass_obj
def check(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    edition_name: str,
    matrix: Path | None,
    after: bool,
    operation: str,
    form: str,
) -> int:
    """Predict whether the import would fail, and with which words; exit 1 where it would."""
    edition = options.load_edition(edition_name, matrix)
    predicted_of = options.OPERATIONS[operation]
    if form == "aws" and predicted_of is not Operation.IMAGE:
        raise UsageError(f"--format aws is a task of import-image, and --operation is {operation}")
    result = checking.check_images(images, edition, progress, after=after, operation=predicted_of)
    progress.close()
    if form == "json":
        _print_json(verdict.verdict_document(result))
    elif form == "aws":
        _print_json(task.task_document(result))
    else:
        _print(verdict.render_verdict(result, colour=colour()))
    return 0 if predicted(result.findings) is None else EXIT_FAILS


@cli.command()
@images_argument
@options.output_options
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
    output_format: str | None,
    thin: bool,
    work_dir: Path | None,
    in_place: bool,
    expected: str | None,
    edition_name: str,
    as_json: bool,
    force_hibernated: bool,
    force_unclean: bool,
    **choices: Any,
) -> None:
    """Make the changes, keep the originals beside them, and read everything back from a fresh session."""
    destination = Destination(outputs, in_place, output_format, thin, work_dir)
    edition = editions.load(edition_name)
    chosen = options.choices(**choices)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.apply_images(images, destination, edition, chosen, expected, progress, opening)
    progress.close()
    if as_json:
        written, files = result.written, result.files
        _print_json(
            document.plan_document(result.plan, edition, result.messages, written=written, files=files)
        )
    else:
        _print(text.render_plan(result.plan, edition, result.messages, choices=chosen, colour=colour()))
        _print(text.render_written(result.written, result.files))


@cli.command()
@images_argument
@options.output_options
@opening_options
@json_option
@click.pass_obj
def revert(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    outputs: tuple[Path, ...],
    output_format: str | None,
    thin: bool,
    work_dir: Path | None,
    as_json: bool,
    force_hibernated: bool,
    force_unclean: bool,
) -> None:
    """Put every original back, from the manifest in the image; in place unless --output is given."""
    destination = Destination(outputs, not outputs, output_format, thin, work_dir)
    opening = Opening(force_hibernated=force_hibernated, force_unclean=force_unclean)
    result = operations.revert_images(images, destination, progress, opening)
    progress.close()
    if as_json:
        _print_json(
            document.revert_document(
                result.manifest, result.messages, written=result.written, files=result.files
            )
        )
    else:
        _print(text.render_revert(result.manifest, result.messages))
        _print(text.render_written(result.written, result.files))


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
        _print(machine_check.render_doctor(rows, colour=colour()))
    if not doctors.usable(rows):
        sys.exit(UsageError.exit_code + 1)


def _print(output: str) -> None:
    click.echo(output, nl=False)


def _print_json(fields: Mapping[str, Any]) -> None:
    _print(document.dumps(fields))


class _Shown(logging.Formatter):
    """Messages name files, and files in archives, by names that a terminal may obey."""

    def format(self, record: logging.LogRecord) -> str:
        return text.safe(super().format(record))


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
        for line in traceback.format_exc().rstrip("\n").split("\n"):
            click.echo(text.safe(line), err=True)
        return _fail("this is a bug in imgpatch", "please report it with the lines above", EXIT_BUG)
    return ended if isinstance(ended, int) else 0


def _fail(message: str, hint: str | None, code: int) -> int:
    click.echo(f"imgpatch: {text.safe(message)}", err=True)
    if hint:
        click.echo(f"  {text.safe(hint)}", err=True)
    return code
