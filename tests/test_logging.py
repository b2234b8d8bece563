from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import flask.logging
import pytest
from hypothesis import example, given, strategies as st

from duoflask.ctx import AppContext, _cv_app
from duoflask.logging import (
    create_logger,
    default_handler,
    escape_for_log,
    has_level_handler,
    wsgi_errors_stream,
)
from duoflask.request import Request
from duoflask.testing import PlainEnvironBuilder


class App:
    def __init__(self, name: str, debug: bool = False) -> None:
        self.name = name
        self.debug = debug


@pytest.fixture(autouse=True)
def clean_loggers() -> Iterator[None]:
    yield
    for name in ("duo_test", "duo_test.child"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@contextmanager
def bare_loggers() -> Iterator[None]:
    """Take away the handlers that pytest adds while a test runs."""
    kept = [(logger, logger.handlers) for logger in (logging.getLogger(), logging.getLogger("duo_test"))]
    for logger, _ in kept:
        logger.handlers = []
    try:
        yield
    finally:
        for logger, handlers in kept:
            logger.handlers = handlers


def test_logger_has_the_apps_name_and_the_default_handler() -> None:
    with bare_loggers():
        logger = create_logger(App("duo_test"))
        assert logger is logging.getLogger("duo_test")
        assert logger.handlers == [default_handler]
        assert logger.level == logging.NOTSET


def test_debug_sets_a_level_that_is_not_set() -> None:
    assert create_logger(App("duo_test", debug=True)).level == logging.DEBUG
    logging.getLogger("duo_test").setLevel(logging.ERROR)
    assert create_logger(App("duo_test", debug=True)).level == logging.ERROR


def test_existing_handlers_are_left_alone() -> None:
    handler = logging.StreamHandler(io.StringIO())
    with bare_loggers():
        logging.getLogger().addHandler(handler)
        assert create_logger(App("duo_test")).handlers == []


@pytest.mark.parametrize("handler_level", [logging.DEBUG, logging.ERROR])
@pytest.mark.parametrize("logger_level", [logging.DEBUG, logging.CRITICAL])
@pytest.mark.parametrize("propagate", [True, False])
@pytest.mark.parametrize("on", ["duo_test", "duo_test.child"])
def test_has_level_handler_is_flasks(handler_level: int, logger_level: int, propagate: bool, on: str) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.setLevel(handler_level)
    logging.getLogger(on).addHandler(handler)
    child = logging.getLogger("duo_test.child")
    child.setLevel(logger_level)
    child.propagate = propagate
    assert has_level_handler(child) is flask.logging.has_level_handler(child)


def test_stream_outside_a_request_is_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    wsgi_errors_stream.write("text")
    assert capsys.readouterr().err == "text"


def test_default_handler_writes_to_the_current_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_loggers():
        create_logger(App("duo_test")).error("broken")
    line = capsys.readouterr().err
    assert line.endswith("ERROR in test_logging: broken\n")
    assert line.startswith("[")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/plain", "/plain"),
        ("/ä€ 𝄞", "/ä€ 𝄞"),
        ("/a\r\nb", "/a\\x0d\\x0ab"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x85\u2028\u2029\x7f\x9b", "\\x85\\u2028\\u2029\\x7f\\x9b"),
        ("\ud800", "\\ud800"),
        ("\u202eevil", "\\u202eevil"),
        ("\xa0", "\xa0"),
    ],
)
def test_escape_for_log_shows_what_could_forge(text: str, shown: str) -> None:
    assert escape_for_log(text) == shown


@given(st.text())
@example("\r\n\x1b\x85\u2028")
def test_escaped_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = escape_for_log(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    shown.encode()


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_stream_within_a_request_is_the_servers(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    errors = io.StringIO()
    builder = PlainEnvironBuilder(errors_stream=errors)
    source = builder.get_environ() if kind == "wsgi" else builder.get_scope()[0]
    context = AppContext(App("duo_test"))  # type: ignore[arg-type]
    context.source, context._request = source, Request(source)  # type: ignore[assignment]
    token = _cv_app.set(context)
    try:
        wsgi_errors_stream.write("text")
    finally:
        _cv_app.reset(token)
    written = (errors.getvalue(), capsys.readouterr().err)
    assert written == (("text", "") if kind == "wsgi" else ("", "text"))  # ASGI servers have no such stream
