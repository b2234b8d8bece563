"""Modules made of names: what stands for `flask`, `werkzeug` and their submodules in `sys.modules`.

Owns the import hook. Knows no name: `names` holds the tables.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from .names import MODULES, VERSIONS, places

__all__ = ["install"]


class _Names(ModuleType):
    """A module whose names are looked up where duoflask has them, each at its first use."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"What duoflask has of {name}.")
        self._originals: dict[str, Any] = {}
        self.__path__: list[str] = []  # a package without a folder: nothing of an installed one is found below it
        self.__dict__["_places"] = found = places(MODULES[name])
        self.__all__ = [public for public in found if public[0] != "_"]

    def __getattr__(self, name: str) -> Any:
        place = self._places.get(name)
        if place is None:
            full = f"{self.__name__}.{name}"
            if full in MODULES:
                return importlib.import_module(full)
            raise AttributeError(f"module {self.__name__!r} (duoflask.flask_patch) has no attribute {name!r}")
        module, attribute = place
        value: Any = importlib.import_module(module)
        if attribute:
            value = getattr(value, attribute)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a name; one of duoflask's is set there as well: who replaces it for a test changes what runs."""
        place = self.__dict__.get("_places", {}).get(name)
        if place is not None and place[1]:
            module = importlib.import_module(place[0])
            self._originals.setdefault(name, getattr(module, place[1], None))
            setattr(module, place[1], value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._originals:
            module, attribute = self._places[name]
            setattr(importlib.import_module(module), attribute, self._originals.pop(name))
        super().__delattr__(name)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self._places})


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of `names`, and nothing else below `flask` and `werkzeug`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MODULES:
            return ModuleSpec(fullname, self, is_package=True)
        if fullname.partition(".")[0] in VERSIONS:
            raise ModuleNotFoundError(f"duoflask.flask_patch has no module {fullname!r}", name=fullname)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Names(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """The names come at their first use."""


class _Distribution(Distribution):
    """What `importlib.metadata` says of a package that duoflask stands for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {VERSIONS[self._name.lower()]}\n"

    def locate_file(self, path: Any) -> Any:
        return Path(path)


_ANY_DISTRIBUTION: Final = DistributionFinder.Context()


class _Distributions(DistributionFinder):
    """Answers extensions that ask for the version of Flask or Werkzeug where none is installed, or another one."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context = _ANY_DISTRIBUTION) -> Iterator[Distribution]:
        if context.name is not None and context.name.lower() in VERSIONS:
            yield _Distribution(context.name)


_FINDER: Final = _Finder()


def install() -> None:
    """Put the modules in place; the second time does nothing.

    Raises:
        ImportError: Flask or Werkzeug has been imported before: some objects would be theirs and some ours.
    """
    if _FINDER in sys.meta_path:
        return
    for top in VERSIONS:
        if top in sys.modules:
            raise ImportError(
                f"duoflask.flask_patch was imported after {top!r}, whose classes are in use by now; write "
                "'import duoflask.flask_patch' above every other import of the program (in tests: in the first line of "
                "conftest.py, or as 'pytest -p duoflask.flask_patch')"
            )
    sys.meta_path.insert(0, _FINDER)
    if any(_installed(top) != version for top, version in VERSIONS.items()):
        sys.meta_path.insert(0, _Distributions())
    for top in VERSIONS:
        importlib.import_module(top)


def _installed(name: str) -> str | None:
    """The version of a package that is installed."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None
