"""`duoflask new`: the project that it makes passes its tests and is served by each server."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import duoflask
from duoflask.cli import cli
from duoflask.new import InvalidName, create_project

ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLASK_", "DUOFLASK_", "PYTEST_", "COV_"))
    },
    "PYTHONPATH": str(Path(duoflask.__file__).parents[1]),
    "PYTHONDONTWRITEBYTECODE": "1",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("new") / "corner-shop"
    create_project(path)
    return path


def test_files_are_those_of_a_small_project(shop: Path) -> None:
    found = {str(path.relative_to(shop)) for path in shop.rglob("*") if path.is_file()}
    assert found == {
        ".dockerignore",
        ".gitignore",
        "Dockerfile",
        "Makefile",
        "README.md",
        "app.py",
        "corner_shop/__init__.py",
        "corner_shop/pages.py",
        "corner_shop/static/style.css",
        "corner_shop/templates/base.html",
        "corner_shop/templates/pages/index.html",
        "corner_shop/templates/pages/not_found.html",
        "corner_shop/templates/pages/time.html",
        "pyproject.toml",
        "tests/conftest.py",
        "tests/test_pages.py",
    }
    text = "".join([(shop / name).read_text() for name in found])
    for left in ("{{package}}", "{{project}}", "{{title}}", "{{prefix}}"):
        assert left not in text
    assert "CORNER_SHOP_SECRET_KEY" in text and "Corner shop" in text and "\t" in (shop / "Makefile").read_text()


def run(shop: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=shop, env=ENVIRONMENT, capture_output=True, text=True, timeout=50, check=False
    )


def test_its_tests_pass_under_both_protocols(shop: Path) -> None:
    done = run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore")
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


def test_its_code_is_as_its_tools_want_it(shop: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed here")
    for command in (
        ("check", "--no-cache", "--select", "E,F,W,I,UP,B,RET", "--line-length", "120"),
        ("format", "--no-cache", "--check", "--line-length", "120"),
    ):
        done = subprocess.run(
            [ruff, *command, "--isolated", "."], cwd=shop, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_doctor_finds_no_error(shop: Path) -> None:
    done = run(shop, "-P", "-c", "from duoflask.cli import main; main()", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout


def test_sessions_survive_the_reloader_and_cannot_be_forged_in_production(shop: Path) -> None:
    show = "from app import app; print(app.config['SECRET_KEY'])"
    variables = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{shop}"}

    def key(**more: str) -> str:
        command = [sys.executable, "-c", show]
        return subprocess.run(
            command, cwd=shop, env={**variables, **more}, capture_output=True, text=True, check=True
        ).stdout

    assert key(DUOFLASK_DEBUG="1") == key(DUOFLASK_DEBUG="1")
    assert key() != key()
    assert key(CORNER_SHOP_SECRET_KEY="0123") == "0123\n"
    assert key(CORNER_SHOP_SECRET_KEY="4567") == "4567\n"


def test_settings_of_the_environment_have_their_types(shop: Path) -> None:
    show = (
        "from app import app; c = app.config; print(c['MAX_CONTENT_LENGTH'], c['SESSION_COOKIE_SECURE'], "
        "c['TRUSTED_HOSTS']); print(app.test_client().post('/name', data={'name': 'Ada' * 500}).status_code)"
    )
    variables = {
        "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{shop}",
        "CORNER_SHOP_MAX_CONTENT_LENGTH": "1000",
        "CORNER_SHOP_SESSION_COOKIE_SECURE": "false",
        "CORNER_SHOP_TRUSTED_HOSTS": '["localhost"]',
    }
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=shop, env={**ENVIRONMENT, **variables}, capture_output=True, text=True
    )
    assert done.stdout == "1000 False ['localhost']\n413\n", done.stderr


SERVERS = {
    "gunicorn": ("-m", "gunicorn", "--preload", "--workers", "1", "-b", "127.0.0.1:{port}", "app:app"),
    "uvicorn": ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "app:app"),
    "granian": ("-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "app:app"),
    "duoflask": ("-P", "-c", "from duoflask.cli import main; main()", "run", "--port", "{port}"),
    "python": ("-c", "from app import app; app.run(port={port})"),
}


@pytest.fixture(params=sorted(SERVERS))
def port(request: pytest.FixtureRequest, shop: Path, tmp_path: Path) -> Iterator[int]:
    """A server of the project."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    command = [part.replace("{port}", str(number)) for part in SERVERS[request.param]]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=shop, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 40
        while True:
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
        yield number
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn")
def test_servers_serve_it(port: int) -> None:
    for path, text in (
        ("/", "<h1>Hello!</h1>"),
        ("/time", "UTC</h1>"),
        ("/static/style.css", "color-scheme"),
        ("/health", "ok"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        assert (response.status, text in body) == (200, True), body


@pytest.mark.parametrize(
    "name",
    ["json", "class", "test", "app", "duoflask", "9lives", "späti", "a/b c!", "", "-x", "Flask", "pytest", "jinja2"],
)
def test_name_that_cannot_be_imported_is_refused(tmp_path: Path, name: str) -> None:
    if not name:
        with pytest.raises(InvalidName, match="invalid project name"):
            create_project(Path("/"))
        return
    with pytest.raises(InvalidName, match="invalid project name"):
        create_project(tmp_path / name)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("name", "package"), [("shop", "shop"), ("My-Shop", "my_shop"), ("my.shop 2", "my_shop_2")])
def test_name_becomes_a_package(tmp_path: Path, name: str, package: str) -> None:
    create_project(tmp_path / name)
    assert (tmp_path / name / package / "__init__.py").exists()


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    create_project(tmp_path / "shop")  # an empty one is taken
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="not empty"):
        create_project(tmp_path / "shop")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        create_project(tmp_path / "file")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "file", *before]


def test_command_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["new", "shop"])
    assert result.exit_code == 0
    assert result.output.endswith("Now:\n  cd shop\n  duoflask run --debug\n\nIts tests: python -m pytest\n")
    spaced = CliRunner().invoke(cli, ["new", "my shop"])
    assert "\n  cd 'my shop'\n" in spaced.output
    again = CliRunner().invoke(cli, ["new", "shop"])
    assert again.exit_code == 1 and "not empty" in again.output
    wrong = CliRunner().invoke(cli, ["new", "json"])
    assert wrong.exit_code == 1 and "json_site" in wrong.output
