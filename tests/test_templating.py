from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import flask
import jinja2
import pytest

import duoflask
from duoflask import g, request, session
from duoflask.blueprints import Blueprint
from duoflask.signals import before_render_template, template_rendered
from duoflask.templating import (
    DispatchingJinjaLoader,
    Environment,
    get_template_attribute,
    render_template,
    render_template_async,
    render_template_string,
    render_template_string_async,
    stream_template,
    stream_template_async,
    stream_template_string,
    stream_template_string_async,
)

from .pages import Page

TWIN = r"await render_template_async\(\.\.\.\)"


def make_app(folder: Path, /, **templates: str) -> duoflask.Flask:
    """An app with these templates; `__` in a name stands for a dot."""
    write(folder / "templates", **templates)
    app = duoflask.Flask("app", root_path=str(folder))
    app.testing = True
    return app


def write(folder: Path, /, **templates: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in templates.items():
        (folder / name.replace("__", ".")).write_text(text)


def def_view(app: Any, function: Callable[..., Any]) -> None:
    app.add_url_rule("/", "view", lambda: function())


def async_view(app: Any, function: Callable[..., Any]) -> None:
    async def view() -> Any:
        return function()

    app.add_url_rule("/", "view", view)


def awaiting_view(app: Any, function: Callable[..., Any]) -> None:
    async def view() -> Any:
        return await function()

    app.add_url_rule("/", "view", view)


COLOURS = pytest.mark.parametrize("register", [def_view, async_view])


# -- rendering


@COLOURS
def test_template_is_rendered_in_views_of_both_colours(register: Any, client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, hello__html="Hello {{ name }} at {{ request.path }}")
    register(app, lambda: render_template("hello.html", name="<you>"))
    assert client(app).get("/").text == "Hello &lt;you&gt; at /"


@COLOURS
def test_string_is_rendered_and_escaped(register: Any, client: Any) -> None:
    app = duoflask.Flask("app")
    register(app, lambda: render_template_string("{{ text }} {{ request.args.a }}", text="<b>"))
    assert client(app).get("/?a=1").text == "&lt;b&gt; 1"


def test_template_is_rendered_by_awaiting(loop_client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, hello__html="Hello {{ name }} at {{ request.path }}")
    awaiting_view(app, lambda: render_template_async("hello.html", name="<you>"))
    app.add_url_rule("/string", view_func=lambda: render_template_string_async("{{ a }} {{ g.b }}", a="<"))
    app.before_request(lambda: setattr(g, "b", 2))
    tester = loop_client(app)
    assert tester.get("/").text == "Hello &lt;you&gt; at /"
    assert tester.get("/string").text == "&lt; 2"


def test_first_template_that_exists_is_taken(client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, b__html="b", c__html="c")
    def_view(app, lambda: render_template(["a.html", "b.html", "c.html"]))
    assert client(app).get("/").text == "b"


def test_template_object_is_rendered(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with app.app_context():
        assert render_template(app.jinja_env.from_string("{{ 1 + 1 }}")) == "2"


def test_missing_template_raises(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with app.app_context():
        for _ in range(2):
            with pytest.raises(jinja2.TemplateNotFound):
                render_template("none.html")
        with pytest.raises(jinja2.TemplatesNotFound):
            render_template(["none.html", "nothing.html"])


def test_rendering_outside_a_context_says_so() -> None:
    with pytest.raises(RuntimeError, match="Working outside of application context"):
        render_template_string("")


def test_inheritance_includes_and_macros_see_the_context(client: Any, tmp_path: Path) -> None:
    app = make_app(
        tmp_path,
        base__html="[{% block body %}{% endblock %}|{{ request.path }}]",
        part__html="({{ name }} {{ request.args.a }})",
        macros__html="{% macro shout(text) %}{{ text|upper }}{{ request.args.a }}{% endmacro %}",
        page__html="{% extends 'base.html' %}{% from 'macros.html' import shout %}"
        "{% block body %}{% include 'part.html' %}{{ shout(name) }}{% endblock %}",
    )
    def_view(app, lambda: render_template("page.html", name="x"))
    app.add_url_rule("/async", view_func=lambda: render_template_async("page.html", name="x"))
    tester = client(app)
    # The second time the macros' module comes from the cache: nothing of the first request may be in it.
    for value in ("1", "2"):
        assert tester.get(f"/?a={value}").text == f"[(x {value})X{value}|/]"
        assert tester.get(f"/async?a={value}").text == f"[(x {value})X{value}|/async]"


def test_template_attribute_is_a_python_function(tmp_path: Path) -> None:
    app = make_app(tmp_path, macros__html="{% macro hello(name) %}Hello {{ name }}{% endmacro %}{% set one = 1 %}")
    with app.app_context():
        assert get_template_attribute("macros.html", "hello")("<World>") == "Hello &lt;World&gt;"
        assert get_template_attribute("macros.html", "one") == 1


# -- the context


def test_template_outside_a_request_has_g_and_config_only() -> None:
    app = duoflask.Flask("app")
    with app.app_context():
        g.name = "x"
        assert render_template_string("{{ g.name }} {{ config.TESTING }} {{ request is defined }}") == "x False True"
        assert render_template_string("{% if request %}yes{% else %}no{% endif %}") == "no"


def test_own_variables_win(client: Any) -> None:
    app = duoflask.Flask("app")
    app.context_processor(lambda: {"a": "processor", "b": "processor"})
    def_view(app, lambda: render_template_string("{{ a }} {{ b }} {{ g }}", a="own", g="own g"))
    assert client(app).get("/").text == "own processor own g"


def test_session_is_opened_only_for_a_template_that_names_it() -> None:
    app = duoflask.Flask("app")
    with app.test_request_context() as ctx:
        render_template_string("{{ request.path }} {{ g }}")
        assert ctx._session is None
        assert render_template_string("{{ session|tojson }}") == "{}"
        assert ctx._session is not None


def test_context_after_update_is_as_flasks() -> None:
    app, oracle = duoflask.Flask("app"), flask.Flask("app")
    for each in (app, oracle):
        each.context_processor(lambda: {"a": 1, "own": 0})
        for context in (each.app_context(), each.test_request_context("/?x=1")):
            with context:
                variables: dict[str, Any] = {"own": 2}
                each.update_template_context(variables)
                # `session` is there besides, so that {{ session|tojson }} works.
                assert set(variables) - {"session"} == {"own", "a", "g"} | ({"request"} & set(variables))
                assert variables["own"] == 2
                if "request" in variables:
                    assert variables["request"].args["x"] == "1"


def test_template_context_gives_the_objects_themselves() -> None:
    app = duoflask.Flask("app")
    app.add_template_global(lambda value: type(value).__name__, "kind")
    with app.test_request_context():
        names = render_template_string("{{ kind(request) }} {{ kind(g) }} {{ kind(session) }}").split()
        assert names == ["Request", "_AppCtxGlobals", type(session._get_current_object()).__name__]


def context_app(flask_: Any, blueprint_class: Any, render: Callable[..., Any]) -> Any:
    app = flask_.Flask("app")
    outer, inner = blueprint_class("outer", "outer"), blueprint_class("inner", "inner")
    order: list[str] = []

    def processor(name: str) -> Callable[[], dict[str, Any]]:
        def add() -> dict[str, Any]:
            order.append(name)
            return {"last": name, name: True}

        return add

    inner.context_processor(processor("in_inner"))
    outer.context_processor(processor("in_outer"))
    outer.app_context_processor(processor("from_outer"))
    app.context_processor(processor("in_app"))

    def view() -> str:
        order.clear()
        text = render("{{ last }} {{ in_app }} {{ in_outer }} {{ in_inner }}")
        return f"{text} {order}"

    for where in (app, outer, inner):
        where.add_url_rule(f"/{where.name}", "view", view)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def test_context_processors_run_in_flasks_order(client: Any) -> None:
    app = context_app(duoflask, Blueprint, render_template_string)
    oracle = context_app(flask, flask.Blueprint, flask.render_template_string)
    for path in ("/app", "/outer", "/inner"):
        assert client(app).get(path).text == oracle.test_client().get(path).text


def test_async_context_processor_is_waited_for_in_a_def_view(client: Any) -> None:
    app = duoflask.Flask("app")

    @app.context_processor
    async def add() -> dict[str, Any]:
        await anyio.sleep(0)
        return {"name": request.path}

    def_view(app, lambda: render_template_string("{{ name }}"))
    assert client(app).get("/").text == "/"


def test_async_context_processor_is_an_error_in_an_async_view(client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True

    @app.context_processor
    async def add_name() -> dict[str, Any]:
        return {"name": "x"}

    async_view(app, lambda: render_template_string("{{ name }}"))
    with pytest.raises(RuntimeError, match=f"the context processor .*add_name.*{TWIN}"):
        client(app).get("/")


def test_context_processors_of_both_colours_are_awaited(loop_client: Any, protocol_threads: Any = None) -> None:
    app = duoflask.Flask("app")
    threads: dict[str, int] = {}

    @app.context_processor
    def first() -> dict[str, Any]:
        threads["def"] = threading.get_ident()
        return {"a": g.seen}

    @app.context_processor
    async def second() -> dict[str, Any]:
        await anyio.sleep(0)
        threads["async"] = threading.get_ident()
        return {"b": request.path, "own": "lost"}

    @app.context_processor
    def third() -> Any:
        return second()  # an awaitable of a def function

    @app.context_processor(inline=True)
    def fourth() -> dict[str, Any]:
        threads["inline"] = threading.get_ident()
        return {"c": 3}

    async def view() -> str:
        g.seen = "seen"
        return await render_template_string_async("{{ a }} {{ b }} {{ c }} {{ own }}", own="mine")

    app.add_url_rule("/", view_func=view)
    assert loop_client(app).get("/").text == "seen / 3 mine"
    assert threads["inline"] == threads["async"] != threads["def"]


def test_context_processor_that_returns_none_is_named(client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    app.context_processor(lambda: None)  # type: ignore[arg-type,return-value]
    def_view(app, lambda: render_template_string(""))
    with pytest.raises(TypeError, match="context processor .*lambda.* returned None"):
        client(app).get("/")


def test_context_processor_registered_within_a_context_counts_at_once() -> None:
    app = duoflask.Flask("app")
    with app.test_request_context():
        app.context_processor(lambda: {"a": 1})
        assert render_template_string("{{ a }}") == "1"


def test_override_of_update_template_context_is_called_by_both(client: Any) -> None:
    class App(duoflask.Flask):
        def update_template_context(self, context: dict[str, Any]) -> None:
            super().update_template_context(context)
            context["a"] += 1

    app = App("app")

    @app.context_processor
    async def add() -> dict[str, Any]:
        return {"a": 1}

    def_view(app, lambda: render_template_string("{{ a }}"))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async("{{ a }}"))
    assert client(app).get("/").text == client(app).get("/async").text == "2"


def test_override_of_update_template_context_may_be_async(loop_client: Any) -> None:
    class App(duoflask.Flask):
        async def update_template_context(self, context: dict[str, Any]) -> None:  # type: ignore[override]
            await anyio.sleep(0)
            context["a"] = 1

    app = App("app")
    def_view(app, lambda: render_template_string("{{ a }}"))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async("{{ a }}"))
    assert loop_client(app).get("/").text == loop_client(app).get("/async").text == "1"


# -- filters, tests and functions


def make_functions(app: Any) -> None:
    @app.template_filter
    def double(value: int) -> int:
        return 2 * value

    @app.template_filter("half")
    async def half_of(value: int) -> int:
        await anyio.sleep(0)
        return value // 2

    @app.template_test()
    async def positive(value: int) -> bool:
        return value > 0

    @app.template_test("big")
    def is_big(value: int) -> bool:
        return value > 100

    @app.template_global()
    async def answer(plus: int = 0) -> int:
        await anyio.sleep(0)
        return 42 + plus

    app.add_template_global(lambda: "here", "where")
    app.add_template_filter(lambda value: value + 1, "inc")
    app.add_template_test(lambda value: value == 42, "right")


FUNCTIONS = (
    "{{ 3|double }} {{ 8|half|inc }} {{ 1 is positive }} {{ 200 is big }} {{ answer(1) }} {{ where() }}"
    " {{ answer() is right }} {{ [2, 4]|map('half')|list }} {% if answer() == 42 %}yes{% endif %}"
)
RESULT = "6 5 True True 43 here True [1, 2] yes"


def test_functions_of_both_colours_are_called_for_a_def_view(client: Any) -> None:
    app = duoflask.Flask("app")
    make_functions(app)
    def_view(app, lambda: render_template_string(FUNCTIONS))
    app.add_url_rule("/stream", view_func=lambda: stream_template_string(FUNCTIONS))
    assert client(app).get("/").text == RESULT
    assert client(app).get("/stream").text == RESULT


def test_functions_of_both_colours_are_awaited(loop_client: Any) -> None:
    app = duoflask.Flask("app")
    make_functions(app)
    text = FUNCTIONS.replace("{{ [2, 4]|map('half')|list }}", "[1, 2]")
    awaiting_view(app, lambda: render_template_string_async(text))
    assert loop_client(app).get("/").text == RESULT


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{ 8|half }}", "the filter 'half'"),
        ("{{ 8 is positive }}", "the test 'positive'"),
        ("{{ answer() }}", "answer"),
        ("{% for i in [1]|map('half') %}{{ i }}{% endfor %}", "the filter 'half'"),
    ],
)
def test_async_function_in_a_sync_template_is_an_error_in_an_async_view(text: str, what: str, client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    make_functions(app)
    async_view(app, lambda: render_template_string(text))
    with pytest.raises(RuntimeError, match=f"{what}.*{TWIN}"):
        client(app).get("/")


def test_def_function_that_returns_an_awaitable_is_waited_for(client: Any) -> None:
    app = duoflask.Flask("app")

    async def later() -> str:
        return "later"

    app.add_template_global(lambda: later(), "soon")
    def_view(app, lambda: render_template_string("{{ soon() }}"))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async("{{ soon() }}"))
    assert client(app).get("/").text == client(app).get("/async").text == "later"


def test_filter_keeps_jinjas_marks(client: Any) -> None:
    app = duoflask.Flask("app")

    @app.template_filter
    @jinja2.pass_context
    async def seen(context: Any, value: str) -> str:
        return f"{value} {context['a']}"

    def_view(app, lambda: render_template_string("{{ 'x'|seen }}", a=1))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async("{{ 'x'|seen }}", a=1))
    assert client(app).get("/").text == client(app).get("/async").text == "x 1"


def test_filters_are_the_functions_themselves() -> None:
    app = duoflask.Flask("app")

    def own(value: str) -> str:
        return value

    app.jinja_env.filters.update(a=own)
    app.jinja_env.filters |= {"b": own}
    assert app.jinja_env.filters.setdefault("c", own) is own
    assert {app.jinja_env.filters[name] for name in "abc"} == {own}


def test_filter_that_was_added_later_is_known_to_both_colours(client: Any) -> None:
    app = duoflask.Flask("app")
    with app.app_context():
        anyio.run(render_template_string_async, "")
    app.jinja_env.filters["late"] = lambda value: value * 2
    app.jinja_env.globals["n"] = 4
    def_view(app, lambda: render_template_string("{{ n|late }}"))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async("{{ n|late }}"))
    assert client(app).get("/").text == client(app).get("/async").text == "8"


def test_tojson_uses_the_apps_provider() -> None:
    app = duoflask.Flask("app")
    app.json.default = lambda value: f"<{type(value).__name__}>"  # type: ignore[attr-defined]
    with app.app_context():
        assert render_template_string("{{ {'b': x}|tojson }}", x=object()) == r'{"b": "\u003cobject\u003e"}'


def test_url_for_is_known_to_templates(client: Any) -> None:
    app = duoflask.Flask("app")
    def_view(app, lambda: render_template_string("{{ url_for('view', a=1) }}"))
    assert client(app).get("/").text == "/?a=1"


# -- streams


@COLOURS
def test_stream_is_a_body_in_its_requests_context(register: Any, client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, page__html="{% for i in range(3) %}{{ i }}{{ request.path }} {% endfor %}{{ name }}")
    register(app, lambda: stream_template("page.html", name="<"))
    assert client(app).get("/").text == "0/ 1/ 2/ &lt;"


def test_stream_comes_in_pieces() -> None:
    app = duoflask.Flask("app")
    with app.app_context():
        pieces = stream_template_string("{% for i in range(2) %}a{{ i }}{% endfor %}")
        assert isinstance(pieces, Iterator)
        assert list(pieces) == ["a", "0", "a", "1"]


def test_stream_is_awaited_piece_by_piece(loop_client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, page__html="{% for i in numbers() %}{{ i }}{{ request.path }} {% endfor %}")

    @app.template_global()
    async def numbers() -> list[int]:
        await anyio.sleep(0)
        return [1, 2]

    async def view() -> AsyncIterator[str]:
        body = await stream_template_async("page.html")
        assert isinstance(body, AsyncIterator)
        return body

    app.add_url_rule("/", view_func=view)
    app.add_url_rule("/string", view_func=lambda: stream_template_string_async("{{ a }}-{{ numbers() }}", a=1))
    assert loop_client(app).get("/").text == "1/ 2/ "
    assert loop_client(app).get("/string").text == "1-[1, 2]"


def test_stream_of_a_missing_template_raises_before_the_first_piece(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with app.app_context(), pytest.raises(jinja2.TemplateNotFound):
        stream_template("none.html")


# -- signals


def watch(log: list[str], app: Any, colour: str) -> list[Any]:
    """Connect a receiver to both signals; they are held by the list that is returned."""
    receivers = []
    for name, signal in (("before", before_render_template), ("after", template_rendered)):

        def receiver(sender: Any, template: Any, context: Any, name: str = name) -> None:
            log.append(f"{name} {template.name} {context['a']} {context['request'].path}")

        async def async_receiver(sender: Any, template: Any, context: Any, name: str = name) -> None:
            await anyio.sleep(0)
            log.append(f"{name} {template.name} {context['a']} {context['request'].path}")

        made: Any = async_receiver if colour == "async" else receiver
        signal.connect(made, app)
        receivers.append(made)
    return receivers


SEEN = ["before page.html 1 /", "after page.html 1 /"]


@pytest.mark.parametrize("colour", ["def", "async"])
def test_signals_are_sent_for_a_def_view(colour: str, client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, page__html="text")
    log: list[str] = []
    held = watch(log, app, colour)
    def_view(app, lambda: render_template("page.html", a=1))
    app.add_url_rule("/stream", view_func=lambda: stream_template("page.html", a=1))
    client(app).get("/")
    assert log == SEEN
    log.clear()
    assert client(app).get("/stream").text == "text"
    assert [line.split()[0] for line in log] == ["before", "after"]
    assert held


@pytest.mark.parametrize("colour", ["def", "async"])
def test_signals_are_sent_by_awaiting(colour: str, loop_client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, page__html="text")
    log: list[str] = []
    held = watch(log, app, colour)
    awaiting_view(app, lambda: render_template_async("page.html", a=1))
    app.add_url_rule("/stream", view_func=lambda: stream_template_async("page.html", a=1))
    loop_client(app).get("/")
    assert log == SEEN
    log.clear()
    assert loop_client(app).get("/stream").text == "text"
    assert [line.split()[0] for line in log] == ["before", "after"]
    assert held


def test_async_receiver_is_an_error_in_an_async_view(client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, page__html="text")
    held = watch([], app, "async")
    async_view(app, lambda: render_template("page.html", a=1))
    with pytest.raises(RuntimeError, match=f"async_receiver' of the signal 'before-render-template'.*{TWIN}"):
        client(app).get("/")
    assert held


# -- autoescape


@pytest.mark.parametrize(
    "name", ["a.html", "a.htm", "a.xml", "a.xhtml", "a.svg", "a.txt", "a.js", "a.j2", "html", None]
)
def test_autoescape_is_as_flasks(name: str | None) -> None:
    expected = flask.Flask("app").select_jinja_autoescape(name)
    assert duoflask.Flask("app").select_jinja_autoescape(name) is expected


@pytest.mark.parametrize("name", ["a.HTML", "a.Svg", "a.html.j2", "a.XML.jinja", "a.htm.jinja2", "a.html.jinja2.j2"])
def test_autoescape_sees_html_behind_case_and_source_endings(name: str) -> None:
    assert duoflask.Flask("app").select_jinja_autoescape(name)


def test_template_is_escaped_by_its_name(tmp_path: Path) -> None:
    app = make_app(tmp_path, a__txt="{{ x }}", b__html__j2="{{ x }}", c__HTML="{{ x|safe }}{{ x }}")
    with app.app_context():
        assert render_template("a.txt", x="<") == "<"
        assert render_template("b.html.j2", x="<") == "&lt;"
        assert render_template("c.HTML", x="<") == "<&lt;"


def test_autoescape_may_be_overridden() -> None:
    class App(duoflask.Flask):
        def select_jinja_autoescape(self, filename: str | None) -> bool:
            return False

    app = App("app")
    with app.app_context():
        assert render_template_string("{{ x }}", x="<") == "<"


# -- finding templates


def test_templates_of_the_app_come_before_those_of_blueprints(client: Any, tmp_path: Path) -> None:
    app = make_app(tmp_path, shared__html="app")
    write(tmp_path / "one" / "templates", shared__html="one", own__html="one's", both__html="one")
    write(tmp_path / "two" / "templates", own__html="two's", both__html="two", second__html="two's")
    for name in ("one", "two"):
        app.register_blueprint(
            Blueprint(name, name, template_folder="templates", root_path=str(tmp_path / name)), url_prefix=f"/{name}"
        )
    app.register_blueprint(Blueprint("bare", "bare"))
    app.add_url_rule("/<name>", "view", lambda name: render_template(f"{name}.html"))
    answers = {name: client(app).get(f"/{name}").text for name in ("shared", "own", "both", "second")}
    assert answers == {"shared": "app", "own": "one's", "both": "one", "second": "two's"}
    assert app.jinja_env.list_templates() == ["both.html", "own.html", "second.html", "shared.html"]


def test_app_without_a_template_folder_has_no_loader() -> None:
    app = duoflask.Flask("app", template_folder=None)
    assert app.jinja_loader is None
    with app.app_context(), pytest.raises(jinja2.TemplateNotFound):
        render_template("a.html")


def test_loader_may_be_replaced(tmp_path: Path) -> None:
    app = make_app(tmp_path, a__html="file")
    with app.app_context():
        assert render_template("a.html") == "file"
        assert anyio.run(render_template_async, "a.html") == "file"
        app.jinja_env.loader = jinja2.DictLoader({"a.html": "dict"})
        assert render_template("a.html") == "dict"
        assert anyio.run(render_template_async, "a.html") == "dict"
    other = make_app(tmp_path, a__html="file")
    other.jinja_loader = jinja2.DictLoader({"a.html": "own"})
    with other.app_context():
        assert render_template("a.html") == "own"


def test_found_templates_are_not_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(tmp_path, base__html="{% block a %}{% endblock %}", a__html="{% extends 'base.html' %}")
    with app.app_context():
        render_template("a.html")
        touched: list[Any] = []
        for name in ("stat", "open"):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, lambda *args, _real=real: touched.append(args) or _real(*args))
        monkeypatch.setattr("builtins.open", lambda *args, **kwargs: touched.append(args))
        for _ in range(3):
            assert render_template("a.html") == ""
        monkeypatch.undo()
        assert touched == []


@pytest.mark.parametrize(
    ("debug", "setting", "expected"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
def test_changed_templates_are_reloaded_in_debug_mode_or_as_configured(
    debug: bool, setting: bool | None, expected: bool, tmp_path: Path
) -> None:
    app = make_app(tmp_path, a__html="old")
    app.config["TEMPLATES_AUTO_RELOAD"] = setting
    app.debug = debug
    assert app.jinja_env.auto_reload is expected
    with app.app_context():
        assert render_template("a.html") == anyio.run(render_template_async, "a.html") == "old"
        path = tmp_path / "templates" / "a.html"
        path.write_text("new")
        os.utime(path, (1, 1))
        text = "new" if expected else "old"
        assert render_template("a.html") == anyio.run(render_template_async, "a.html") == text


def test_debug_mode_set_later_reloads_templates() -> None:
    app = duoflask.Flask("app")
    assert not app.jinja_env.auto_reload
    app.debug = True
    assert app.jinja_env.auto_reload


def test_cleared_cache_is_forgotten_wholly(tmp_path: Path) -> None:
    app = make_app(tmp_path, a__html="old")
    with app.app_context():
        for _ in range(3):
            assert render_template("a.html") == "old"
        (tmp_path / "templates" / "a.html").write_text("new")
        assert app.jinja_env.cache is not None
        app.jinja_env.cache.clear()
        assert render_template("a.html") == "new"
        del app.jinja_env.cache[next(iter(app.jinja_env.cache))]  # type: ignore[attr-defined]
        assert render_template("a.html") == "new"


def test_cache_stays_bounded(tmp_path: Path) -> None:
    app = make_app(tmp_path, **{f"t{i}__html": str(i) for i in range(8)})
    app.jinja_options = {"cache_size": 3}
    with app.app_context():
        for _ in range(2):
            for i in range(8):
                assert render_template(f"t{i}.html") == str(i)
        assert app.jinja_env.cache is not None
        assert len(app.jinja_env.cache) == 3
        assert len(app.jinja_env.cache.recent) <= 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [0, -1])
def test_other_caches_of_jinja_work(size: int, tmp_path: Path) -> None:
    app = make_app(tmp_path, a__html="a")
    app.jinja_options = {"cache_size": size}
    with app.app_context():
        assert render_template("a.html") == render_template("a.html") == "a"
        assert anyio.run(render_template_async, "a.html") == "a"


def test_bytecode_cache_is_not_shared_by_the_colours(tmp_path: Path) -> None:
    app = make_app(tmp_path, a__html="{{ 1 + 1 }}")
    folder = tmp_path / "bytecode"
    folder.mkdir()
    app.jinja_options = {"bytecode_cache": jinja2.FileSystemBytecodeCache(str(folder))}
    with app.app_context():
        assert render_template("a.html") == anyio.run(render_template_async, "a.html") == "2"
    assert len(list(folder.iterdir())) == 1


def test_string_is_compiled_once_unless_the_syntax_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    app = duoflask.Flask("app")
    compiled: list[str] = []
    real = Environment.compile

    def counting(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        compiled.append(source)
        return real(self, source, *args, **kwargs)

    monkeypatch.setattr(Environment, "compile", counting)
    with app.app_context():
        for _ in range(3):
            render_template_string("{{ 1 }}")
        assert compiled == ["{{ 1 }}"]
        app.jinja_env.add_extension("jinja2.ext.do")
        render_template_string("{{ 1 }}")
        assert len(compiled) == 2
        for _ in range(2):
            render_template_string("x" * 20_000)
        assert len(compiled) == 4
        for number in range(200):
            render_template_string(str(number))
        assert len(app.jinja_env._strings) <= 64


def test_search_is_explained(tmp_path: Path, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(tmp_path)
    write(tmp_path / "one" / "templates", both__html="one")
    write(tmp_path / "two" / "templates", both__html="two")
    for name in ("one", "two"):
        blueprint = Blueprint(name, f"{name}.views", template_folder="templates", root_path=str(tmp_path / name))
        blueprint.add_url_rule(f"/{name}/<page>", "view", lambda page: render_template(f"{page}.html"))
        app.register_blueprint(blueprint)
    app.testing = False
    app.config["EXPLAIN_TEMPLATE_LOADING"] = True
    with caplog.at_level(logging.INFO, "app"):
        assert client(app).get("/one/both").text == "one"
        assert client(app).get("/two/none").status_code == 500
    found, missing, *_ = [record.getMessage() for record in caplog.records]
    assert "'both.html'" in found
    assert "1: the application 'app' (app), jinja2.loaders.FileSystemLoader (encoding: 'utf-8'; " in found
    assert "2: the blueprint 'one' (one.views)" in found
    assert f"found ({str(tmp_path / 'one' / 'templates' / 'both.html')!r})" in found
    assert "more than once" in found
    assert "not found anywhere" in missing
    assert "belongs to the blueprint 'two'" in missing


# -- the environment


def test_environment_is_made_of_options_and_overrides() -> None:
    class Own(Environment):
        pass

    class App(duoflask.Flask):
        jinja_environment = Own
        jinja_options = {"trim_blocks": True, "extensions": ["jinja2.ext.do"], "autoescape": False}

        def create_global_jinja_loader(self) -> Any:
            return jinja2.ChoiceLoader([super().create_global_jinja_loader(), jinja2.DictLoader({"a": "dict"})])

        def create_jinja_environment(self) -> Any:
            made = super().create_jinja_environment()
            made.globals["own"] = 1
            return made

    app = App("app")
    assert type(app.jinja_env) is Own
    assert app.jinja_env is app.jinja_env
    assert app.jinja_env.trim_blocks
    assert app.jinja_env.app is app
    assert isinstance(app.jinja_env.loader, jinja2.ChoiceLoader)
    assert isinstance(app.jinja_env.loader.loaders[0], DispatchingJinjaLoader)
    with app.app_context():
        assert render_template("a") == "dict"
        assert render_template_string("{% if 1 %}\n{{ own }}<{% endif %}") == "1<"


def test_environment_has_flasks_globals() -> None:
    ours, theirs = duoflask.Flask("app").jinja_env.globals, flask.Flask("app").jinja_env.globals
    assert set(theirs) == set(ours)
    assert duoflask.Flask.jinja_environment is Environment


def test_environment_of_another_class_works_and_says_what_it_cannot(client: Any) -> None:
    class Plain(jinja2.Environment):
        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(**options)

    app = duoflask.Flask("app")
    app.testing = True
    app.jinja_environment = Plain
    def_view(app, lambda: render_template_string("{{ request.path }}"))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async(""))
    assert client(app).get("/").text == "/"
    with pytest.raises(RuntimeError, match="is a Plain, which cannot render asynchronously"):
        client(app).get("/async")


def test_async_environment_of_the_application_serves_both_kinds_of_functions(client: Any) -> None:
    app = duoflask.Flask("app")
    app.jinja_options = {"enable_async": True}
    make_functions(app)
    text = "{{ 8|half }} {{ answer() }} {{ request.path }}"
    def_view(app, lambda: render_template_string(text))
    app.add_url_rule("/async", view_func=lambda: render_template_string_async(text))
    app.add_url_rule("/stream", "stream", lambda: stream_template_string(text))
    for path in ("/", "/async", "/stream"):
        assert client(app).get(path).text == f"4 42 {path}"


def test_overlay_renders_for_itself() -> None:
    app = duoflask.Flask("app")
    app.add_template_filter(lambda value: value * 2, "double")
    overlay = app.jinja_env.overlay(variable_start_string="<<", variable_end_string=">>")
    assert overlay.from_string("<< 2|double >>").render() == "4"
    assert overlay.compiled("<< 3 >>").render() == "3"
    assert app.jinja_env.compiled("<< 3 >>").render() == "<< 3 >>"


def test_template_engine_is_imported_at_the_first_template() -> None:
    code = (
        "import sys, duoflask\n"
        "app = duoflask.Flask('app')\n"
        "app.add_url_rule('/', 'view', lambda: 'text')\n"
        "from duoflask.blueprints import Blueprint\n"
        "app.register_blueprint(Blueprint('b', 'b'))\n"
        "app.context_processor(dict)\n"
        "assert app.test_client().get('/').text == 'text'\n"
        "assert 'jinja2' not in sys.modules\n"
        "app.jinja_env\n"
        "assert 'jinja2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the page about it


def test_page_about_templates_says_what_happens(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("templates")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "hello.html").write_text("Hello {{ name }}")
    monkeypatch.chdir(tmp_path)  # an application whose module has no file looks there
    tester = client(page.run("\n\n".join(page.indented))["app"])
    assert tester.get("/hello/you").text == "Hello you"
    assert tester.get("/text/<").text == "Hello &lt; at /text/&lt;"
    assert tester.get("/visitors").text == "WE HAD 42 at example"
    assert tester.get("/visitors/stream").text == "42"
