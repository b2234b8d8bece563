"""The posts: a list for everybody; writing, changing and deleting for their authors."""

from __future__ import annotations

import sqlite3
from typing import Any

from duoflask import Blueprint, abort, flash, g, redirect, render_template, request, url_for

from .auth import login_required
from .database import connection

__all__ = ["blueprint"]

blueprint = Blueprint("blog", __name__)


@blueprint.route("/")
def index() -> str:
    """Show all posts, the newest first."""
    posts = connection().execute(
        "SELECT post.id, title, body, written, author_id, name FROM post JOIN author ON author.id = author_id "
        "ORDER BY written DESC, post.id DESC"
    )
    return render_template("blog/index.html", posts=posts.fetchall())


@blueprint.route("/write", methods=["GET", "POST"])
@login_required
def write() -> Any:
    """Show the form, or keep a new post."""
    if request.method == "POST" and (content := _content()) is not None:
        with connection() as transaction:
            transaction.execute(
                "INSERT INTO post (title, body, author_id) VALUES (?, ?, ?)", (*content, g.author["id"])
            )
        return redirect(url_for("blog.index"))
    return render_template("blog/edit.html", post=None)


@blueprint.route("/<int:post_id>/edit", methods=["GET", "POST"])
@login_required
def edit(post_id: int) -> Any:
    """Show the form with a post, or change it."""
    post = _own_post(post_id)
    if request.method == "POST" and (content := _content()) is not None:
        with connection() as transaction:
            transaction.execute("UPDATE post SET title = ?, body = ? WHERE id = ?", (*content, post_id))
        return redirect(url_for("blog.index"))
    return render_template("blog/edit.html", post=post)


@blueprint.post("/<int:post_id>/delete")
@login_required
def delete(post_id: int) -> Any:
    """Delete a post."""
    _own_post(post_id)
    with connection() as transaction:
        transaction.execute("DELETE FROM post WHERE id = ?", (post_id,))
    return redirect(url_for("blog.index"))


def _content() -> tuple[str, str] | None:
    """Title and body as they were sent; None, and a message, without a title."""
    title = request.form["title"].strip()
    if not title:
        flash("A title is needed.")
        return None
    return title, request.form["body"]


def _own_post(post_id: int) -> sqlite3.Row:
    """A post of whoever is logged in.

    Raises:
        NotFound: There is no such post.
        Forbidden: Somebody else wrote it.
    """
    post: sqlite3.Row | None = (
        connection().execute("SELECT id, title, body, author_id FROM post WHERE id = ?", (post_id,)).fetchone()
    )
    if post is None:
        abort(404, f"There is no post {post_id}.")
    if post["author_id"] != g.author["id"]:
        abort(403)
    return post
