from __future__ import annotations

import copy
import json
import os
import pickle
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask.config import Config as FlaskConfig
from hypothesis import HealthCheck, given, settings, strategies as st

from duoflask.config import Config, ConfigAttribute

KEYS = st.text("ABab_1", min_size=1, max_size=6)


def both(root: str | Path = "/") -> tuple[Config, Any]:
    return Config(root, {"DEBUG": None}), FlaskConfig(root, {"DEBUG": None})


@given(st.dictionaries(KEYS, st.integers()), st.dictionaries(KEYS, st.integers()))
def test_from_mapping_takes_what_flask_takes(mapping: dict[str, int], kwargs: dict[str, int]) -> None:
    ours, theirs = both()
    assert ours.from_mapping(mapping, **kwargs) is theirs.from_mapping(mapping, **kwargs) is True
    assert dict(ours) == dict(theirs)


def test_from_mapping_takes_pairs_and_nothing() -> None:
    ours, theirs = both()
    for config in (ours, theirs):
        config.from_mapping([("A", 1), ("b", 2)])
        config.from_mapping()
    assert dict(ours) == dict(theirs) == {"DEBUG": None, "A": 1}


@given(st.dictionaries(KEYS, st.integers()), st.text("ABab_", max_size=3), st.booleans(), st.booleans())
def test_get_namespace_is_flasks(content: dict[str, int], start: str, lower: bool, trim: bool) -> None:
    ours, theirs = Config("/", content), FlaskConfig("/", content)
    assert ours.get_namespace(start, lower, trim) == theirs.get_namespace(start, lower, trim)


ENV_VALUES = st.sampled_from(["1", "true", "x", '{"a": {"b": 1}}', "[1, 2]", "", "null", "1.5", "{"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["A", "b", "N__a", "N__b__C", "M__x", "A_B"]), ENV_VALUES))
def test_from_prefixed_env_is_flasks(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    ours, theirs = both()
    with monkeypatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("FLASK_"):
                patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(f"FLASK_{name}", value)
        results = []
        for config in (ours, theirs):
            try:
                results.append(config.from_prefixed_env())
            except Exception as exc:
                results.append(type(exc))
    assert results[0] == results[1]
    assert dict(ours) == dict(theirs)


def test_from_prefixed_env_takes_prefix_and_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_A", "1")
    monkeypatch.setenv("MINE_B", "nonsense")
    config = Config("/")
    config.from_prefixed_env("MINE", loads=int)
    assert config == {"A": 1, "B": "nonsense"}


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("name", ["missing.cfg", ".", "ok.cfg", "ok.cfg/below"])
@pytest.mark.parametrize("loader", ["pyfile", "file", "toml"])
def test_files_load_and_fail_as_in_flask(tmp_path: Path, loader: str, name: str, silent: bool) -> None:
    texts = {"pyfile": "A = 1\nb = 2\nF = __file__\n", "file": '{"A": 1, "b": 2}', "toml": 'A = 1\nb = "x"\n'}
    (tmp_path / "ok.cfg").write_text(texts[loader])

    def load(config: Any) -> Any:
        try:
            if loader == "pyfile":
                return config.from_pyfile(name, silent=silent)
            if loader == "file":
                return config.from_file(name, json.load, silent=silent)
            return config.from_file(name, tomllib.load, silent=silent, text=False)
        except OSError as exc:
            return type(exc), exc.errno, exc.filename, exc.strerror

    ours, theirs = both(tmp_path)
    assert load(ours) == load(theirs)
    assert dict(ours) == dict(theirs)


def test_from_envvar_loads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.cfg").write_text("A = 1")
    monkeypatch.setenv("SETTINGS", str(tmp_path / "x.cfg"))
    config = Config("/")
    assert config.from_envvar("SETTINGS") is True
    assert config["A"] == 1


def test_from_envvar_names_the_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SETTINGS", raising=False)
    config = Config("/")
    assert config.from_envvar("SETTINGS", silent=True) is False
    with pytest.raises(RuntimeError, match="'SETTINGS' is not set"):
        config.from_envvar("SETTINGS")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "confpkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("ROOT = 1\n")
    (folder / "mod.py").write_text("class Dev:\n    A = 1\n    b = 2\nB = 3\n")
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "confpkg"  # type: ignore[misc]
    for name in [name for name in sys.modules if name.startswith("confpkg")]:
        del sys.modules[name]


@pytest.mark.parametrize("tail", ["", ".mod", ".mod.Dev", ".mod:Dev"])
def test_from_object_imports_names(package: str, tail: str) -> None:
    ours, theirs = both()
    ours.from_object(package + tail)
    theirs.from_object(package + tail)
    assert dict(ours) == dict(theirs)
    assert len(ours) > 1


@pytest.mark.parametrize("name", ["nope", "nope.nope", "confpkg.nope", "confpkg.mod.nope", "confpkg.broken"])
def test_from_object_refuses_unknown_names(package: str, name: str) -> None:
    with pytest.raises(ImportError):
        Config("/").from_object(name)


def test_a_modules_own_import_error_is_not_hidden(package: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        Config("/").from_object("confpkg.broken")


def test_from_object_takes_an_instance_with_properties() -> None:
    class Settings:
        A = 1

        @property
        def B(self) -> int:
            return 2

    config = Config("/")
    config.from_object(Settings())
    assert config == {"A": 1, "B": 2}


def test_config_attribute_reads_converts_and_writes() -> None:
    class App:
        config = Config("/", {"A": "5", "B": 1})
        a = ConfigAttribute[int]("A", get_converter=int)
        b = ConfigAttribute[int]("B")

    app = App()
    assert (app.a, app.b) == (5, 1)
    app.a = "7"  # type: ignore[assignment]
    assert app.config["A"] == "7"
    assert isinstance(App.b, ConfigAttribute)


@pytest.mark.parametrize(
    "change",
    [
        "c['X'] = 1",
        "del c['A']",
        "c.update(X=1)",
        "c.update({'X': 1})",
        "c |= {'X': 1}",
        "c.pop('A')",
        "c.pop('Z', None)",
        "c.popitem()",
        "c.setdefault('X', 1)",
        "c.clear()",
        "c.from_mapping(X=1)",
    ],
)
def test_every_change_is_told(change: str) -> None:
    told: list[int] = []
    config, plain = Config("/", {"A": 1}), FlaskConfig("/", {"A": 1})
    config._on_change = lambda: told.append(1)
    for target in (config, plain):
        exec(textwrap.dedent(change), {"c": target})
    assert told
    assert dict(config) == dict(plain)


def test_a_nested_change_from_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    config = Config("/", {"N": {}})
    monkeypatch.setenv("T_N__a", "1")
    config._on_change = lambda: told.append(config["N"].copy())
    config.from_prefixed_env("T")
    assert told[-1] == {"a": 1}


def test_pop_without_default_raises_as_a_dict_does() -> None:
    with pytest.raises(KeyError):
        Config("/").pop("A")


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_tell_nobody(twin: Any) -> None:
    config = Config("/root", {"A": [1]})
    config._on_change = lambda: pytest.fail("told")
    other = twin(config)
    other["B"] = 1
    assert (other, other.root_path) == ({"A": [1], "B": 1}, "/root")


def test_repr_is_flasks() -> None:
    assert repr(Config("/", {"A": 1})) == repr(FlaskConfig("/", {"A": 1}))
