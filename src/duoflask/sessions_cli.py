"""The commands about server-side sessions: `duoflask sessions`.

Owns what is printed. Sessions are named by the keys under which their store has them: from these nobody can make the
cookie that carries a session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from .command_groups import with_appcontext
from .globals import current_app
from .sessions import SecureCookieSessionInterface, ServerSideSessionInterface, Store, StoreUnavailable
from .sessions.stores.memory import MemoryStore

__all__ = ["sessions_group"]

# As much of a key as tells sessions apart.
_SHORT = 16


@contextmanager
def _opened() -> Iterator[Store]:
    """The app's store, whose errors end the command in one line."""
    store = _store()
    try:
        yield store
    except StoreUnavailable as exc:
        raise click.ClickException(f"the session store {store.name} is unavailable: {exc.__cause__}") from exc
    except NotImplementedError as exc:
        raise click.UsageError(str(exc)) from exc


def _store() -> Store:
    interface = current_app.session_interface
    if isinstance(interface, ServerSideSessionInterface):
        if isinstance(interface.store, MemoryStore):
            raise click.UsageError(
                "the sessions of this application are in the memory of the process that serves it, and this is another "
                "one. Set SESSION_STORE to 'files', 'sqlite' or a Redis URL to look at them from here."
            )
        return interface.store
    if isinstance(interface, SecureCookieSessionInterface):
        raise click.UsageError(
            "the sessions of this application are in its users' signed cookies, so there is no store to look at. "
            "Set SESSION_STORE, for example to 'sqlite', to keep them on the server."
        )
    raise click.UsageError(f"the sessions of this application are kept by its own {type(interface).__name__}")


@click.group("sessions", short_help="List, count, sweep and revoke server-side sessions.")
def sessions_group() -> None:
    """Look at server-side sessions, and end them."""


@sessions_group.command("list")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@with_appcontext
def list_command(limit: int) -> None:
    """List sessions: the start of each key, and when it ends."""
    with _opened() as store:
        for number, (key, expires) in enumerate(store.records()):
            if number == limit:
                click.echo(f"(and more; --limit {limit})")
                return
            click.echo(f"{key[:_SHORT]}  until {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M:%S} UTC")


@sessions_group.command("count")
@with_appcontext
def count_command() -> None:
    """Count the sessions that have not ended."""
    with _opened() as store:
        click.echo(str(sum(1 for _ in store.records())))


@sessions_group.command("sweep")
@with_appcontext
def sweep_command() -> None:
    """Delete sessions that have ended. A serving application does so itself, a little at a time."""
    with _opened() as store:
        click.echo(f"{store.sweep()} deleted")


@sessions_group.command("revoke")
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All sessions: everybody is logged out.")
@with_appcontext
def revoke_command(keys: tuple[str, ...], everything: bool) -> None:
    """Delete sessions by what `list` shows of their keys, at least 8 characters each."""
    if everything is bool(keys):
        raise click.UsageError("expected either keys, as 'duoflask sessions list' shows them, or --all")
    short = [key for key in keys if len(key) < 8]
    if short:
        raise click.UsageError(f"invalid key; expected at least 8 characters; got {short[0]!r}")
    with _opened() as store:
        found = [key for key, _ in store.records() if everything or key.startswith(keys)]
        click.echo(f"{sum(store.delete(key) for key in found)} revoked")
