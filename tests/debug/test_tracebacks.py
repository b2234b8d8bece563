"""What stands for Werkzeug's debugger."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.debug.tbtools import DebugTraceback as Reference

from duoflask.debug import DebuggedApplication, DebugTraceback


def failure(text: str = "no <b>") -> BaseException:
    def inner() -> None:
        raise ValueError(text)

    def hidden() -> None:
        __traceback_hide__ = True
        assert __traceback_hide__
        inner()

    try:
        try:
            hidden()
        except ValueError as error:
            raise KeyError("outer") from error
    except KeyError as error:
        return error


def test_text_is_the_interpreters() -> None:
    text = DebugTraceback(failure()).render_traceback_text()
    assert text.startswith("Traceback (most recent call last):\n")
    assert "ValueError: no <b>" in text and text.rstrip().endswith("KeyError: 'outer'")


def test_frames_are_those_of_werkzeug() -> None:
    for options in ({}, {"skip": 1}, {"hide": False}):
        error = failure().__cause__
        assert error is not None
        names = [frame.name for frame in DebugTraceback(error, **options).all_frames]  # type: ignore[arg-type]
        assert names == [frame.name for frame in Reference(error, **options).all_frames]  # type: ignore[arg-type]
    assert len(DebugTraceback(failure()).all_tracebacks) == 2


def test_html_is_escaped_and_has_no_console() -> None:
    made = DebugTraceback(failure().__cause__ or failure())
    for html in (made.render_traceback_html(), made.render_debugger_html(True, "secret", True)):
        assert "no &lt;b&gt;" in html and "<b>" not in html
        assert "secret" not in html and "<script" not in html
    assert "<h1>" not in made.render_traceback_html(include_title=False)


def test_wrapped_application_is_called_and_its_errors_go_on() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise failure()

    wrapped = DebuggedApplication(application, evalex=True, pin_security=False)
    assert wrapped.evalex is False
    with pytest.raises(KeyError):
        wrapped({"QUERY_STRING": "__debugger__=yes&cmd=1"}, lambda *args: None)
    assert DebuggedApplication(lambda environ, start_response: [b"x"])({}, print) == [b"x"]
