"""The commands about server-side sessions: `duoflask sessions`.

Owns what is printed. Sessions are named by the keys under which their store has them: from these nobody can make the
cookie that carries a session.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from .command_groups import with_appcontext
from .globals import current_app
from .sessions import ServerSideSessionInterface, Store

__all__ = ["sessions_group"]

# As much of a key as tells sessions apart.
_SHORT = 16


def _store() -> Store:
    interface = current_app.session_interface
    if not isinstance(interface, ServerSideSessionInterface):
        raise click.UsageError(
            "the sessions of this application are in its users' signed cookies, so there is no store to look at. "
            "Set SESSION_STORE, for example to 'sqlite', to keep them on the server."
        )
    return interface.store


@click.group("sessions", short_help="List, count, sweep and revoke server-side sessions.")
def sessions_group() -> None:
    """Look at server-side sessions, and end them."""


@sessions_group.command("list")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@with_appcontext
def list_command(limit: int) -> None:
    """List sessions: the start of each key, and when it ends."""
    for number, (key, expires) in enumerate(_store().records()):
        if number == limit:
            click.echo(f"(and more; --limit {limit})")
            return
        click.echo(f"{key[:_SHORT]}  until {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M:%S} UTC")


@sessions_group.command("count")
@with_appcontext
def count_command() -> None:
    """Count the sessions that have not ended."""
    click.echo(str(sum(1 for _ in _store().records())))


@sessions_group.command("sweep")
@with_appcontext
def sweep_command() -> None:
    """Delete sessions that have ended. A serving application does so itself, a little at a time."""
    click.echo(f"{_store().sweep()} deleted")


@sessions_group.command("revoke")
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All sessions: everybody is logged out.")
@with_appcontext
def revoke_command(keys: tuple[str, ...], everything: bool) -> None:
    """Delete sessions by what `list` shows of their keys, at least 8 characters each."""
    store = _store()
    if everything is bool(keys):
        raise click.UsageError("expected either keys, as 'duoflask sessions list' shows them, or --all")
    short = [key for key in keys if len(key) < 8]
    if short:
        raise click.UsageError(f"invalid key; expected at least 8 characters; got {short[0]!r}")
    found = [key for key, _ in store.records() if everything or key.startswith(keys)]
    click.echo(f"{sum(store.delete(key) for key in found)} revoked")
