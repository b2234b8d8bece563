"""Small applications of Flask's and of Quart's, migrated on disk and run under both protocols."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from duoflask.migrate import migrate_command

FLASK = {
    "flaskshop/__init__.py": '''"""A shop."""

import flask
from flask import Flask, render_template_string, session
from werkzeug.exceptions import HTTPException, NotFound

from . import orders


def create_app():
    app = Flask(__name__)
    app.secret_key = "not secret"
    app.register_blueprint(orders.bp, url_prefix="/orders")

    @app.errorhandler(HTTPException)
    def refused(error):
        return flask.jsonify(error=error.code), error.code

    @app.get("/")
    def index():
        session["seen"] = session.get("seen", 0) + 1
        return render_template_string("seen {{ session.seen }} at {{ url_for('orders.show', number=7) }}")

    @app.get("/gone")
    def gone():
        raise NotFound()

    return app
''',
    "flaskshop/orders.py": """from flask import (
    Blueprint,
    make_response,  # for the field
    request,
)
from flask.views import MethodView
from werkzeug.utils import redirect, secure_filename

bp = Blueprint("orders", __name__)


@bp.route("/<int:number>")
def show(number):
    response = make_response(f"order {number}")
    response.headers["X-Order"] = str(number)
    return response


class Upload(MethodView):
    def post(self):
        return secure_filename(request.files["file"].filename) + request.form["note"]

    def get(self):
        return redirect("/orders/1")


bp.add_url_rule("/upload", view_func=Upload.as_view("upload"))
""",
}

QUART = {
    "quartshop.py": """from quart import Quart, Response, flash, get_flashed_messages, jsonify, make_response
from quart import render_template_string, request
import quart

app = Quart(__name__)
app.secret_key = "not secret"


@app.before_serving
async def start():
    app.extensions["started"] = True


@app.before_request
async def before():
    quart.g.user = request.headers.get("X-User", "nobody")


@app.post("/form")
async def form():
    name = (await request.form)["name"]
    await flash(f"hello {name}")
    return await render_template_string("{{ get_flashed_messages()[0] }} from {{ g.user }}")


@app.post("/json")
async def json():
    data = await request.get_json()
    response = await make_response(jsonify(total=sum(data["numbers"])))
    response.headers["X-Size"] = str(len(await response.get_data()))
    return response


@app.post("/raw")
async def raw():
    return Response((await request.get_data(as_text=True)).upper())
""",
    "quarttest.py": """from quartshop import app


async def check():
    async with app.test_client() as client:
        response = await client.post("/json", json={"numbers": [1, 2, 3]})
        assert await response.get_json() == {"total": 6}
        assert (await response.get_data()) == b'{"total":6}\\n'
        return response.status_code
""",
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Write a project, migrate it, and import a module of it."""

    def make(files: dict[str, str], name: str) -> Any:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        result = CliRunner().invoke(migrate_command, ["--write", str(tmp_path)])
        assert result.exit_code == 0, result.output
        for path in files:
            words = (tmp_path / path).read_text().replace("duoflask", "").replace("flaskshop", "")
            assert not any(word in words for word in ("import flask", "from flask", "werkzeug", "from quart ", "Quart"))
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module(name)

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if name.startswith(("flaskshop", "quart")):
            del sys.modules[name]


def test_migrated_flask_app(load: Any, client: Any) -> None:
    tester = client(load(FLASK, "flaskshop").create_app())
    assert tester.get("/").text == "seen 1 at /orders/7"
    assert tester.get("/").text == "seen 2 at /orders/7"
    assert (tester.get("/gone").status_code, tester.get("/gone").json) == (404, {"error": 404})
    assert tester.get("/orders/3").headers["X-Order"] == "3"
    assert tester.get("/orders/upload").headers["Location"] == "/orders/1"
    data = {"file": (io.BytesIO(b"x"), "../a b.txt"), "note": "!"}
    assert tester.post("/orders/upload", data=data).text == "a_b.txt!"


def test_migrated_quart_app(load: Any, client: Any) -> None:
    tester = client(load(QUART, "quartshop").app)
    assert tester.post("/form", data={"name": "Ada"}, headers={"X-User": "me"}).text == "hello Ada from me"
    response = tester.post("/json", json={"numbers": [1, 2, 3]})
    assert (response.json, response.headers["X-Size"]) == ({"total": 6}, "12")
    assert tester.post("/raw", data="abc").text == "ABC"


def test_migrated_tests_of_a_quart_app(load: Any) -> None:
    module = load(QUART, "quarttest")
    assert anyio.run(module.check) == 200
    assert module.app.extensions["started"]
