"""The commands that look nothing up but imgpatch's own tables: explain and edition."""

from __future__ import annotations

import sys

import click

from imgpatch import catalogue
from imgpatch import edition as editions
from imgpatch.errors import UsageError
from imgpatch.reports import document, explanation
from imgpatch.reports import editions as edition_reports

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.command()
@click.argument("message", nargs=-1, metavar="[TEXT]")
@json_option
def explain(message: tuple[str, ...], *, as_json: bool) -> None:
    """Say what a status message of the service means, why, and what cures it; all of them without TEXT.

    TEXT is as the AWS CLI prints it, with or without `CLIENT_ERROR :` before it, or an id as E-27.
    """
    words = " ".join(message)
    rows = catalogue.rows()
    matches = catalogue.find(words) if words.strip() else tuple(map(catalogue.Match, rows.values()))
    if not matches:
        raise _unknown(words)
    if as_json:
        click.echo(document.dumps(explanation.explanation_document(matches)), nl=False)
    elif words.strip():
        colour = sys.stdout.isatty()
        click.echo(explanation.render_explanation(matches, colour=colour), nl=False)
    else:
        click.echo(explanation.render_rows(rows.values()), nl=False)


def _unknown(words: str) -> UsageError:
    near = "; ".join(f"{row.id} {row.wordings[0]}" for row in catalogue.nearest(words))
    return UsageError(
        f"no error of the service has these words: {words}",
        hint=f"nearest: {near}" if near else "imgpatch explain lists all of them",
    )


@click.group()
def edition() -> None:
    """Say what an edition of the documents holds, and where two of them differ."""


@edition.command("list")
@json_option
def list_editions(*, as_json: bool) -> None:
    """Name the editions, oldest first."""
    found = [editions.load(name) for name in editions.names()]
    if as_json:
        rows = [{"name": one.name, "title": one.title} for one in found]
        click.echo(document.dumps({"schema": document.SCHEMA, "editions": rows}), nl=False)
    else:
        click.echo(edition_reports.render_list(found), nl=False)


@edition.command()
@click.argument("name", default=editions.NEWEST)
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show everything an edition says; the newest without NAME."""
    found = editions.load(name)
    if as_json:
        click.echo(document.dumps(edition_reports.edition_document(found)), nl=False)
    else:
        click.echo(edition_reports.render_edition(found), nl=False)


@edition.command()
@click.argument("one")
@click.argument("two", default=editions.NEWEST)
@json_option
def diff(one: str, two: str, *, as_json: bool) -> None:
    """Show where two editions differ."""
    pair = editions.load(one), editions.load(two)
    if as_json:
        click.echo(document.dumps(edition_reports.diff_document(*pair)), nl=False)
    else:
        click.echo(edition_reports.render_diff(*pair), nl=False)
