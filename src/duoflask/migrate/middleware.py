"""Middleware around `app.wsgi_app`, which an ASGI server goes past: one finding for each place.

Knows which of Werkzeug's and duoflask's middleware can be installed under both protocols.
"""

from __future__ import annotations

import ast
from typing import Final

from .imports import Imports
from .scopes import Scopes
from .source import Source

__all__ = ["look_at_middleware"]

_WHY: Final = "it does not run under ASGI, as uvicorn and 'duoflask run' serve"
_INSTALLED: Final = frozenset({"CORSMiddleware", "CompressionMiddleware", "ProxyFix", "SharedDataMiddleware"})
_HOMES: Final = ("duoflask.middleware.", "werkzeug.")


def look_at_middleware(source: Source, scopes: Scopes, imports: Imports) -> None:
    """Report each assignment to `wsgi_app`, unless `asgi_app` of the same object is assigned in the file, too."""
    stored = [node for node in scopes.nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    done = {ast.unparse(node.value) for node in stored if node.attr == "asgi_app"}
    for node in stored:
        app = ast.unparse(node.value)
        if node.attr == "wsgi_app" and app not in done:
            statement = scopes.parent.get(node)
            value = getattr(statement, "value", None) if isinstance(statement, ast.Assign | ast.AnnAssign) else None
            source.say(node, f"{app}.wsgi_app: middleware around it alone: {_WHY}; {_advice(app, value, imports)}")


def _advice(app: str, value: ast.expr | None, imports: Imports) -> str:
    if isinstance(value, ast.Call) and value.args and not isinstance(value.args[0], ast.Starred):
        origin = imports.origin(value.func)
        is_ours = origin.startswith(_HOMES) and origin.rpartition(".")[2] in _INSTALLED
        if is_ours and ast.unparse(value.args[0]) == f"{app}.wsgi_app":
            rest = [*map(ast.unparse, value.args[1:]), *map(ast.unparse, value.keywords)]
            return f"write {ast.unparse(value.func)}.install({', '.join([app, *rest])})"
    return (
        f"wrap {app}.asgi_app, too, or write it as a duoflask.middleware.Middleware and install() it; "
        "keep the line if you serve by WSGI only"
    )
