"""What is found in an application, and what is not."""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from time import sleep as nap
from typing import Any
from unittest.mock import MagicMock

import httpx
import jinja2
import pytest
from click.testing import CliRunner

import duoflask
from duoflask import Flask, flash, request, session
from duoflask.cli import FlaskGroup
from duoflask.doctor import Case, examine
from duoflask.middleware import ProxyFix

from ..pages import Page

KEY = "0f3b6c1d9a7e45c2b8d10e6f"


def codes(app: Flask, **options: Any) -> set[str]:
    return {finding.code for finding in examine(Case(app, **options))}


def severity(app: Flask, code: str, **options: Any) -> str:
    (found,) = [finding for finding in examine(Case(app, **options)) if finding.code == code]
    assert found.message and found.advice
    return found.severity


def sound() -> Flask:
    app = Flask("sound", root_path="/nowhere", template_folder=None, static_folder=None)
    app.config.update(
        SECRET_KEY=KEY,
        TRUSTED_HOSTS=["example.org"],
        MAX_CONTENT_LENGTH=1_000,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PREFERRED_URL_SCHEME="https",
    )
    return app


def view_with_session() -> str:
    return str(session.get("x"))


def view_with_module() -> str:
    return str(duoflask.session.get("x"))


def view_with_flash() -> str:
    flash("x")
    return ""


def view_with_inner_function() -> str:
    def inner() -> Any:
        return session["x"]

    return str(inner())


def view_with_form() -> str:
    return request.form["x"]


def plain_view() -> str:
    return "session request form"


def sleeping() -> str:
    time.sleep(1)
    return ""


async def async_sleeping() -> str:
    time.sleep(1)
    return ""


class Client:
    session = "of a database"

    def get(self, url: str) -> str:
        return url


db = Client()


async def async_waiting() -> str:
    before = time.perf_counter()
    await asyncio.sleep(0)
    return str(time.perf_counter() - before)


async def async_fetching() -> str:
    if httpx.codes.OK:
        return Client().get("/")
    return ""


async def in_a_thread() -> str:
    await asyncio.to_thread(time.sleep, 1)
    await asyncio.to_thread(lambda: time.sleep(1))
    return ""


async def opening() -> str:
    return str(urllib.request.urlopen("https://example.org"))


async def under_another_name() -> str:
    nap(1)
    return ""


def view_with_database() -> str:
    return str(duoflask.__name__ + db.session)


def view_with_query() -> str:
    return request.args["x"] + str(json.loads("1")) + str(db.session)


def only(app: Flask, view: Any, **options: Any) -> Flask:
    """Register a view; the other functions of this module do not count."""
    app.add_url_rule("/", "index", view, **options)
    return app


@pytest.fixture(autouse=True)
def views_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the registered views only: all of this module's functions stand in one module."""
    monkeypatch.setattr("duoflask.doctor.code._members", lambda place: iter(()))


def test_sound_application_has_nothing() -> None:
    assert examine(Case(only(sound(), view_with_session))) == []


@pytest.mark.parametrize("view", [view_with_session, view_with_module, view_with_flash, view_with_inner_function])
def test_session_without_a_key_is_an_error(view: Any) -> None:
    app = only(sound(), view)
    app.secret_key = None
    for production in (True, False):
        assert severity(app, "no-secret-key", production=production) == "error"
    app.config["SESSION_STORE"] = "sqlite"
    assert "no-secret-key" not in codes(app)


@pytest.mark.parametrize("view", [plain_view, view_with_form])
def test_no_session_needs_no_key(view: Any) -> None:
    app = only(sound(), view)
    app.secret_key = None
    assert "no-secret-key" not in codes(app)


@pytest.mark.parametrize(
    "key",
    [
        *["dev", "secret", b"change me", "a" * 32, "short-but-odd", "development-key-1234", "only for development"],
        *["at least 16 random bytes", "password123456789", "0123456789abcdef", "0123456789abcdef" * 2],
        *["my-super-SECRET-KEY-1", "your-key-goes-here-now", b"abcdefghijklmnopqrstuvwxyz", "change-me-in-production"],
    ],
)
def test_key_that_can_be_guessed_is_an_error(key: Any) -> None:
    app = sound()
    app.secret_key = key
    assert severity(app, "weak-secret-key") == "error"
    assert "weak-secret-key" not in codes(app, production=False)


def test_random_keys_pass() -> None:
    app = sound()
    for _ in range(300):
        for key in (
            secrets.token_hex(16),
            f"shop-secret-key-{secrets.token_hex(16)}",
            secrets.token_urlsafe(24),
            secrets.token_bytes(16),
        ):
            app.secret_key = key
            told = codes(app)
            # By chance begins like one that is known.
            assert "weak-secret-key" not in told or str(key).lower().startswith(("dev", "your")), key


def test_weak_key_beside_sessions_on_the_server_is_a_warning() -> None:
    app = sound()
    app.config["SESSION_STORE"] = "sqlite"
    app.secret_key = "dev"
    (found,) = [finding for finding in examine(Case(app)) if finding.code == "weak-secret-key"]
    assert found.severity == "warning"
    assert "signs sessions of any user" not in found.message and "SESSION_STORE" in found.message


def test_middleware_around_wsgi_alone_is_a_warning() -> None:
    app: Any = sound()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    for production in (True, False):
        assert severity(app, "wsgi-only", production=production) == "warning"
    (found,) = [finding for finding in examine(Case(app)) if finding.code == "wsgi-only"]
    assert "ProxyFix.install(app, ...)" in found.advice
    app.asgi_app = ProxyFix(app.asgi_app, x_for=1)
    assert "wsgi-only" not in codes(app)


def test_function_or_method_in_the_place_of_wsgi_app_is_a_warning() -> None:
    app: Any = sound()
    inner = app.wsgi_app

    def around(environ: Any, start_response: Any) -> Any:
        return inner(environ, start_response)

    app.wsgi_app = around
    (found,) = [finding for finding in examine(Case(app)) if finding.code == "wsgi-only"]
    assert "around" in found.message and "app.asgi_app" in found.advice

    class Own(Flask):
        def wsgi_app(self, environ: Any, start_response: Any) -> Any:
            return super().wsgi_app(environ, start_response)

    assert severity(Own("own", template_folder=None, static_folder=None), "wsgi-only") == "warning"


def test_middleware_installed_under_both_protocols_passes() -> None:
    app = sound()
    ProxyFix.install(app, x_for=1)
    assert codes(app) == set()


def test_debug_mode_that_others_can_reach_is_an_error() -> None:
    app = sound()
    app.debug = True
    for host in ("0.0.0.0", "::", "192.168.1.5", ""):
        for production in (True, False):
            assert severity(app, "debug-open", host=host, production=production) == "error"
    for host in ("127.0.0.1", "localhost", "::1", "shop.localhost", None):
        assert "debug-open" not in codes(app, host=host)
        assert severity(app, "debug", host=host) == "warning"
        assert codes(app, host=host, production=False) == set()


@pytest.mark.parametrize(
    ("settings", "code", "expected"),
    [
        ({"TESTING": True}, "testing", "warning"),
        ({"PROPAGATE_EXCEPTIONS": True}, "propagate_exceptions", "warning"),
        ({"TRUSTED_HOSTS": None}, "any-host", "warning"),
        ({"PREFERRED_URL_SCHEME": "http"}, "secure-without-https", "warning"),
        ({"SESSION_COOKIE_SECURE": False}, "session-over-http", "warning"),
        ({"SESSION_COOKIE_SECURE": False, "PREFERRED_URL_SCHEME": "http"}, "session-over-http", "note"),
        ({"SESSION_COOKIE_SAMESITE": None}, "session-samesite", "note"),
        ({"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": False}, "samesite-none", "error"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "session-httponly", "warning"),
        ({"SESSION_STORE": "memory"}, "one-process", "note"),
    ],
)
def test_setting_is_found(settings: dict[str, Any], code: str, expected: str) -> None:
    app = only(sound(), view_with_session)
    app.config.update(settings)
    assert severity(app, code) == expected
    assert codes(app, production=False) == set()


def test_cookie_settings_matter_with_a_session_only() -> None:
    app = only(sound(), plain_view)
    app.config.update(SESSION_COOKIE_SECURE=False, SESSION_COOKIE_SAMESITE=None)
    assert codes(app) == set()


def test_bodies_without_a_limit_are_found() -> None:
    app = only(sound(), view_with_form)
    app.config["MAX_CONTENT_LENGTH"] = None
    (found,) = examine(Case(app))
    assert (found.severity, found.code) == ("warning", "no-body-limit")
    assert "test_doctor.py:" in found.where and "view_with_form" in found.where


def test_state_in_memory_and_several_processes_is_an_error() -> None:
    app = sound()
    app.config["SESSION_STORE"] = "memory"
    assert severity(app, "one-process", workers=4) == "error"
    from duoflask.broadcast import Broadcast

    app = sound()
    Broadcast("memory", app)
    assert severity(app, "one-process", workers=2) == "error"


def test_functions_that_block_the_loop_are_found() -> None:
    for production in (True, False):
        assert severity(only(sound(), async_sleeping), "blocks-loop", production=production) == "warning"
        assert severity(only(sound(), sleeping, inline=True), "blocks-loop", production=production) == "warning"
        assert codes(only(sound(), sleeping), production=production) == set()


@pytest.mark.parametrize("view", [opening, under_another_name])
def test_blocking_calls_are_found_by_what_they_call(view: Any) -> None:
    assert severity(only(sound(), view), "blocks-loop") == "warning"


@pytest.mark.parametrize("view", [async_waiting, async_fetching, in_a_thread])
def test_what_only_looks_like_a_blocking_call_is_none(view: Any) -> None:
    assert codes(only(sound(), view)) == set()


def test_attributes_of_others_are_no_session_and_no_body() -> None:
    app = sound()
    app.config.update(SECRET_KEY=None, MAX_CONTENT_LENGTH=None)
    app.add_url_rule("/database", "database", view_with_database)
    assert codes(only(app, view_with_query)) == set()


def test_objects_of_any_shape_do_not_end_the_examination() -> None:
    class NeedsRequest:
        @property
        def backend(self) -> Any:
            raise RuntimeError

    def wraps_itself() -> str:
        return ""

    wraps_itself.__wrapped__ = wraps_itself  # type: ignore[attr-defined]
    app = sound()
    app.extensions.update(odd=NeedsRequest(), mock=MagicMock())
    app.add_url_rule("/mock", "mock", MagicMock(return_value=""))
    app.add_url_rule("/partial", "partial", functools.partial(str, "x"))
    assert codes(only(app, wraps_itself)) == set()


def test_functions_that_cannot_be_read_leave_the_other_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.doctor.checks.app_functions", lambda app: 1 / 0)
    app = sound()
    app.debug = True
    assert {"debug-open", "unchecked"} <= codes(app, host="0.0.0.0", production=False) | codes(app, host="0.0.0.0")


def test_loader_that_knows_no_names_is_left_alone() -> None:
    app = sound()
    app.jinja_env.loader = jinja2.FunctionLoader(lambda name: None)
    assert codes(app) == set()


def test_rule_without_a_view_is_an_error() -> None:
    app = sound()
    app.add_url_rule("/lost", endpoint="lost")
    assert severity(app, "no-view") == "error"


def test_template_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    app = sound()
    app.root_path, app.template_folder = str(tmp_path), "templates"
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "good.html").write_text("{{ x }}")
    (tmp_path / "templates" / "bad.html").write_text("<p>\n{% if %}")
    (tmp_path / "templates" / "bytes.html").write_bytes(b"\xff")
    (tmp_path / "templates" / "image.png").write_bytes(b"\xff")
    found = [finding for finding in examine(Case(app)) if finding.code == "template"]
    assert [(finding.severity, finding.where) for finding in found] == [
        ("error", "bad.html:2"),
        ("error", "bytes.html"),
    ]


def test_check_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    app = sound()
    app.view_functions["odd"] = object()  # type: ignore[assignment]
    app.extensions["odd"] = object()
    del app.config["SESSION_COOKIE_SECURE"]
    assert all(finding.code == "unchecked" for finding in examine(Case(app)))


def invoke(app: Flask, *args: str, **env: str) -> Any:
    return CliRunner().invoke(FlaskGroup(create_app=lambda: app), ["doctor", *args], env=env)


def test_command_fails_on_errors_only() -> None:
    app = sound()
    assert (invoke(app).exit_code, invoke(app).output) == (0, "0 errors, 0 warnings, 0 notes\n")
    app.config["TRUSTED_HOSTS"] = None
    result = invoke(app)
    assert result.exit_code == 0 and result.output.startswith("warning: TRUSTED_HOSTS is not set")
    assert invoke(app, "--strict").exit_code == 1
    assert invoke(app, "--strict", "--ignore", "any-host").exit_code == 0
    app.secret_key = "dev"
    result = invoke(app)
    assert result.exit_code == 1
    assert (
        result.output.startswith("error: SECRET_KEY can be guessed") and "1 error, 1 warning, 0 notes" in result.output
    )


def test_command_prints_json() -> None:
    app = sound()
    app.secret_key = "dev"
    result = invoke(app, "--json")
    told = json.loads(result.output)
    assert result.exit_code == 1 and told["ok"] is False
    assert told["findings"][0].keys() == {"severity", "code", "message", "advice", "where"}
    assert "dev" not in told["findings"][0]["message"].split()


def test_number_of_processes_comes_from_the_environment() -> None:
    app = sound()
    app.config["SESSION_STORE"] = "memory"
    assert invoke(app).exit_code == 0
    assert invoke(app, "--workers", "2").exit_code == 1
    assert invoke(app, WEB_CONCURRENCY="3").exit_code == 1
    assert invoke(app, WEB_CONCURRENCY="many").exit_code == 0


def test_sample_of_first_steps_is_what_is_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = Page("first-steps").indented
    (program,) = [block for block in blocks if block.startswith("# slow.py")]
    (sample,) = [block for block in blocks if block.startswith("$ duoflask --app slow doctor")]
    (tmp_path / "slow.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    for name in ("DUOFLASK_DEBUG", "FLASK_DEBUG", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "duoflask", "--app", "slow", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (1, sample.partition("\n")[2].strip())
