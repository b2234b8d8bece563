"""What is printed when the built-in server starts."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from duoflask import Flask, banner
from duoflask.banner import found_path, production_commands, show_server_banner


@pytest.mark.parametrize(
    ("import_path", "commands"),
    [
        ("hello", ["gunicorn hello:app", "uvicorn hello:app", "granian --interface asgi hello:app"]),
        ("hello:site", ["gunicorn hello:site", "uvicorn hello:site", "granian --interface asgi hello:site"]),
        ("src/hello.py", ["gunicorn hello:app", "uvicorn hello:app", "granian --interface asgi hello:app"]),
        (
            "pkg:create_app()",
            [
                "gunicorn 'pkg:create_app()'",
                "uvicorn --factory pkg:create_app",
                "granian --interface asgi --factory pkg:create_app",
            ],
        ),
        ("pkg:create_app('x')", ["gunicorn 'pkg:create_app('\"'\"'x'\"'\"')'"]),
    ],
)
def test_commands_for_production(import_path: str, commands: list[str]) -> None:
    assert production_commands(import_path) == commands


def test_application_is_found_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app, other = Flask("hello"), Flask("other")
    hello = types.ModuleType("hello")
    hello.__file__ = str(tmp_path / "hello.py")
    monkeypatch.setitem(sys.modules, "hello", hello)
    assert found_path(app, "hello:shop") == "hello:shop"
    assert found_path(app, "hello") == "hello"
    hello.create_app = lambda: app  # type: ignore[attr-defined]
    assert found_path(app, "hello") == "hello:create_app()"
    hello.app, hello.site = other, app  # type: ignore[attr-defined]
    assert found_path(app, "hello") == found_path(app, str(tmp_path / "hello.py")) == "hello:site"
    monkeypatch.setitem(sys.modules, "app", hello)
    assert found_path(app, None) == "hello:site"
    monkeypatch.delitem(sys.modules, "app")
    assert found_path(app, None) is None


def test_program_that_was_started_comes_before_the_module_that_made_the_app(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = Flask("app")
    for name, file in (("app", "app.py"), ("__main__", "hello.py")):
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / file)
        module.app = app  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    assert found_path(app, None) == "hello:app"
    del sys.modules["__main__"].app
    assert found_path(app, None) == "app:app"


def test_banner_is_printed_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    show_server_banner(True, "hello")
    assert capsys.readouterr().out == " * Serving the app 'hello'\n * Debug mode: on\n"
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    show_server_banner(True, "hello")
    assert capsys.readouterr().out == ""


def test_app_run_prints_the_banner_and_hands_debug_mode_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []
    monkeypatch.setattr("duoflask.serving.run_simple", lambda *args, **options: calls.append((args, options)))
    monkeypatch.delenv("FLASK_RUN_FROM_CLI", raising=False)
    app = Flask("hello")
    app.run()
    app.run(debug=True, port=0, use_reloader=False)
    assert calls == [
        (("127.0.0.1", 5000, app), {"use_reloader": False, "use_debugger": False}),
        (("127.0.0.1", 0, app), {"use_reloader": False, "use_debugger": True}),
    ]
    assert "Serving the app 'hello'" in capsys.readouterr().out
    assert banner.show_start("hello", is_development=True) is None
    assert "gunicorn hello:app" in capsys.readouterr().out
