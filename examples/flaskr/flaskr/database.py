"""The database: one SQLite connection a request, and the command that makes the tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click

from duoflask import Flask, current_app, g
from duoflask.cli import with_appcontext

__all__ = ["connection", "create_tables", "init_app"]


def connection() -> sqlite3.Connection:
    """The connection of this request, opened at the first call."""
    if "connection" not in g:
        # Under ASGI the hooks and the view of one request may run in different threads, one after the other.
        g.connection = sqlite3.connect(current_app.config["DATABASE"], check_same_thread=False)
        g.connection.row_factory = sqlite3.Row
        g.connection.execute("PRAGMA foreign_keys = ON")
    opened: sqlite3.Connection = g.connection
    return opened


def _close(error: BaseException | None) -> None:
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()


def create_tables() -> None:
    """Drop what is there and make empty tables."""
    with current_app.open_resource("schema.sql", "r") as script:
        connection().executescript(script.read())


@click.command("init-db")
@with_appcontext
def init_db_command() -> None:
    """Drop what is there and make empty tables."""
    create_tables()
    click.echo("The database is ready.")


def init_app(app: Flask) -> None:
    """Close the connection after each request, offer the command `init-db`, and make a database if there is none."""
    app.teardown_appcontext(_close)
    app.cli.add_command(init_db_command)
    if not Path(app.config["DATABASE"]).exists():
        with app.app_context():
            create_tables()
