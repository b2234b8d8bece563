"""The command `duoflask migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from . import report
from .project import Scan, scan
from .source import Finding, Unreadable, write

__all__ = ["migrate_command"]


@click.command("migrate", short_help="Turn a project of Flask's or Quart's into one of duoflask's.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--write", "writes", is_flag=True, help="Change the files; without it the changes are shown as a diff.")
@click.pass_context
def migrate_command(ctx: click.Context, path: Path, writes: bool) -> None:
    """Turn the Python files of PATH, which use Flask, Werkzeug or Quart, into files that use duoflask.

    Imports and the uses of what they bind are changed, and Quart's awaits of what is plain here; nothing else is, not
    even the formatting. What cannot be changed with certainty is listed with its file and line. No file is imported or
    run. A second run changes nothing.

    The exit code is 0 if nothing needs a person, and 1 otherwise.
    """
    found = scan(path)
    written = _write(found) if writes else None
    for line in report.lines(found, written):
        click.echo(line)
    ctx.exit(1 if report.needs_person(found) else 0)


def _write(found: Scan) -> set[Path]:
    written = set()
    for result in found.results:
        if not result.changes or result.source is None:
            continue
        try:
            write(result.source, result.new)
        except Unreadable as exc:
            result.findings.append(Finding(1, f"not written: {exc}"))
        else:
            written.add(result.path)
    return written
