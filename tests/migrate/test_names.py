from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest
import quart

import duoflask
from duoflask import Blueprint, DuoFlask
from duoflask.migrate import names
from duoflask.names_of_flask import MODULES


def test_migrate_does_not_patch() -> None:
    assert "duoflask.flask_patch" not in {place.module for place in _places()}


def _places() -> list[names.Place]:
    return [names.Place(*place) for table in names._TABLES.values() for place in table.values()]


def test_every_name_of_quart_and_every_moved_name_is_there() -> None:
    for module, table in names._TABLES.items():
        if module in MODULES:
            continue
        for name, (home, attribute) in table.items():
            assert hasattr(importlib.import_module(home), attribute), f"{module}.{name}"


def test_names_of_quart_are_quarts() -> None:
    for module, table in names._QUART.items():
        theirs = importlib.import_module(module)
        for name in names.places(table):
            if not hasattr(theirs, name):
                # Flask's table is taken as it is where the modules are the same but for a few names.
                assert table is MODULES.get(module.replace("quart", "flask")) or module == "quart", f"{module}.{name}"


OURS = (DuoFlask, Blueprint, duoflask.Request, duoflask.Response, duoflask.Websocket)
THEIRS = (quart.Quart("a"), quart.Blueprint("a", "a"), quart.Request, quart.Response, quart.Websocket)


@pytest.mark.parametrize("name", sorted(names.QUART_ATTRIBUTES))
def test_what_is_said_to_be_missing_is_quarts_and_missing(name: str) -> None:
    assert any(hasattr(theirs, name) for theirs in THEIRS)
    assert not any(hasattr(ours, name) for ours in OURS)


@pytest.mark.parametrize("number", range(len(OURS)))
def test_nothing_public_of_quarts_objects_is_missing_without_a_word(number: int) -> None:
    ours = (DuoFlask("a"), Blueprint("a", "a"), *OURS[2:])[number]
    missing = {name for name in dir(THEIRS[number]) if not name.startswith("_") and not hasattr(ours, name)}
    assert missing <= names.QUART_ATTRIBUTES.keys()


def test_names_of_quart_have_a_place_or_their_own_advice() -> None:
    for name in dir(quart):
        value = getattr(quart, name)
        if name.startswith("_") or name == "annotations" or isinstance(value, ModuleType):
            continue
        said = names.place_of("quart", name) or names.advice(f"quart.{name}")
        assert said != f"quart.{name}: duoflask has no such name", name


@pytest.mark.parametrize("name", sorted(names.QUART_KEYS))
def test_keys_that_are_said_not_to_be_read_are_quarts_alone(name: str) -> None:
    assert name in quart.Quart("a").config
    assert name not in DuoFlask("a").config


def test_arguments_of_run_are_quarts() -> None:
    assert names.QUART_RUN.keys() <= inspect.signature(quart.Quart.run).parameters.keys()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("flask_login", True),
        ("sentry_sdk.integrations.flask", True),
        ("webargs.flaskparser", True),
        ("apiflask", True),
        ("pytest_flask", True),
        ("flask", False),
        ("flask.views", False),
        ("flaskr", False),
        ("duoflask.flask_patch", False),
        ("quart_flask_patch", False),
        ("os", False),
    ],
)
def test_extension(module: str, expected: bool) -> None:
    assert names.extension(module) is expected


def test_advice_about_quart_is_that_about_flask() -> None:
    assert "DefaultJSONProvider" in names.advice("quart.json.JSONEncoder")


def test_importing_migrate_imports_neither_flask_nor_the_patch() -> None:
    code = "import duoflask.migrate, sys; sys.exit(any(n in sys.modules for n in ('flask', 'duoflask.flask_patch')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
