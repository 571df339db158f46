"""The commands for the import itself: import-image as the AWS CLI has it, and handoff for the other way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from imgpatch import checking, import_request, operations, options
from imgpatch.checks import asked, predicted
from imgpatch.errors import UsageError
from imgpatch.import_request import AskedDisk, ImportRequest
from imgpatch.options import Command, edition_option, images_argument, json_option, matrix_option
from imgpatch.plan import Choices
from imgpatch.progress import Progress
from imgpatch.reports import document, task, verdict
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
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the import would pass, apply too, to a new file; once for each disk.",
)
@edition_option
@matrix_option
@options.form_option("aws")
@click.pass_obj
def import_image(
    progress: Progress,
    /,
    disks: tuple[str, ...],
    outputs: tuple[Path, ...],
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
    if outputs and len(outputs) != len(paths):
        raise UsageError(
            f"{len(paths)} disks and {len(outputs)} outputs", hint="give --output once for each disk"
        )
    for name in (name for name, value in ignored.items() if value is not None):
        click.echo(f"--{name.replace('_', '-')} is ignored: {IGNORED[name]}", err=True)
    found = checking.check_images(paths, edition, progress)
    result = replace(found, findings=asked.findings(request, found))
    fails = predicted(result.findings) is not None
    written: tuple[Path, ...] = ()
    if outputs and not fails:
        destination = operations.Destination(outputs, in_place=False)
        written = operations.apply_images(paths, destination, edition, Choices(), None, progress).written
    progress.close()
    _show(result, request, form)
    for path in written:
        click.echo(f"Written and verified: {path}", err=True)
    return EXIT_FAILS if fails else 0


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
    disks = [handoffs.Upload(image.path.name, image.format) for image in found.images]
    made = handoffs.handoff(disks, found.inspection, found.storage)
    if as_json:
        click.echo(document.dumps(handoffs.handoff_document(made)), nl=False)
    else:
        click.echo(handoffs.render_handoff(made), nl=False)
