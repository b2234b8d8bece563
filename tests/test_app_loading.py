from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from duoflask import current_app, g, request, session
from duoflask.app_loading import (
    NoAppException,
    ScriptInfo,
    find_app_by_string,
    find_best_app,
    locate_app,
    prepare_import,
)


class App:
    """What the command line takes for an application."""

    wsgi_app = asgi_app = None
    debug = False

    def __init__(self, name: str = "app") -> None:
        self.name = name


SOURCE = """
class App:
    wsgi_app = asgi_app = None
    debug = False
    def __init__(self, name="app"): self.name = name
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("DUOFLASK_", "FLASK_")):
            monkeypatch.delenv(name)
    for name in ("DUOFLASK_DEBUG", "FLASK_DEBUG", "FLASK_RUN_FROM_CLI", "FROM_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("app", "wsgi"):  # somebody else's test may have left one
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def module(**names: Any) -> ModuleType:
    made = ModuleType("hello")
    vars(made).update(names)
    return made


@pytest.mark.parametrize("name", ["app", "application"])
def test_usual_names_are_found(name: str) -> None:
    app = App()
    assert find_best_app(module(**{name: app, "other": App()})) is app


def test_only_instance_is_found_under_any_name() -> None:
    app = App()
    assert find_best_app(module(mine=app, alias=app, App=App)) is app


@pytest.mark.parametrize("name", ["create_app", "make_app"])
def test_factory_is_called(name: str) -> None:
    assert find_best_app(module(**{name: lambda: App("made")})).name == "made"


def test_several_instances_are_an_error_that_says_what_to_write() -> None:
    with pytest.raises(NoAppException, match="Found 2 applications.*--app hello:name"):
        find_best_app(module(a=App(), b=App()))


def test_module_without_application_is_an_error_that_says_what_was_looked_for() -> None:
    with pytest.raises(NoAppException, match="'app' and 'application'.*'create_app' and 'make_app'.*--app hello:name"):
        find_best_app(module(app=1))


def test_factory_that_needs_arguments_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(NoAppException, match=r"'--app \"hello:create_app\(\.\.\.\)\"'"):
        find_best_app(module(create_app=lambda x: App()))


def test_type_error_inside_a_factory_passes() -> None:
    def create_app() -> App:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        find_best_app(module(create_app=create_app))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mine", "app"),
        ("create", "made"),
        ("create()", "made"),
        ("create('x')", "x"),
        (" create(name='y') ", "y"),
    ],
)
def test_name_or_call_stands_for_an_application(text: str, name: str) -> None:
    def create(name: str = "made") -> App:
        return App(name)

    assert find_app_by_string(module(mine=App(), create=create), text).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "no attribute 'nothing'"),
        ("a.b", "Cannot read"),
        ("a b", "Cannot read"),
        ("create(x)", "expected literals"),
        ("create(**{'x': 1})", "expected literals"),
        ("create({[]: 1})", "expected literals"),
        ("create(1, 2)", "cannot be called"),
        ("number", "expected an instance of DuoFlask; got int"),
    ],
)
def test_wrong_reference_is_an_error_that_names_it(text: str, message: str) -> None:
    with pytest.raises(NoAppException, match=message):
        find_app_by_string(module(create=lambda x: App(), number=1), text)


def test_path_becomes_a_dotted_name(tmp_path: Path) -> None:
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    for directory in (package, package.parent):
        (directory / "__init__.py").touch()
    (package / "web.py").touch()
    assert prepare_import("outer/inner/web.py") == "outer.inner.web"
    assert sys.path[0] == str(tmp_path)
    assert prepare_import("outer/inner/__init__.py") == "outer.inner"


def test_missing_module_is_an_error_or_none() -> None:
    with pytest.raises(NoAppException, match="Could not import 'missing_module'"):
        locate_app("missing_module", None)
    assert locate_app("missing_module", None, raise_if_not_found=False) is None


def test_import_error_inside_a_module_is_shown(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import not_there_at_all")
    with pytest.raises(NoAppException, match="While importing 'broken'(.|\n)*not_there_at_all"):
        ScriptInfo("broken").load_app()


@pytest.mark.parametrize("path", ["hello", "hello:app", "./hello.py", "hello.py:create('app')"])
def test_app_option_takes_modules_and_paths(path: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE + "app = App()\ndef create(name): return App(name)\n")
    info = ScriptInfo(path)
    assert info.load_app().name == "app"
    assert info.load_app() is info.load_app()


@pytest.mark.parametrize("file", ["wsgi.py", "app.py"])
def test_usual_files_are_found(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(SOURCE + "app = App('there')")
    assert ScriptInfo().load_app().name == "there"


def test_nothing_to_find_says_what_to_write() -> None:
    with pytest.raises(NoAppException, match="DUOFLASK_APP or FLASK_APP(.|\n)*wsgi.py nor app.py(.|\n)*--app hello"):
        ScriptInfo().load_app()


@pytest.mark.parametrize(("value", "debug"), [("1", True), ("0", False), ("false", False), (None, False)])
def test_debug_flag_is_set(value: str | None, debug: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("FLASK_DEBUG", value)
    assert ScriptInfo(create_app=App).load_app().debug is debug


def test_proxies_and_odd_objects_beside_the_app_are_passed_over() -> None:
    """`from duoflask import request` stands in most modules that have an app under a name of its own."""

    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    app = App()
    others = {"request": request, "session": session, "g": g, "current_app": current_app, "odd": Odd()}
    assert find_best_app(module(**others, site=app)) is app
    assert find_best_app(module(**others, create_app=lambda: app)) is app


@pytest.mark.parametrize(("home", "name"), [("flask", "Flask"), ("quart", "Quart")])
def test_application_of_another_framework_is_an_error_that_says_what_to_do(home: str, name: str) -> None:
    plain = type(name, (), {"__module__": f"{home}.app"})
    own = type("Own", (plain,), {})()

    def create_app() -> Any:
        return own

    kind = f"it is a {home}.{name}"
    for found in (module(app=plain()), module(app=own), module(site=own), module(create_app=create_app)):
        with pytest.raises(NoAppException, match=kind) as caught:
            find_best_app(found)
        assert "duoflask migrate ." in caught.value.message
        assert ("duoflask.flask_patch" in caught.value.message) is (home == "flask")
    for text in ("app", "create_app", "create_app()"):
        with pytest.raises(NoAppException, match=kind):
            find_app_by_string(module(app=own, create_app=create_app), text)


def test_application_is_found_beside_one_of_another_framework() -> None:
    app = App()
    plain = type("Flask", (), {"__module__": "flask.app"})()
    assert find_best_app(module(app=plain, site=app)) is app
