from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("name", sorted(names.QUART_ATTRIBUTES))
def test_what_is_said_to_be_missing_is_missing(name: str) -> None:
    assert not hasattr(DuoFlask, name)
    assert not hasattr(Blueprint, name)


def test_websocket_is_said_to_be_missing_and_is() -> None:
    assert "quart.websocket" in names._ADVICE
    assert not hasattr(duoflask, "websocket")


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
