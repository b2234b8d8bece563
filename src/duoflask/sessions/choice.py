"""Which interface an app's sessions have: its own, or the one that SESSION_STORE names.

Owns the names of the stores and where they keep their files. A store's module is imported when it is chosen.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final

from ..bridge import new_lock
from ..lazy import LazyModule
from .cookie import SecureCookieSessionInterface

if TYPE_CHECKING:
    from . import server_side, store
    from .interface import SessionInterface
else:  # for SESSION_STORE only
    server_side = LazyModule(f"{__package__}.server_side")
    store = LazyModule(f"{__package__}.store")

__all__ = ["ChosenInterface", "make_store"]

# By the word before the colon: the module, the class, and where it keeps sessions unless the setting says so.
_STORES: Final = {
    "memory": ("memory", "MemoryStore", ""),
    "files": ("files", "FileStore", "sessions"),
    "sqlite": ("sqlite", "SQLiteStore", "sessions.sqlite3"),
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), ("redis", "RedisStore", "")),
}

_COOKIES: Final = SecureCookieSessionInterface()


def make_store(setting: Any, folder: str, timeout: float, prefix: str) -> store.Store:
    """Make the store that SESSION_STORE names.

    Args:
        setting: A name, `name:where`, a URL, a `Store`, a cache of `cachelib`; True means `sqlite`.
        folder: What paths are relative to.
        timeout: SESSION_STORE_TIMEOUT, in seconds.
        prefix: SESSION_KEY_PREFIX.

    Raises:
        ValueError: No store has this name.
        TypeError: Something else.
    """
    if isinstance(setting, store.Store):
        return setting
    if setting is True:
        setting = "sqlite"
    if not isinstance(setting, str):
        if all(hasattr(setting, name) for name in ("get", "set", "add", "delete")):
            return _class("cachelib", "CacheStore")(setting, timeout, prefix)  # type: ignore[no-any-return]
        raise TypeError(
            f"invalid SESSION_STORE; expected a name, a Store or a cache of cachelib; got {type(setting).__name__}"
        )
    kind, _, where = setting.partition(":")
    if kind not in _STORES or (where[:2] == "//" and _STORES[kind][2]):
        raise ValueError(
            "invalid SESSION_STORE; expected 'memory', 'files', 'files:folder', 'sqlite', 'sqlite:file', "
            f"'redis://host:6379/0' or 'unix:///path/to/socket'; got {setting.rpartition('@')[2]!r}"
        )
    module, name, default = _STORES[kind]
    if module == "memory":
        return _class(module, name)()  # type: ignore[no-any-return]
    if module == "redis":
        url = setting if where else "redis://localhost:6379/0"
        return _class(module, name)(url, timeout, prefix)  # type: ignore[no-any-return]
    return _class(module, name)(os.path.join(folder, where or default), timeout)  # type: ignore[no-any-return]


def _class(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{__package__}.stores.{module}"), name)


class ChosenInterface:
    """The attribute `session_interface` of an app.

    What was assigned; else sessions in the store that SESSION_STORE names; else in signed cookies.
    """

    def __init__(self) -> None:
        self._making = new_lock()

    def __get__(self, app: Any, owner: Any = None) -> SessionInterface:
        if app is None:
            return _COOKIES
        assigned = app.__dict__.get("_session_interface")
        if assigned is not None:
            return assigned  # type: ignore[no-any-return]
        config = app.config
        setting = config["SESSION_STORE"]
        if not setting:
            return _COOKIES
        made_of = (setting, config["SESSION_STORE_TIMEOUT"], config["SESSION_KEY_PREFIX"])
        kept = app.__dict__.get("_session_store")
        if kept is None or kept[0] != made_of:
            with self._making:  # two stores in memory would be two sets of sessions
                kept = app.__dict__.get("_session_store")
                if kept is None or kept[0] != made_of:
                    folder = app.instance_path or os.path.join(app.root_path, "instance")
                    made = server_side.ServerSideSessionInterface(make_store(setting, folder, *made_of[1:]))
                    kept = app.__dict__["_session_store"] = (made_of, made)
        return kept[1]  # type: ignore[no-any-return]

    def __set__(self, app: Any, value: Any) -> None:
        app.__dict__["_session_interface"] = value
