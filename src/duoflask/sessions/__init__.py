"""Sessions: signed cookies by default, stores on the server by configuration, or an interface of one's own.

Re-exports what applications and Flask's extensions import.
"""

from __future__ import annotations

from .choice import ChosenInterface, make_store
from .cookie import SecureCookieSessionInterface, session_json_serializer
from .interface import SessionInterface
from .server_side import ServerSideSession, ServerSideSessionInterface, store_key
from .session import NullSession, SecureCookieSession, SessionMixin
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
