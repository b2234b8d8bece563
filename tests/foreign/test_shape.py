"""Which protocol a callable speaks."""

from __future__ import annotations

import functools
from typing import Any

import flask
import pytest
import quart

import duoflask
from duoflask.foreign import Foreign, protocol_of
from duoflask.middleware import ProxyFix


def wsgi(environ: Any, start_response: Any) -> Any: ...


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def asgi_def(scope: Any, receive: Any, send: Any) -> Any: ...


class AsyncCall:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Call:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...

    def method(self, environ: Any, start_response: Any) -> Any: ...


class WSGIClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...


def adapted(extra: Any, environ: Any, start_response: Any) -> Any: ...


async def adapted_async(extra: Any, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("app", "protocol"),
    [
        (wsgi, "wsgi"),
        (asgi, "asgi"),
        (asgi_def, "asgi"),
        (AsyncCall(), "asgi"),
        (Call(), "wsgi"),
        (Call().method, "wsgi"),
        (WSGIClass, "wsgi"),
        (functools.partial(adapted, 1), "wsgi"),
        (functools.partial(adapted_async, 1), "asgi"),
        (lambda *args: None, "wsgi"),
        (flask.Flask("a"), "wsgi"),
        (quart.Quart("a"), "asgi"),
        (duoflask.Flask("a"), "both"),
        (duoflask.Flask("a").wsgi_app, "wsgi"),
        (duoflask.Flask("a").asgi_app, "asgi"),
        (ProxyFix(wsgi), "wsgi"),
        (ProxyFix(ProxyFix(asgi)), "asgi"),
        (ProxyFix(duoflask.Flask("a")), "both"),
        (Foreign(wsgi), "both"),
    ],
)
def test_protocol_is_told_by_what_the_application_is(app: Any, protocol: str) -> None:
    assert protocol_of(app) == protocol


@pytest.mark.parametrize("app", [None, 1, "app", lambda: None, lambda a: None, lambda a, b, c, d: None])
def test_what_is_no_application_is_an_error_that_says_what_to_write(app: Any) -> None:
    with pytest.raises(TypeError, match="protocol='wsgi' or protocol='asgi'"):
        protocol_of(app)


def test_another_protocol_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected 'wsgi', 'asgi' or 'both'; got 'http'"):
        Foreign(wsgi, "http")  # type: ignore[arg-type]
