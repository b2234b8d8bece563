"""What a type checker sees of the globals: the objects themselves. Run by mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from duoflask import DuoFlask, Request, Response, current_app, g, request, session
from duoflask.sessions import SessionMixin

if TYPE_CHECKING:
    from duoflask.globals import DuoFlaskProxy, GlobalsProxy, RequestProxy, SessionProxy


def check_request() -> None:
    assert_type(request, RequestProxy)
    assert_type(request.method, str)
    assert_type(request.view_args, dict[str, Any] | None)
    assert_type(request.endpoint, str | None)
    assert_type(request.max_content_length, int | None)
    as_request: Request = request
    assert_type(as_request, Request)


def check_app() -> None:
    assert_type(current_app, DuoFlaskProxy)
    assert_type(current_app.name, str)
    assert_type(current_app.debug, bool)
    assert_type(current_app.testing, bool)
    assert_type(current_app.make_response(""), Response)
    as_app: DuoFlask = current_app
    assert_type(as_app.url_for("view"), str)


def check_session() -> None:
    assert_type(session, SessionProxy)
    assert_type(session.permanent, bool)
    as_session: SessionMixin = session
    assert_type(as_session["key"], Any)


def check_g() -> None:
    assert_type(g, GlobalsProxy)
    assert_type(g.anything, Any)
    assert_type("name" in g, bool)


def test_names_that_are_pinned_here_can_be_imported() -> None:
    assert callable(check_request)
