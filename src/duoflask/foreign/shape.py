"""Which protocol a callable speaks, judged by what it is and what it takes. Calls nothing."""

from __future__ import annotations

import inspect
from typing import Any, Literal, TypeAlias

__all__ = ["Protocols", "protocol_of"]

Protocols: TypeAlias = Literal["wsgi", "asgi", "both"]


def protocol_of(app: Any) -> Protocols:
    """Say which protocol an application speaks.

    An object with `wsgi_app` and `asgi_app` (every duoflask app), or with a `protocols` attribute (duoflask's
    middleware), says it itself; a coroutine function, or an object whose `__call__` is one, is ASGI; else it is the
    number of positional arguments: two is WSGI, three is ASGI.

    Raises:
        TypeError: It is no callable, or it takes neither two nor three arguments.
    """
    own = getattr(app, "protocols", None)
    if own in ("wsgi", "asgi", "both"):
        return own  # type: ignore[no-any-return]
    if not inspect.isclass(app):
        if callable(getattr(app, "wsgi_app", None)) and callable(getattr(app, "asgi_app", None)):
            return "both"
        if any(inspect.iscoroutinefunction(part) for part in (app, getattr(app, "__call__", None))):  # noqa: B004 - the method is wanted
            return "asgi"
    if callable(app):
        try:
            signature = inspect.signature(app)
        except (TypeError, ValueError):  # written in C
            signature = None
        if signature is not None:
            for count, name in ((2, "wsgi"), (3, "asgi")):
                try:
                    signature.bind(*(None,) * count)
                except TypeError:
                    continue
                return name  # type: ignore[return-value]
    raise TypeError(
        f"cannot tell which protocol {app!r} speaks; expected a WSGI application (environ, start_response) or an ASGI "
        "application (scope, receive, send). Write protocol='wsgi' or protocol='asgi'."
    )
