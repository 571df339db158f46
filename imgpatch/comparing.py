"""The command that compares two machines: diff."""

from __future__ import annotations

from pathlib import Path

import click

from imgpatch import operations
from imgpatch.comparison import Wanted
from imgpatch.errors import UsageError
from imgpatch.options import colour, json_option
from imgpatch.progress import Progress
from imgpatch.reports import differences, document

EXIT_DIFFERENT = 1
_path = click.Path(path_type=Path)


@click.command()
@click.argument("images", nargs=-1, metavar="[BEFORE AFTER]", type=_path)
@click.option(
    "--before", multiple=True, type=_path, metavar="IMAGE", help="A disk of the original; once a disk."
)
@click.option("--after", multiple=True, type=_path, metavar="IMAGE", help="A disk of what became of it.")
@click.option(
    "--under", default="/", show_default=True, metavar="PATH", help="Compare this part of the files."
)
@click.option("--times", is_flag=True, help="Times of change (mtime) count as differences.")
@click.option("--exit-code", is_flag=True, help="Exit 1 where there are differences, 0 where there are none.")
@json_option
@click.pass_obj
def diff(
    progress: Progress,
    /,
    images: tuple[Path, ...],
    before: tuple[Path, ...],
    after: tuple[Path, ...],
    under: str,
    times: bool,
    exit_code: bool,
    as_json: bool,
) -> int:
    """Show every difference of two machines, BEFORE and AFTER, as preview shows a plan.

    A machine of several disks: --before DISK1 --before DISK2 --after DISK1 --after DISK2.
    """
    one, other = _machines(images, before, after)
    wanted = Wanted(differences.describe, differences.limit, under, times)
    found = operations.diff_images(one, other, wanted, progress)
    progress.close()
    if as_json:
        output = document.dumps(differences.comparison_document(found))
    else:
        output = differences.render_comparison(found, colour=colour())
    click.echo(output, nl=False)
    return EXIT_DIFFERENT if exit_code and not found.is_empty else 0


def _machines(
    images: tuple[Path, ...], before: tuple[Path, ...], after: tuple[Path, ...]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    if len(images) == 2 and not before and not after:
        return images[:1], images[1:]
    if before and after and not images:
        return before, after
    raise UsageError(
        "two machines are compared: which two is not clear",
        hint="imgpatch diff BEFORE AFTER; for machines of several disks, --before and --after once a disk",
    )
