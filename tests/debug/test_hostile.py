"""The error page with exceptions and values that are made to break it, to slow it down or to get a secret out of it."""

from __future__ import annotations

import base64
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest
from markupsafe import Markup

from duoflask import Flask, request
from duoflask.debug import ErrorPages, pages
from duoflask.debug.masking import MASK
from duoflask.middleware import Middleware

from .conftest import BROWSER, Answer

Ask = Callable[..., Answer]
HTML = {"Accept": BROWSER}
FORMS = (HTML, {"Accept": "application/json"}, {})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback module itself stumbles over some of these."""
    caplog.set_level(100, "duoflask.server")


def ask_view(ask: Ask, app: Flask, view: Callable[[], Any], headers: dict[str, str], **options: Any) -> str:
    app.add_url_rule("/", "view", view, methods=["GET", "POST"])
    answer = ask(ErrorPages(app), headers=headers, **options)
    assert answer.status == 500
    return answer.text


class Empty(Exception):
    def __len__(self) -> int:
        return 0


class NoBool(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError


class NoNotes(Exception):
    @property
    def __notes__(self) -> Any:
        raise RuntimeError


class NoDict(Exception):
    __dict__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class NoText:
    def __str__(self) -> str:
        raise RuntimeError


def empty_with_cause() -> None:
    raise Empty("outer") from ValueError("the-cause")


def no_bool_with_cause() -> None:
    raise NoBool("outer") from NoBool("the-cause")


def noted() -> None:
    error = ValueError("the-cause")
    error.__notes__ = [NoText(), Markup("<b>")]  # type: ignore[list-item]
    raise error


def without_notes() -> None:
    raise NoNotes("the-cause")


def without_dict() -> None:
    raise NoDict("the-cause")


def before_its_first_instruction() -> None:
    raise ValueError("the-cause").with_traceback(TracebackType(None, sys._getframe(), -1, 1))


def in_names_of_a_class_of_its_own() -> None:
    class Names:
        def __getitem__(self, name: str) -> Any:
            raise KeyError(name)

    exec("raise ValueError('the-cause')", {}, Names())


def at_a_line_far_away() -> None:
    raise SyntaxError("the-cause", ("nowhere", 10**12, "a", "x = ("))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "view",
    [
        empty_with_cause,
        no_bool_with_cause,
        noted,
        without_notes,
        without_dict,
        before_its_first_instruction,
        in_names_of_a_class_of_its_own,
        at_a_line_far_away,
    ],
)
def test_exception_is_shown_whatever_its_shape(ask: Ask, app: Flask, view: Callable[[], Any]) -> None:
    assert "the-cause" in ask_view(ask, app, view, HTML)


def test_markup_is_no_way_around_escaping(ask: Ask, app: Flask) -> None:
    evil = Markup("<script>alert(1)</script>")
    kind = type("Kind", (Exception,), {"__module__": "builtins", "__str__": lambda self: evil})
    kind.__qualname__ = evil

    def view() -> None:
        name = evil
        exec(compile("raise kind", evil, "exec"), {"kind": kind, "name": name})

    text = ask_view(ask, app, view, HTML)
    assert "alert(1)" in text and "<script>alert" not in text


def test_function_that_wraps_itself_is_in_the_plan(ask: Ask, app: Flask) -> None:
    def hook() -> None:
        pass

    hook.__wrapped__ = hook  # type: ignore[attr-defined]
    app.before_request(hook)
    assert "hook" in ask_view(ask, app, empty_with_cause, HTML)


class Slow:
    def __repr__(self) -> str:
        time.sleep(0.05)
        return "slow"


def test_slow_representations_end_after_a_while(ask: Ask, app: Flask) -> None:
    def view() -> None:
        many = [[Slow() for _ in range(40)] for _ in range(40)]  # 80 s
        raise ValueError(len(many))

    before = time.monotonic()
    assert "not shown: the others have taken too long" in ask_view(ask, app, view, HTML)
    assert time.monotonic() - before < 20


def test_representation_that_hangs_does_not_hold_the_answer(
    ask: Ask, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REPORT_SECONDS", 0.2)
    released = threading.Event()

    class Hangs:
        def __repr__(self) -> str:
            released.wait(50)
            return "came back"

    def view() -> None:
        value = Hangs()
        raise ValueError(value is None)

    try:
        text = ask_view(ask, app, view, HTML)
    finally:
        released.set()
    assert "ValueError" in text and "has not returned" in text


@pytest.mark.measures
def test_big_values_cost_little(ask: Ask, app: Flask) -> None:
    def view() -> None:
        deep = [[[[0] * 40] * 40] * 40] * 40
        wide = bytearray(50_000_000)
        raise ValueError(len(deep) + len(wide))

    before = time.process_time()
    assert len(ask_view(ask, app, view, HTML)) < 200_000
    assert time.process_time() - before < 5


def test_long_chains_of_deep_tracebacks_make_a_page_of_bounded_size(ask: Ask, app: Flask) -> None:
    def fall(depth: int, error: Exception | None, text: str = "x" * 900) -> None:
        one, two, three, four = [text + str(number) for number in range(4)]
        if depth:
            fall(depth - 1, error)
        raise ValueError(one, two, three, four) from error

    def view() -> None:
        error: Exception | None = None
        for _ in range(40):
            try:
                fall(70, error)
            except ValueError as exc:
                error = exc
        assert error is not None
        raise error

    text = ask_view(ask, app, view, HTML)
    assert len(text) < 6_000_000 and "too much on this page" in text


@dataclass
class Account:
    name: str
    password: str


def test_secrets_under_harmless_names_are_masked_where_they_are_known(
    ask: Ask, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_API_TOKEN", "env-leak-1")
    monkeypatch.setenv("PWD", "/here/is/the/code")

    def view() -> None:
        account = Account("ada", "".join(["data", "-leak-1"]))
        space = SimpleNamespace(api_key="".join(["space", "-leak-1"]))
        bearer = request.headers["Authorization"].split()[1]
        query, form = request.args["token"], request.form["password"]
        raw, found = "postgres://u:p@ss-leak@h/db", __import__("os").environ["MAIL_API_TOKEN"]
        where = "/here/is/the/code"
        assert account and space and raw and where
        raise ValueError(f"{bearer} {query} {form} {found} host=h password=libpq-leak-1 token=None")

    for form in FORMS:
        text = ask_view(
            ask,
            app,
            view,
            {**form, "Authorization": "Bearer bearer-leak-1", "Content-Type": "application/x-www-form-urlencoded"},
            path="/?token=query-leak%2B1",
            method="POST",
            body=b"password=form-leak-1",
        ).replace("password=libpq-leak-1 token=None}", "")  # a literal in a literal of the source
        source_aside = [
            line for line in text.splitlines() if "raise ValueError" not in line and "raw, found" not in line
        ]
        for line in source_aside:
            assert "leak" not in line.replace('"-leak-1"', "").replace("&#34;-leak-1&#34;", ""), line
        assert "/here/is/the/code" in text and "token=None" in text
        app.view_functions.clear()
        app = Flask("again")
        app.debug = True


def test_password_of_basic_authorization_is_masked(ask: Ask, app: Flask) -> None:
    def view() -> None:
        assert request.authorization is not None
        word = request.authorization.password
        raise ValueError(word)

    fields = {"Authorization": "Basic " + base64.b64encode(b"ada:basic-leak-1").decode()}
    assert "basic-leak" not in ask_view(ask, app, view, fields)


def test_key_of_a_dictionary_hides_nothing_elsewhere(ask: Ask, app: Flask) -> None:
    def view() -> None:
        cache_key = ("pages/index.html", "x")
        for key in {"a-harmless-name": 1}:
            raise KeyError(key, len(cache_key))

    text = ask_view(ask, app, view, {})
    assert f"key = {MASK}" in text
    assert "KeyError: ('a-harmless-name', 2)" in text


def test_import_of_secrets_is_shown(ask: Ask, app: Flask) -> None:
    def view() -> None:
        import secrets

        raise ValueError(secrets.token_hex(0))

    assert "secrets = <module 'secrets'" in ask_view(ask, app, view, {})


class Around(Middleware):
    pass


@pytest.mark.parametrize("installed", [False, True])
def test_debug_mode_is_asked_of_the_app_within(ask: Ask, app: Flask, installed: bool) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.config["DEBUG_TRUSTED_HOSTS"] = ["dev.example.org"]
    app.add_url_rule("/", "view", empty_with_cause)
    served: Any = app
    if installed:
        Around.install(app)
        ErrorPages.install(app)
    else:
        served = ErrorPages(Around(app))
    assert "the-cause" in ask(served, headers={"Host": "dev.example.org"}).text
    app.debug = False
    with pytest.raises(Empty):
        ask(served)
