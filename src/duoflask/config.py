"""The configuration: a dictionary that can be filled from files, objects and the environment.

Owns the loaders and the descriptor that shows a key as an attribute. Knows neither the app nor any key: the
app hands in its defaults, and a callback that is told of every change.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import types
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, Generic, Protocol, TypeVar, overload

__all__ = ["Config", "ConfigAttribute", "get_debug_flag", "get_load_dotenv"]

_T = TypeVar("_T")
_NO_DEFAULT: Any = object()


def get_debug_flag() -> bool:
    """Whether DUOFLASK_DEBUG, or else FLASK_DEBUG, asks for debug mode."""
    value = os.environ.get("DUOFLASK_DEBUG", os.environ.get("FLASK_DEBUG", ""))
    return bool(value) and value.lower() not in {"0", "false", "no"}


def get_load_dotenv(default: bool = True) -> bool:
    """Whether .env files are to be read: not if DUOFLASK_SKIP_DOTENV, or else FLASK_SKIP_DOTENV, says so.

    Args:
        default: What it is if neither is set.
    """
    value = os.environ.get("DUOFLASK_SKIP_DOTENV", os.environ.get("FLASK_SKIP_DOTENV", ""))
    return value.lower() in {"0", "false", "no"} if value else default


class _HasConfig(Protocol):
    @property
    def config(self) -> Any: ...


class ConfigAttribute(Generic[_T]):
    """Show a key of `obj.config` as an attribute of `obj`.

    Args:
        name: The key.
        get_converter: Called with the stored value; what it returns is what the attribute reads as.
    """

    def __init__(self, name: str, get_converter: Callable[[Any], _T] | None = None) -> None:
        self.__name__ = name
        self.get_converter = get_converter

    @overload
    def __get__(self, obj: None, owner: type | None) -> ConfigAttribute[_T]: ...

    @overload
    def __get__(self, obj: _HasConfig, owner: type | None) -> _T: ...

    def __get__(self, obj: _HasConfig | None, owner: type | None = None) -> _T | ConfigAttribute[_T]:
        if obj is None:
            return self
        value: _T = obj.config[self.__name__]
        return value if self.get_converter is None else self.get_converter(value)

    def __set__(self, obj: _HasConfig, value: Any) -> None:
        obj.config[self.__name__] = value


class Config(dict[str, Any]):
    """A dictionary with loaders; the loaders take upper-case keys only.

    Args:
        root_path: The directory that relative file names are relative to.
        defaults: The first content.
    """

    # Called after every change. A class attribute, because unpickling fills the dictionary first.
    _on_change: Callable[[], None] | None = None

    _LOADERS_SKIP: ClassVar[tuple[int, ...]] = (errno.ENOENT, errno.EISDIR)

    def __init__(self, root_path: str | os.PathLike[str], defaults: Mapping[str, Any] | None = None) -> None:
        super().__init__(defaults or {})
        self.root_path = root_path

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed()

    def __ior__(self, other: Any) -> Config:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all keys."""
        super().clear()
        self._changed()

    def pop(self, key: str, default: Any = _NO_DEFAULT) -> Any:
        """Remove a key and return its value, or the default."""
        value = super().pop(key) if default is _NO_DEFAULT else super().pop(key, default)
        self._changed()
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        item = super().popitem()
        self._changed()
        return item

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, which is set to the default if it is missing."""
        value = super().setdefault(key, default)
        self._changed()
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set many keys, lower-case ones too."""
        super().update(*args, **kwargs)
        self._changed()

    def __getstate__(self) -> dict[str, Any]:
        # A copy or a pickle belongs to no app: it must neither notify nor drag one along.
        return {key: value for key, value in self.__dict__.items() if key != "_on_change"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict.__repr__(self)}>"

    def from_envvar(self, variable_name: str, silent: bool = False) -> bool:
        """Load the Python file whose name an environment variable holds.

        Args:
            variable_name: The environment variable.
            silent: Answer False where the variable or the file is missing.

        Returns:
            Whether the file was loaded.

        Raises:
            RuntimeError: The variable is not set, or empty.
            OSError: The file cannot be read.
        """
        filename = os.environ.get(variable_name)
        if filename:
            return self.from_pyfile(filename, silent=silent)
        if silent:
            return False
        raise RuntimeError(
            f"cannot load the configuration: the environment variable {variable_name!r} is not set; set it "
            f"to the path of a configuration file, or pass silent=True"
        )

    def from_prefixed_env(self, prefix: str = "FLASK", *, loads: Callable[[str], Any] = json.loads) -> bool:
        """Load all environment variables that start with `prefix` and an underscore, in sorted order.

        A double underscore in a name leads into a nested dictionary, which is made if it is missing.

        Args:
            prefix: The prefix without its underscore.
            loads: Reads a value; whatever it raises, the value stays a string then.

        Returns:
            True, always.
        """
        start = prefix + "_"
        for variable in sorted(name for name in os.environ if name.startswith(start)):
            value: Any = os.environ[variable]
            try:
                value = loads(value)
            except Exception:
                pass
            *parents, key = variable.removeprefix(start).split("__")
            target: Any = self
            for parent in parents:
                if parent not in target:
                    target[parent] = {}
                target = target[parent]
            target[key] = value
        self._changed()  # a nested dictionary does not tell
        return True

    def from_pyfile(self, filename: str | os.PathLike[str], silent: bool = False) -> bool:
        """Run a Python file and take its upper-case names.

        Args:
            filename: Relative to `root_path`, or absolute.
            silent: Answer False where the file is missing.

        Returns:
            Whether the file was loaded.

        Raises:
            OSError: The file cannot be read.
        """
        path = os.path.join(self.root_path, filename)
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as exc:
            if silent and exc.errno in (*self._LOADERS_SKIP, errno.ENOTDIR):
                return False
            raise _unreadable(exc) from None
        module = types.ModuleType("config")
        module.__file__ = path
        exec(compile(source, path, "exec"), module.__dict__)
        self.from_object(module)
        return True

    def from_object(self, obj: object | str) -> None:
        """Take the upper-case attributes of an object, class or module.

        Args:
            obj: The object, or where it is: `package.module`, `package.module.name` or `package.module:name`.

        Raises:
            ImportError: There is no such module or name.
        """
        if isinstance(obj, str):
            obj = _import_object(obj)
        for key in dir(obj):
            if key.isupper():
                self[key] = getattr(obj, key)

    def from_file(
        self,
        filename: str | os.PathLike[str],
        load: Callable[[IO[Any]], Mapping[str, Any]],
        silent: bool = False,
        text: bool = True,
    ) -> bool:
        """Load a file of any format and take its upper-case keys.

        Args:
            filename: Relative to `root_path`, or absolute.
            load: Reads the open file: `json.load`, `tomllib.load`.
            silent: Answer False where the file is missing.
            text: Open the file as text; `tomllib.load` wants False.

        Returns:
            Whether the file was loaded.

        Raises:
            OSError: The file cannot be read.
        """
        path = os.path.join(self.root_path, filename)
        try:
            with open(path, "r" if text else "rb") as file:
                loaded = load(file)
        except OSError as exc:
            if silent and exc.errno in self._LOADERS_SKIP:
                return False
            raise _unreadable(exc) from None
        return self.from_mapping(loaded)

    def from_mapping(self, mapping: Mapping[str, Any] | None = None, **kwargs: Any) -> bool:
        """Take the upper-case keys of a mapping and of the keyword arguments.

        Returns:
            True, always.
        """
        merged: dict[str, Any] = {}
        if mapping is not None:
            merged.update(mapping)
        merged.update(kwargs)
        for key, value in merged.items():
            if key.isupper():
                self[key] = value
        return True

    def get_namespace(self, namespace: str, lowercase: bool = True, trim_namespace: bool = True) -> dict[str, Any]:
        """Return the keys that start with `namespace` as a dictionary of their own.

        Args:
            namespace: The common start, such as `"IMAGE_STORE_"`.
            lowercase: Whether the new keys are lower-cased.
            trim_namespace: Whether the new keys leave the common start out.
        """
        found: dict[str, Any] = {}
        for key, value in self.items():
            if key.startswith(namespace):
                name = key[len(namespace) :] if trim_namespace else key
                found[name.lower() if lowercase else name] = value
        return found


def _unreadable(exc: OSError) -> OSError:
    exc.strerror = f"Unable to load configuration file ({exc.strerror})"
    return exc


def _import_object(name: str) -> object:
    """Import a module, or a name of a module.

    Raises:
        ImportError: There is no such module or name.
    """
    path = name.replace(":", ".")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name != path and not path.startswith(exc.name + "."):
            raise  # the module exists, and something that it imports does not
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        raise ImportError(f"cannot load the configuration from {name!r}: no such module", name=path)
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ImportError(
            f"cannot load the configuration from {name!r}; expected a module or 'module.name'; "
            f"{module_name!r} has no {attribute!r}",
            name=path,
        ) from None
