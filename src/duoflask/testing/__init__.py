"""Test clients and request builders.

Owns everything that sends requests to an app without a server. Takes an app object and imports none.
"""

from __future__ import annotations

from .answer import ProtocolError
from .asgi_run import LifespanError
from .async_client import AsyncClient
from .cli_runner import FlaskCliRunner
from .client import Client
from .cookie_jar import Cookie
from .core import ClientRedirectError
from .environ import EnvironBuilder, PlainEnvironBuilder, create_environ
from .multipart import encode_multipart, stream_encode_multipart
from .response import TestResponse
from .websocket import AsyncTestWebsocket, TestWebsocket
from .websocket_core import WebsocketResponseError
from .wsgi_run import run_wsgi_app

__all__ = [
    "AsyncClient",
    "AsyncTestWebsocket",
    "Client",
    "ClientRedirectError",
    "Cookie",
    "EnvironBuilder",
    "FlaskCliRunner",
    "LifespanError",
    "PlainEnvironBuilder",
    "ProtocolError",
    "TestResponse",
    "TestWebsocket",
    "WebsocketResponseError",
    "create_environ",
    "encode_multipart",
    "run_wsgi_app",
    "stream_encode_multipart",
]
