"""Registering, logging in and out, and who is logged in."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar, cast

from duoflask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from duoflask.security import check_password_hash, generate_password_hash

from .database import connection

__all__ = ["blueprint", "login_required"]

blueprint = Blueprint("auth", __name__, url_prefix="/auth")

_F = TypeVar("_F", bound=Callable[..., Any])


@blueprint.before_app_request
def load_author() -> None:
    """Look up who is logged in, for every view and template: `g.author`, or None."""
    author_id = session.get("author_id")
    g.author = (
        None
        if author_id is None
        else connection().execute("SELECT id, name FROM author WHERE id = ?", (author_id,)).fetchone()
    )


def login_required(view: _F) -> _F:
    """Send whoever is not logged in to the login page."""

    @functools.wraps(view)
    def checked(**values: Any) -> Any:
        if g.author is None:
            return redirect(url_for("auth.login", next=request.path))
        return view(**values)

    return cast(_F, checked)


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> Any:
    """Show the form, or make a new author."""
    if request.method == "POST":
        name, password = request.form["name"].strip(), request.form["password"]
        if not name or not password:
            flash("A name and a password are needed.")
        else:
            try:
                with connection() as transaction:
                    transaction.execute(
                        "INSERT INTO author (name, password_hash) VALUES (?, ?)",
                        (name, generate_password_hash(password)),
                    )
            except sqlite3.IntegrityError:
                flash(f"The name {name} is taken.")
            else:
                return redirect(url_for("auth.login"))
    return render_template("auth/register.html")


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Show the form, or log an author in."""
    if request.method == "POST":
        found = (
            connection()
            .execute("SELECT id, password_hash FROM author WHERE name = ?", (request.form["name"].strip(),))
            .fetchone()
        )
        if found is None or not check_password_hash(found["password_hash"], request.form["password"]):
            flash("Name or password is wrong.")
        else:
            session.clear()
            session["author_id"] = found["id"]
            return redirect(_local(request.args.get("next", "")) or url_for("blog.index"))
    return render_template("auth/login.html")


@blueprint.post("/logout")
def logout() -> Any:
    """Forget who is logged in."""
    session.clear()
    return redirect(url_for("blog.index"))


def _local(path: str) -> str | None:
    """A path of this site; None for anything else: "//evil.example" would leave it."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") else None
