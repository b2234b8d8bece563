"""The error page, its text and its JSON: when they are shown, and what they say."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from duoflask import Blueprint, Flask, Response, flash, g, render_template, render_template_string, request, session
from duoflask.debug import ErrorPages
from duoflask.debug.masking import MASK

from .conftest import BROWSER, Answer

Ask = Callable[..., Answer]
HTML = {"Accept": BROWSER}
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "duoflask.server"):
        yield


def add_views(app: Flask, colour: str, function: Callable[[], Any]) -> None:
    """Register `/` as a view of one colour that calls a function."""
    if colour == "def":
        app.add_url_rule("/", "index", lambda: function(), methods=["GET", "POST"])
    else:

        async def index() -> Any:
            return function()

        app.add_url_rule("/", "index", index, methods=["GET", "POST"])


def fail() -> None:
    raise ValueError("it <b>failed</b>")


class Page(HTMLParser):
    """What a browser makes of a page, roughly: its tags, and its text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._raw = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


@pytest.mark.parametrize("colour", ["def", "async"])
def test_browser_gets_a_page(ask: Ask, app: Flask, colour: str) -> None:
    add_views(app, colour, fail)
    answer = ask(ErrorPages(app), headers=HTML)
    assert answer.status == 500
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    page = Page(answer.text)
    assert "ValueError" in page.text and "it <b>failed</b>" in page.text
    assert 'raise ValueError("it <b>failed</b>")' in page.text
    assert "<b>failed" not in answer.text


@pytest.mark.parametrize("colour", ["def", "async"])
def test_curl_gets_text_and_an_api_client_json(ask: Ask, app: Flask, colour: str) -> None:
    add_views(app, colour, fail)
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/plain"}):
        answer = ask(ErrorPages(app), headers=accept)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("GET / failed\n\nTraceback (most recent call last):\n")
        assert "\nValueError: it <b>failed</b>\n" in answer.text
    for headers in (
        JSON,
        {"Accept": "application/problem+json"},
        {"Accept": "*/*", "Content-Type": "application/json"},
        {"Accept": "application/json, text/html;q=0.5"},
    ):
        answer = ask(ErrorPages(app), headers=headers)
        assert answer.headers["Content-Type"] == "application/json"
        told = json.loads(answer.text)
        assert told["error"] == "ValueError: it <b>failed</b>"
        assert told["exception"]["frames"][-1]["function"] == "fail"
        assert told["sections"]["Request"]["method"] == "GET"


def test_policy_lets_nothing_but_the_pages_own_script_run(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    answers = [ask(ErrorPages(app), headers=HTML) for _ in range(2)]
    policies = [answer.headers["Content-Security-Policy"] for answer in answers]
    assert policies[0] != policies[1]
    assert policies[0].startswith("default-src 'none'; ")
    assert "unsafe" not in policies[0]
    nonce = policies[0].partition("'nonce-")[2].partition("'")[0]
    page = Page(answers[0].text)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert not {"src", "href", "action"} & attributes.keys()
        if tag in ("script", "style"):
            assert attributes == {"nonce": nonce}
    assert [tag for tag, _ in page.tags].count("script") == 1


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${7}{{7*7}}\u2028"


def test_hostile_names_and_values_are_text(ask: Ask, app: Flask) -> None:
    def hostile() -> None:
        session[HOSTILE] = HOSTILE
        setattr(g, HOSTILE, HOSTILE)
        app.config[HOSTILE] = HOSTILE
        exec(compile("raise kind(value)", f"/x/{HOSTILE}.py", "exec"), {"kind": kind, "value": HOSTILE})

    kind = type(HOSTILE, (Exception,), {})
    add_views(app, "def", hostile)
    for path in ("/?" + "".join(f"%{byte:02x}" for byte in HOSTILE.encode()), "/?<script>alert(3)</script>"):
        answer = ask(
            ErrorPages(app), path, headers={**HTML, "X-Hostile": "<script>alert(4)</script>", "Cookie": "<b>=<i>"}
        )
        page = Page(answer.text)
        assert [tag for tag, _ in page.tags].count("script") == 1
        assert "img" not in [tag for tag, _ in page.tags]
        assert "alert(4)" in page.text and "onerror=alert(2)" in page.text


def test_library_frames_are_folded_and_own_ones_open(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    page = Page(ask(ErrorPages(app), headers=HTML).text)
    details = [attributes for tag, attributes in page.tags if tag == "details"]
    frames = [item for item in details if "frame" in (item.get("class") or "").split()]
    own = [item for item in frames if "app" in (item.get("class") or "")]
    assert len(own) == 2 and all("open" in item for item in own)
    assert len(frames) > 4 and all("open" not in item for item in frames if item not in own)
    folded = [item for item in details if item.get("class") == "library"]
    assert folded and all("open" not in item for item in folded)


def test_failing_expression_is_marked(ask: Ask, app: Flask) -> None:
    def divide() -> float:
        ä, zero = 1, 0
        return (ä + 1) + ä / zero  # fmt: skip

    add_views(app, "def", divide)
    assert "<mark>ä / zero</mark>" in ask(ErrorPages(app), headers=HTML).text


def test_locals_are_shown_and_secrets_are_not(ask: Ask, app: Flask) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    def view() -> None:
        name, password, odd = "ada", "hunter2-hunter2", Odd()
        settings = {"api_key": "key-of-the-api", "colour": "red"}
        raise ValueError(f"{name} {password} {odd is None} {settings['api_key']}")

    app.config["MAIL_PASSWORD"] = "mail-password-1"
    add_views(app, "def", view)
    for form in (HTML, JSON, {}):
        text = html.unescape(ask(ErrorPages(app), headers=form).text)
        assert "'ada'" in text and "Odd: its repr raised RuntimeError" in text
        assert "'colour': 'red'" in text
        for secret in ("hunter2", "key-of-the-api", "mail-password-1", "a secret of the shop"):
            assert secret not in text.replace('"hunter2-hunter2", Odd()', "").replace(MASK, ""), secret


def test_source_with_a_secret_in_it_is_masked(ask: Ask, app: Flask) -> None:
    def view() -> None:
        token = "written-into-the-source"
        raise ValueError(len(token))

    add_views(app, "def", view)
    for form in (HTML, JSON, {}):
        assert "written-into-the-source" not in ask(ErrorPages(app), headers=form).text


def test_request_is_shown_and_its_secrets_are_not(ask: Ask, app: Flask) -> None:
    def view() -> None:
        assert request.form["comment"] == "what-ada-typed"
        cookie = request.cookies["id"]
        raise ValueError(f"bad cookie {cookie}")

    add_views(app, "def", view)
    answer = ask(
        ErrorPages(app),
        "/?page=2&token=token-in-query&x",
        headers={
            "Authorization": "Bearer bearer-secret",
            "Cookie": "id=cookie-value-1; theme=dark-and-long",
            "X-Api-Key": "key-in-a-field",
            "X-Plain": "plain",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        method="POST",
        body=b"comment=what-ada-typed&password=hunter2",
    )
    text = answer.text
    assert text.startswith("POST / failed\n")
    assert f"/?page=2&token={MASK}&x" in text
    assert "X-Plain: plain" in text.replace("x-plain", "X-Plain")
    assert f"id={MASK}; theme={MASK}" in text
    assert "Form fields\n  comment\n  password\n" in text
    assert f"bad cookie {MASK}" in text
    for secret in ("token-in-query", "bearer-secret", "cookie-value-1", "dark-and-long", "key-in-a-field", "hunter2"):
        assert secret not in text


def test_nothing_is_parsed_or_opened_for_the_page(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    opened: list[Any] = []

    class Interface(type(app.session_interface)):  # type: ignore[misc]
        def open_session(self, app: Any, request: Any) -> Any:
            opened.append(request)
            return super().open_session(app, request)

    app.session_interface = Interface()
    answer = ask(
        ErrorPages(app),
        headers={"Cookie": "session=x", "Content-Type": "application/x-www-form-urlencoded"},
        method="POST",
        body=b"comment=1",
    )
    assert "ValueError" in answer.text
    assert opened == []
    assert "Form" not in answer.text and "Session\n" not in answer.text


def test_session_g_and_configuration_are_shown(ask: Ask, app: Flask) -> None:
    def view() -> None:
        session["cart"] = ["apple"]
        flash("hello")
        g.user = "ada"
        fail()

    add_views(app, "def", view)
    told = json.loads(ask(ErrorPages(app), headers=JSON).text)["sections"]
    assert told["Session"]["cart"] == "['apple']"
    assert told["g"] == {"user": "'ada'"}
    assert told["Configuration"]["SECRET_KEY"] == MASK
    assert told["Configuration"]["SESSION_COOKIE_NAME"] == "'session'"
    assert told["Matched"]["endpoint"] == "index"


@pytest.mark.parametrize("colour", ["def", "async"])
def test_plan_says_what_ran_where(ask: Ask, app: Flask, colour: str) -> None:
    blueprint = Blueprint("shop", __name__)

    @app.before_request
    def first() -> None:
        pass

    @blueprint.before_request
    async def second() -> None:
        pass

    if colour == "def":

        @blueprint.route("/buy")
        def buy() -> str:
            raise ValueError
    else:

        @blueprint.route("/buy")
        async def buy() -> str:
            raise ValueError

    @app.after_request
    def later(response: Response) -> Response:
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        pass

    app.register_blueprint(blueprint)
    told = json.loads(ask(ErrorPages(app), "/buy", headers=JSON).text)
    steps = [(step["stage"], step["function"].rpartition(".")[2], step["state"]) for step in told["plan"]]
    assert steps == [
        ("before request", "first", "ran"),
        ("before request", "second", "ran"),
        ("view", "buy", "failed here"),
        ("after request", "later", "not reached"),
        ("teardown request", "end", "runs in any case"),
    ]
    places = {step["function"].rpartition(".")[2]: step["runs"] for step in told["plan"]}
    if told["sections"]["Request"]["protocol"].startswith("ASGI"):
        assert places["first"] == "worker thread" and places["second"] == "server's loop"
        assert places["buy"] == ("worker thread" if colour == "def" else "server's loop")
    else:
        assert places["first"] == "server's thread" and places["second"] == "portal"
    page = Page(ask(ErrorPages(app), "/buy", headers=HTML).text)
    assert ("tr", {"class": "failed-here"}) in page.tags


def test_causes_contexts_notes_and_groups_are_shown(ask: Ask, app: Flask) -> None:
    def view() -> None:
        try:
            try:
                {}["missing"]
            except KeyError as exc:
                raise OSError("disk") from exc
        except OSError:
            error = ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [TypeError("two")])])
            error.add_note("a note")
            raise error  # noqa: B904

    add_views(app, "def", view)
    text = ask(ErrorPages(app)).text
    for part in (
        "ExceptionGroup: several (2 sub-exceptions)\na note\n",
        "In the group:\n  ValueError: one\n",
        "  In the group:\n    TypeError: two\n",
        "Raised while this was being handled:\n",
        "  OSError: disk\n",
        "  Caused by:\n",
        "    KeyError: 'missing'\n",
    ):
        assert part in text, part
    page = Page(ask(ErrorPages(app), headers=HTML).text).text
    for part in ("several (2 sub-exceptions)", "a note", "In the group", "TypeError", "Caused by", "KeyError"):
        assert part in page


def test_exception_that_is_its_own_cause_ends(ask: Ask, app: Flask) -> None:
    def view() -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raise one

    add_views(app, "def", view)
    assert ask(ErrorPages(app)).text.count("ValueError: two") == 1


def test_recursion_leaves_frames_out(ask: Ask, app: Flask) -> None:
    def again(depth: int) -> int:
        return again(depth + 1) + 1

    add_views(app, "def", lambda: again(0))
    answer = ask(ErrorPages(app), headers=HTML)
    assert "RecursionError" in answer.text and "frames are left out" in answer.text
    assert len(answer.body) < 1_000_000


def test_exception_of_any_shape_is_shown(ask: Ask, app: Flask) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError

    add_views(app, "def", lambda: (_ for _ in ()).throw(Odd()))
    text = ask(ErrorPages(app)).text
    assert "Odd: <its str raised ValueError>" in text
    assert "URL rule: /" in text  # its context was noted all the same


def test_template_error_shows_the_line_of_the_template(ask: Ask, tmp_path: Any) -> None:
    app = Flask("templates", root_path=str(tmp_path))
    app.debug = True
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "base.html").write_text("<main>\n{% block body %}{% endblock %}\n</main>\n")
    (tmp_path / "templates" / "page.html").write_text(
        '{% extends "base.html" %}\n{% block body %}\n<p>{{ user.name.first }}</p>\n{% endblock %}\n'
    )
    (tmp_path / "templates" / "wrong.html").write_text("<p>\n{% if x %}\n{{ y }\n")
    app.add_url_rule("/page", "page", lambda: render_template("page.html", user={}))
    app.add_url_rule("/wrong", "wrong", lambda: render_template("wrong.html"))
    app.add_url_rule("/text", "text", lambda: render_template_string("one\n{{ none.two.three }}"))
    app.add_url_rule("/bad", "bad", lambda: render_template_string("one\n{% for %}"))
    for path, file, line, source, kind in (
        ("/page", "page.html", 3, "<p>{{ user.name.first }}</p>", "UndefinedError"),
        ("/wrong", "wrong.html", 3, "{{ y }", "TemplateSyntaxError"),
        ("/text", "<template>", 2, "{{ none.two.three }}", "UndefinedError"),
        ("/bad", "<template>", 2, "{% for %}", "TemplateSyntaxError"),
    ):
        told = json.loads(ask(ErrorPages(app), path, headers=JSON).text)
        assert told["exception"]["type"] == f"jinja2.exceptions.{kind}"
        frame = [item for item in told["exception"]["frames"] if item["file"].endswith(file)][-1]
        assert (frame["line"], frame["source"]) == (line, source)
        assert html.escape(source) in ask(ErrorPages(app), path, headers=HTML).text.replace("&#34;", "&quot;")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5000",
        "LOCALHOST",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:5000",
        "shop.localhost",
        "a.b.localhost:1",
    ],
)
def test_hosts_of_this_machine_are_trusted(ask: Ask, app: Flask, host: str) -> None:
    add_views(app, "def", fail)
    assert "ValueError" in ask(ErrorPages(app), headers={"Host": host}).text


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "xlocalhost",
        "10.0.0.1",
        "127.0.0.2",
        "::1",
        "a b",
        "localhost:x",
    ],
)
def test_other_hosts_are_not_shown_the_page(ask: Ask, app: Flask, host: str) -> None:
    add_views(app, "def", fail)
    with pytest.raises(Exception) as raised:
        ask(ErrorPages(app), headers={"Host": host})
    assert "ValueError" in repr(raised.value) or "failed" in repr(raised.value)


def test_more_hosts_can_be_trusted(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    assert "ValueError" in ask(ErrorPages(app, [".test"]), headers={"Host": "shop.test"}).text
    app.config["DEBUG_TRUSTED_HOSTS"] = ["dev.example.org"]
    assert "ValueError" in ask(ErrorPages(app), headers={"Host": "dev.example.org:443"}).text
    app.config["DEBUG_TRUSTED_HOSTS"] = "dev.example.com"
    assert "ValueError" in ask(ErrorPages(app), headers={"Host": "dev.example.com"}).text


def test_outside_of_debug_mode_the_answer_is_the_usual_500(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    app.debug = False
    answer = ask(ErrorPages(app), headers=HTML)
    assert answer.status == 500
    assert "Internal Server Error" in answer.text and "ValueError" not in answer.text


def test_what_is_handled_is_left_alone(ask: Ask, app: Flask) -> None:
    app.register_error_handler(ValueError, lambda error: ("handled", 418))
    add_views(app, "def", fail)
    answer = ask(ErrorPages(app), headers=HTML)
    assert (answer.status, answer.text) == (418, "handled")
    assert ask(ErrorPages(app), "/missing", headers=HTML).status == 404


def test_head_has_no_body(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    answer = ask(ErrorPages(app), headers=HTML, method="HEAD")
    assert (answer.status, answer.body) == (500, b"")


def test_exceptions_are_logged_once(ask: Ask, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    add_views(app, "def", fail)
    with caplog.at_level(logging.ERROR, "duoflask.server"):
        ask(ErrorPages(app), "/?\x1b[31m")
    records = [record for record in caplog.records if record.exc_info]
    assert len(records) == 1
    assert "\x1b" not in records[0].getMessage() and "GET /?" in records[0].getMessage()


def test_stream_that_fails_before_its_first_piece_gets_the_page(ask: Ask, app: Flask) -> None:
    def pieces() -> Iterator[bytes]:
        raise ValueError("at once")
        yield b""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return pieces()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("at once")

    both = lambda *args: asgi(*args) if len(args) == 3 else application(*args)  # noqa: E731
    assert "at once" in ask(ErrorPages(both)).text


def test_stream_that_fails_later_is_cut_off(ask: Ask, app: Flask) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("later")

    add_views(app, "def", pieces)
    with pytest.raises(Exception, match="later"):
        ask(ErrorPages(app))


def test_applications_of_others_are_explained_too(ask: Ask) -> None:
    def application(*args: Any) -> Any:
        fail()

    text = ask(ErrorPages(application)).text
    assert "ValueError" in text and "Request" in text and "Plan" not in text


def test_page_can_be_copied_as_text(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    wrapped = ErrorPages(app)
    page = Page(ask(wrapped, headers={**HTML, "X-A": "1"}).text)
    assert ("pre", {"id": "text"}) in page.tags
    assert "GET / failed\n\nTraceback (most recent call last):\n" in page.text
    assert ("button", {"id": "copy", "type": "button"}) in page.tags


def test_no_request_runs_code(ask: Ask, app: Flask) -> None:
    add_views(app, "def", fail)
    wrapped = ErrorPages(app)
    for query in (
        "__debugger__=yes&cmd=1%2B1&frm=1&s=x",
        "__debugger__=yes&cmd=printpin",
        "__debugger__=yes&cmd=resource&f=debugger.js",
    ):
        assert ask(wrapped, f"/?{query}").status == 500
        assert ask(wrapped, f"/console?{query}").status == 404
