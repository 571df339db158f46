"""The commands for the import itself: import-image as the AWS CLI has it, and handoff for the other way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from imgpatch import checking, import_request, operations, options
from imgpatch.checks import asked, predicted
from imgpatch.errors import UsageError
from imgpatch.images.destination import Destination, check_destination
from imgpatch.images.output_formats import OVA
from imgpatch.import_request import AskedDisk, ImportRequest
from imgpatch.options import Command, edition_option, images_argument, json_option, matrix_option
from imgpatch.plan import Choices
from imgpatch.progress import Progress
from imgpatch.reports import document, task, text, verdict
from imgpatch.reports import handoff as handoffs

EXIT_FAILS = 1
IGNORED = {
    "role_name": "it changes nothing on the disks; imgpatch handoff writes the role",
    "client_token": "every run is a task of its own",
    "client_data": "it is what the service keeps of the upload",
    "hypervisor": "the service has xen alone",
    "license_specifications": "it is for the licence manager",
    "tag_specifications": "nothing is kept that could have tags",
}
"""Options of the AWS CLI that say nothing of the disks, and why they do nothing here."""


def _aws_options(command: Command) -> Command:
    """The parameters of the AWS CLI, in its spelling; their values are judged by import_request."""
    disks = click.option(
        "--disk-containers",
        "disks",
        multiple=True,
        required=True,
        metavar="JSON",
        help="As for the AWS CLI, with local files: file://disks.json, or Format=raw,Url=file://disk.raw "
        "(again for each further disk).",
    )
    flags = {
        "boot-mode": "legacy-bios or uefi.",
        "license-type": "AWS or BYOL; not together with --usage-operation.",
        "usage-operation": "RunInstances, RunInstances:0002 and so on: imgpatch edition show lists them.",
        "platform": f"{' or '.join(import_request.PLATFORMS)}.",
        "architecture": f"{' or '.join(import_request.ARCHITECTURES)}.",
        "description": "Of the task.",
    }
    found = [disks, *(click.option(f"--{flag}", help=text) for flag, text in flags.items())]
    found += [
        click.option("--encrypted/--no-encrypted", help="Told in the task; nothing is encrypted."),
        click.option("--kms-key-id", help="Likewise."),
        *(click.option(f"--{name.replace('_', '-')}", help="Ignored, which is said.") for name in IGNORED),
    ]
    for option in reversed(found):
        command = option(command)
    return command


@click.command("import-image")
@_aws_options
@options.output_options
@edition_option
@matrix_option
@options.form_option("aws")
@click.pass_obj
def import_image(
    progress: Progress,
    /,
    disks: tuple[str, ...],
    outputs: tuple[Path, ...],
    output_format: str | None,
    thin: bool,
    work_dir: Path | None,
    edition_name: str,
    matrix: Path | None,
    form: str,
    **parameters: Any,
) -> int:
    """Ask for an import as with the AWS CLI, of local files; prints the task as it would end.

    Exit 1 where it would fail, 2 where the service refuses the call.
    """
    ignored = {name: parameters.pop(name) for name in IGNORED}
    edition = options.load_edition(edition_name, matrix)
    request = import_request.checked(ImportRequest(disks=_asked_disks(disks), **parameters), edition)
    paths = [Path(disk.path) for disk in request.disks]
    destination = _destination(Destination(outputs, False, output_format, thin, work_dir), paths)
    for name in (name for name, value in ignored.items() if value is not None):
        click.echo(f"--{name.replace('_', '-')} is ignored: {IGNORED[name]}", err=True)
    found = checking.check_images(paths, edition, progress)
    result = replace(found, findings=asked.findings(request, found))
    fails = predicted(result.findings) is not None
    applied = None
    if destination is not None and not fails:
        applied = operations.apply_images(paths, destination, edition, Choices(), None, progress)
    progress.close()
    _show(result, request, form)
    if applied is not None:
        told = (*(f"{text.safe(message)}\n" for message in applied.messages),)
        click.echo("".join(told) + text.render_written(applied.written, applied.files), nl=False, err=True)
    return EXIT_FAILS if fails else 0


def _destination(asked: Destination, paths: Sequence[Path]) -> Destination | None:
    """What is asked for, as far as it can be judged before the disks are opened; None: no output."""
    if not asked.outputs:
        if asked != Destination((), in_place=False):
            raise UsageError("--output-format, --thin and --work-dir go with --output")
        return None
    check_destination(asked)
    wanted = 1 if asked.output_format == OVA else len(paths)
    archives = any(path.suffix.lower() == ".ova" for path in paths)  # which hold as many disks as they like
    if len(asked.outputs) != wanted and not archives:
        raise UsageError(
            f"{len(paths)} disks and {len(asked.outputs)} outputs", hint="give --output once for each disk"
        )
    return asked


def _show(result: checking.Checked, request: ImportRequest, form: str) -> None:
    if form == "text":
        click.echo(verdict.render_verdict(result, colour=options.colour()), nl=False)
    elif form == "json":
        click.echo(document.dumps(verdict.verdict_document(result)), nl=False)
    else:
        click.echo(document.dumps(task.asked_document(result, request)), nl=False)


def _asked_disks(values: tuple[str, ...]) -> tuple[AskedDisk, ...]:
    """Each value is JSON, shorthand, or `file://` and a file with one of them."""
    return tuple(disk for value in values for disk in import_request.parse_disks(_contents(value)))


def _contents(value: str) -> str:
    if not value.startswith(import_request.SCHEME):
        return value
    path = Path(value.removeprefix(import_request.SCHEME))
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--disk-containers {value}: cannot be read ({error})") from error


@click.command()
@images_argument
@json_option
@click.pass_obj
def handoff(progress: Progress, /, images: tuple[Path, ...], as_json: bool) -> None:
    """Write the commands and documents to import a machine as snapshots, which changes nothing on it.

    The service looks at nothing on this way: make it ready with apply first.
    """
    found = operations.inspect_images(images, progress)
    progress.close()
    disks = [
        handoffs.Upload(image.path.name, image.format, image.variety)
        if image.member is None
        else handoffs.Upload(image.member, image.format, image.variety, archive=image.path.name)
        for image in found.images
    ]
    made = handoffs.handoff(disks, found.inspection, found.storage)
    if as_json:
        click.echo(document.dumps(handoffs.handoff_document(made)), nl=False)
    else:
        click.echo(handoffs.render_handoff(made), nl=False)
