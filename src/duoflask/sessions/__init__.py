"""Sessions: signed cookies by default, stores on the server by configuration, or an interface of one's own.

Re-exports what applications and Flask's extensions import. What only sessions on the server need is imported at the
first look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lazy import LazyModule
from .choice import ChosenInterface, make_store
from .cookie import SecureCookieSessionInterface, session_json_serializer
from .interface import SessionInterface
from .session import NullSession, SecureCookieSession, SessionMixin

if TYPE_CHECKING:
    from .server_side import ServerSideSession, ServerSideSessionInterface, store_key
    from .store import Change, Record, Store, StoreUnavailable

__all__ = [
    "Change",
    "ChosenInterface",
    "NullSession",
    "Record",
    "SecureCookieSession",
    "SecureCookieSessionInterface",
    "ServerSideSession",
    "ServerSideSessionInterface",
    "SessionInterface",
    "SessionMixin",
    "Store",
    "StoreUnavailable",
    "make_store",
    "session_json_serializer",
    "store_key",
]

_server_side = LazyModule(f"{__package__}.server_side")
_store = LazyModule(f"{__package__}.store")
_ELSEWHERE = {
    **dict.fromkeys(("ServerSideSession", "ServerSideSessionInterface", "store_key"), _server_side),
    **dict.fromkeys(("Change", "Record", "Store", "StoreUnavailable"), _store),
}


def __getattr__(name: str) -> Any:
    module = _ELSEWHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(module, name)
