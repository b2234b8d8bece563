"""What Quart's objects have and ours have not, and what means something else here: one finding for each place."""

from __future__ import annotations

import ast
from typing import Final

from .facts import Facts
from .imports import Imports
from .names import QUART_ATTRIBUTES, QUART_KEYS, QUART_RUN, VERBS
from .scopes import Scopes
from .source import Source

__all__ = ["look_at_quart"]

_REQUEST_HOOKS: Final = frozenset({"after_app_request", "after_request", "before_app_request", "before_request"})
_HANDSHAKE: Final = {
    "before": "runs for the handshakes of WebSockets, too; 'if has_websocket_context(): return' leaves them out",
    "after": "runs for the responses that refuse a WebSocket, too",
}
_RUNNERS: Final = frozenset({"anyio", "asyncio", "granian", "hypercorn", "trio", "uvicorn"})
_CANCELLED: Final = (
    "when the client has left, websocket.receive() and send() raise duoflask.WebsocketDisconnect; only a view that "
    "waits for something else is cancelled. Write 'except (asyncio.CancelledError, WebsocketDisconnect)', or 'finally'"
)
_LIMIT: Final = "Quart limits bodies to 16 MiB; here nothing does until app.config['MAX_CONTENT_LENGTH'] is set"


def look_at_quart(source: Source, scopes: Scopes, imports: Imports, facts: Facts) -> None:
    """Report what a file of a Quart project uses that is not there, or not the same, and rename its test client."""
    if "quart" not in facts.tops:
        return
    for node in scopes.nodes:
        if isinstance(node, ast.Attribute):
            _look_at_attribute(source, scopes, imports, facts, node)
        elif isinstance(node, ast.Call):
            _look_at_call(source, imports, node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in QUART_KEYS:
            source.say(node, f"{node.value} is not read here: {QUART_KEYS[node.value]}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in QUART_KEYS:
            source.say(node, f"{node.id} is not read here: {QUART_KEYS[node.id]}")
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            _look_at_handler(source, scopes, imports, node.type)


def _look_at_attribute(source: Source, scopes: Scopes, imports: Imports, facts: Facts, node: ast.Attribute) -> None:
    parent = scopes.parent.get(node)
    if node.attr == "body" and imports.origin(node.value).endswith(".request"):
        source.say(node, "request.body: write request.stream, on a rule with stream_body=True")
    elif node.attr in QUART_ATTRIBUTES:
        source.say(node, f".{node.attr}: {QUART_ATTRIBUTES[node.attr]}")
    elif node.attr in _REQUEST_HOOKS and facts.websockets:
        source.say(node, f".{node.attr}: it {_HANDSHAKE[node.attr.partition('_')[0]]}", person=False)
    elif node.attr != "test_client" or not isinstance(parent, ast.Call) or parent.func is not node:
        return
    elif imports.has("quart") or "flask" not in facts.tops:
        end = source.span(node)[1]
        source.change(end - len(node.attr), end, "async_test_client")


def _look_at_call(source: Source, imports: Imports, node: ast.Call) -> None:
    if imports.origin(node.func) in ("quart.Quart", "quart.app.Quart"):
        source.say(node, _LIMIT, person=False)
    is_run = isinstance(node.func, ast.Attribute) and node.func.attr == "run"
    is_run = is_run and imports.origin(node.func).partition(".")[0] not in _RUNNERS
    for keyword in node.keywords:
        if keyword.arg in QUART_KEYS:
            source.say(keyword.value, f"{keyword.arg} is not read here: {QUART_KEYS[keyword.arg]}")
        elif is_run and keyword.arg in QUART_RUN:
            source.say(keyword.value, f"run({keyword.arg}=...): {QUART_RUN[keyword.arg]}")
    if isinstance(node.func, ast.Attribute) and node.func.attr in VERBS and not imports.origin(node.func):
        _look_at_request(source, node)


def _look_at_request(source: Source, node: ast.Call) -> None:
    """Rename `form` of a test client's request, which no other client's has."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if "form" not in given:
        return
    if "files" in given or "data" in given:
        source.say(
            given["form"], "a test client takes fields and files together: data={'name': 'x', 'file': (stream, 'y')}"
        )
        return
    (start, _), name = source.span(given["form"]), len("form")
    start = source.text.rindex("form", 0, start)
    source.change(start, start + name, "data")


def _look_at_handler(source: Source, scopes: Scopes, imports: Imports, caught: ast.expr) -> None:
    """Report a handler of cancellation in a function that uses a WebSocket."""
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    if not any(imports.origin(kind).endswith(".CancelledError") for kind in kinds):
        return
    around: ast.AST | None = caught
    while around is not None and not isinstance(around, ast.AsyncFunctionDef):
        around = scopes.parent.get(around)
    for inner in ast.walk(around) if around is not None else ():
        if isinstance(inner, ast.Name | ast.Attribute) and imports.origin(inner).endswith(".websocket"):
            source.say(caught, _CANCELLED)
            return
