from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from flask import Flask, request", "from duoflask import Flask, request"),
        ("from  flask  import(Flask as F,g)", "from  duoflask  import(Flask as F,g)"),
        (
            "from flask import (\n    Flask,  # the app\n    g,\n)",
            "from duoflask import (\n    Flask,  # the app\n    g,\n)",
        ),
        ("from flask.views import MethodView as V", "from duoflask.views import MethodView as V"),
        ("from flask import views\nviews.View", "from duoflask import views\nviews.View"),
        ("from flask import __version__", "from duoflask.versions import FLASK_VERSION as __version__"),
        ("from flask import Markup, escape as e", "from markupsafe import Markup, escape as e"),
        ("from flask.testing import FlaskClient", "from duoflask.testing import Client as FlaskClient"),
        ("from werkzeug.exceptions import NotFound", "from duoflask.exceptions import NotFound"),
        ("from werkzeug import Response", "from duoflask.response import BaseResponse as Response"),
        ("from werkzeug import exceptions\nexceptions.Gone", "from duoflask import exceptions\nexceptions.Gone"),
        ("import werkzeug.exceptions as e\ne.Gone", "import duoflask.exceptions as e\ne.Gone"),
        ("from werkzeug import utils\nutils.safe_join", "from duoflask.http import paths as utils\nutils.safe_join"),
        ("import flask\nflask.g.x", "import duoflask\nduoflask.g.x"),
        ("import flask as f\nf.g", "import duoflask as f\nf.g"),
        ("import os, flask\nflask.g", "import os, duoflask\nduoflask.g"),
        ("import flask.views\nflask.views.View", "import duoflask.views\nduoflask.views.View"),
        ("import flask\nflask.json.dumps(1)", "import duoflask.json\nduoflask.json.dumps(1)"),
        ("import flask\nx = [flask\n.g]", "import duoflask\nx = [duoflask.g]"),
        ("import flask\ne = 'ä', flask.g", "import duoflask\ne = 'ä', duoflask.g"),
        ("if 1: import flask; flask.g; flask.views", None),
        ("from flask_login import current_user", None),
        ("from .flask import Flask", None),
        ("from flaskr import Flask", None),
        ("import duoflask", None),
    ],
)
def test_import_becomes(migrate: Any, old: str, new: str | None) -> None:
    text, persons = migrate(old)
    if new is not None:
        assert (text, persons) == (new, [])
    elif "flask.views" not in old:
        assert text == old


def test_names_of_several_modules_become_several_imports(migrate: Any) -> None:
    old = "def f():\n    from werkzeug.utils import redirect as r, secure_filename  # both\n"
    assert migrate(old)[0] == (
        "def f():\n    from duoflask.urls import redirect as r\n"
        "    from duoflask.http.paths import secure_filename  # both\n"
    )


def test_several_imports_stand_in_a_line_where_one_stood(migrate: Any) -> None:
    assert migrate("if 1: from werkzeug.utils import redirect, safe_join; x = 1\n")[0] == (
        "if 1: from duoflask.urls import redirect; from duoflask.http.paths import safe_join; x = 1\n"
    )


def test_comments_stay_with_their_names(migrate: Any) -> None:
    old = (
        "from werkzeug.utils import (  # head\n    redirect,  # one\n    # above\n"
        "    secure_filename,\n    safe_join,\n    # last\n)\n"
    )
    assert migrate(old)[0] == (
        "from duoflask.urls import (  # head\n    redirect,  # one\n)\n"
        "from duoflask.http.paths import (  # head\n    # above\n    secure_filename,\n    safe_join,  # last\n)\n"
    )


def test_line_ends_stay(migrate: Any) -> None:
    assert migrate("from werkzeug.utils import redirect, safe_join\r\nx = 1\r\n")[0] == (
        "from duoflask.urls import redirect\r\nfrom duoflask.http.paths import safe_join\r\nx = 1\r\n"
    )


def test_import_after_an_indented_block(migrate: Any) -> None:
    assert migrate("if 1:\n    pass\nfrom flask import g\n")[0] == "if 1:\n    pass\nfrom duoflask import g\n"


def test_name_without_a_place_stays_and_is_reported(migrate: Any) -> None:
    text, persons = migrate("from flask import Flask, _request_ctx_stack as s\n")
    assert text == "from duoflask import Flask\nfrom flask import _request_ctx_stack as s\n"
    assert len(persons) == 1 and persons[0].startswith("1: flask._request_ctx_stack: write 'from duoflask.globals")


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("from werkzeug.urls import url_quote", "1: werkzeug.urls.url_quote: write urllib.parse.quote"),
        ("from flask import safe_join", "1: flask.safe_join: write duoflask.http.paths.safe_join"),
        ("from flask.json import JSONEncoder", "1: flask.json.JSONEncoder: write a DefaultJSONProvider"),
        ("from flask.ext.login import x", "1: flask.ext.login.x: import the extension by its own name"),
        ("from flask import *", "1: 'from flask import *': name what is needed"),
        ("from werkzeug.contrib.fixers import ProxyFix", "1: werkzeug.contrib.fixers.ProxyFix: it is gone"),
        ("import flask\nflask._app_ctx_stack.top", "2: flask._app_ctx_stack: write"),
        ("import flask\nprint(flask)", "2: flask as a whole"),
        ("import flask.views\npatch(flask.views, 'x')", "2: flask.views as a whole: write duoflask.views"),
        ("import werkzeug.nothing", "1: werkzeug.nothing: duoflask has no such name"),
        ("patch('flask.request.form')", "1: the text 'flask.request.form': write 'duoflask.request.form'"),
        ("patch('werkzeug.exceptions')", "1: the text 'werkzeug.exceptions' names a module"),
        ("try:\n    import flask\nexcept ImportError:\n    flask = None", "2: 'flask' is bound by something else"),
        ("from quart.utils import run_sync", "1: quart.utils.run_sync: a 'def' function runs in a thread"),
        ("from quart import make_push_promise", "1: quart.make_push_promise: browsers have dropped HTTP/2 push"),
        ("from quart.asgi import ASGIHTTPConnection", "1: quart.asgi.ASGIHTTPConnection: there is no such class"),
        ("from quart.typing import WebsocketCallable", "1: quart.typing.WebsocketCallable: duoflask.typing has"),
        ("from quart_schema import x", "1: quart_schema: Quart's extensions"),
    ],
)
def test_what_needs_a_person_is_left_and_said(migrate: Any, old: str, said: str) -> None:
    text, persons = migrate(old)
    assert text == old
    assert [person for person in persons if person.startswith(said)], persons


def test_only_what_has_no_place_stays_with_flask(migrate: Any) -> None:
    text, persons = migrate("import flask\nflask.g\nflask._request_ctx_stack\n")
    assert text == "import duoflask\nimport flask\nduoflask.g\nflask._request_ctx_stack\n"
    assert len(persons) == 1


def test_other_things_of_the_same_name_are_left(migrate: Any) -> None:
    old = "import flask\ndef f(flask):\n    return flask.g\nclass C:\n    flask = 1\n    def g(self): return flask.g\n"
    assert migrate(old)[0] == old.replace("import flask", "import duoflask").replace(
        "self): return flask", "self): return duoflask"
    )


def test_texts_of_hosts_are_not_names(migrate: Any) -> None:
    assert migrate("x = 'flask.example.com', 'flask', 'see flask.request'\n")[1] == []


def test_quart_is_renamed_with_its_uses(migrate: Any) -> None:
    assert migrate("from quart import Quart, g\napp = Quart(__name__)\n") == (
        "from duoflask import DuoFlask, g\napp = DuoFlask(__name__)\n",
        [],
    )


@pytest.mark.parametrize(
    "rest", ["__all__ = ['Quart']\nQuart()", "Quart = 1", "DuoFlask = 2\nQuart()", "x: 'Quart | None'"]
)
def test_quart_keeps_its_name_where_it_may_be_missed(migrate: Any, rest: str) -> None:
    assert migrate(f"from quart import Quart\n{rest}\n")[0] == f"from duoflask import DuoFlask as Quart\n{rest}\n"


def test_quart_keeps_its_name_where_another_file_asks_for_it(migrate: Any) -> None:
    files = {"app/__init__.py": "from quart import Quart\nQuart(__name__)\n", "app/b.py": "from app import Quart\n"}
    assert migrate(files).texts["app/__init__.py"] == "from duoflask import DuoFlask as Quart\nQuart(__name__)\n"


def test_with_async_functions_for_templates_the_async_twins_are_used(migrate: Any) -> None:
    old = (
        "from quart import Quart, render_template, flash\napp = Quart(__name__)\n@app.context_processor\n"
        "async def add(): ...\nasync def view():\n    await flash('x')\n    return await render_template('x.html')\n"
    )
    text, persons = migrate(old)
    assert "from duoflask import DuoFlask, render_template_async as render_template, flash" in text
    assert "    flash('x')\n    return await render_template('x.html')" in text
    assert persons == []
