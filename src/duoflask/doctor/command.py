"""The command `duoflask doctor`."""

from __future__ import annotations

import json
import os

import click

from ..command_groups import with_appcontext
from ..globals import current_app
from .checks import Case, examine
from .findings import SEVERITIES

__all__ = ["doctor_command"]


def _workers() -> int:
    text = os.environ.get("WEB_CONCURRENCY", "")  # gunicorn's and uvicorn's
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 1


@click.command("doctor", short_help="Say what is wrong with the application's settings.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--host", help="The address that it will listen on.")
@click.option("--workers", type=click.IntRange(1), help="How many processes will serve it; else WEB_CONCURRENCY.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave a finding out, by its name; may be repeated.")
@click.pass_context
@with_appcontext
def doctor_command(
    ctx: click.Context, as_json: bool, strict: bool, host: str | None, workers: int | None, ignore: tuple[str, ...]
) -> None:
    """Look at the application's settings, functions and templates, and say what will go wrong in production.

    The exit code is 1 if there is an error (with --strict, or a warning), and 0 otherwise.
    """
    case = Case(current_app._get_current_object(), host=host, workers=workers or _workers())
    found = [finding for finding in examine(case) if finding.code not in ignore]
    bad = sum(finding.severity == "error" or (strict and finding.severity == "warning") for finding in found)
    if as_json:
        click.echo(json.dumps({"ok": not bad, "findings": [finding.to_dict() for finding in found]}, indent=2))
    else:
        for finding in found:
            click.secho(str(finding), fg={"error": "red", "warning": "yellow"}.get(finding.severity))
        counts = [sum(finding.severity == severity for finding in found) for severity in SEVERITIES]
        click.echo(
            ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in zip(counts, SEVERITIES))
        )
    ctx.exit(1 if bad else 0)
