"""`ErrorPages`: what an application raises becomes the error page, in debug mode and for trusted hosts only.

Owns when the page is shown and in which form. What it says stands in `report` and `page`.

Theory of operation. In debug mode an app does not answer what nobody handles, but raises it (PROPAGATE_EXCEPTIONS, as
Flask does), so that it arrives here, outside of everything. The request's context is gone then: it is noted when
`got_request_exception` is sent, while it lasts, on the exception itself, so that both go together.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import anyio

from ..ctx import AppContext, _cv_app
from ..http.accept import MIMEAccept, parse_accept_header
from ..http.uri import host_is_trusted
from ..middleware.around import Middleware, headers_of
from ..server.logs import escape_log
from ..signals import got_request_exception
from .facts import target_of
from .frames import Failure
from .masking import Masker
from .page import dump_page, policy
from .report import Report, build_report, dump_json, dump_text
from .watchdog import LoopWatchdog

__all__ = ["TRUSTED_HOSTS", "ErrorPages", "chosen_form", "dump_answer"]

TRUSTED_HOSTS: Final = ("localhost", ".localhost", "127.0.0.1", "[::1]")

REPORT_SECONDS: Final = 10.0  # until a value's `repr` counts as hanging

_UNSET: Any = object()
_NOTED: Final = "__duoflask_context__"
_logger = logging.getLogger("duoflask.server")


class ErrorPages(Middleware):
    """An application around another one, which answers what that one raises by a page that explains it.

    Args:
        app: The application: one of duoflask's, or any other WSGI or ASGI application.
        trusted_hosts: Hosts that are shown the page, besides those of this machine; one that begins with a dot stands
            for its subdomains too. For a duoflask app those of its setting DEBUG_TRUSTED_HOSTS are added.
        watches_loop: Log, under ASGI, which functions have blocked the server's loop.
    """

    def __init__(self, app: Any, trusted_hosts: Iterable[str] = (), watches_loop: bool = False) -> None:
        super().__init__(app)
        self.trusted_hosts = list(trusted_hosts)
        self._watchdog = LoopWatchdog(self._describe) if watches_loop else None
        got_request_exception.connect(_note_context, weak=False)

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Have the application called under guard."""
        return self._guarded, source, None

    def _guarded(self, source: Any, second: Any, third: Any = _UNSET) -> Any:
        if third is _UNSET:
            return self._wsgi(source, second)
        return self._asgi(source, second, third)

    def shows(self, source: Any) -> bool:
        """Whether the app is in debug mode, and this request's host is trusted with a traceback."""
        application = _innermost(self.app)
        if not getattr(application, "debug", True):  # one of others' has no such mode
            return False
        config = getattr(application, "config", None)
        more = config.get("DEBUG_TRUSTED_HOSTS") if isinstance(config, dict) else None
        if isinstance(more, str):
            more = [more]
        hosts = headers_of(source).getlist("Host")
        return len(hosts) == 1 and host_is_trusted(hosts[0], [*TRUSTED_HOSTS, *self.trusted_hosts, *(more or ())])

    def _describe(self, code: Any) -> str | None:
        """What a function is to the application."""
        views = getattr(_innermost(self.app), "view_functions", {})
        names = (name for name, view in views.items() if getattr(view, "__code__", None) is code)
        endpoint = next(names, None)
        return None if endpoint is None else f"the view {endpoint!r}"

    def _wsgi(self, environ: Any, start_response: Any) -> Any:
        begun = False

        def noting_start(*args: Any) -> Any:
            nonlocal begun
            begun = True
            return start_response(*args)

        try:
            body = self.app(environ, noting_start)
        except Exception as exc:
            if not self.shows(environ):
                raise
            return _answer_wsgi(exc, environ, start_response, begun)
        if isinstance(body, (list, tuple)) or not self.shows(environ):
            return body
        return _GuardedBody(body, environ, start_response)

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        begun = False
        if self._watchdog is not None:
            self._watchdog.start()

        async def noting_send(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except Exception as exc:
            # Once something has left, only the server can tell the client: by cutting the response off.
            if begun or scope["type"] != "http" or not self.shows(scope):
                raise
            # A `repr` and a source file may take their time.
            head, body = await anyio.to_thread.run_sync(partial(_answer, exc, scope))
            if scope["method"] == "HEAD":
                body = b""
            fields = [(name.lower().encode(), value.encode()) for name, value in head]
            await send({"type": "http.response.start", "status": 500, "headers": fields})
            await send({"type": "http.response.body", "body": body})


class _GuardedBody:
    """A body in pieces: what it raises before its first piece is still answered by the page."""

    def __init__(self, body: Any, environ: Any, start_response: Any) -> None:
        self._body = body
        self._environ = environ
        self._start_response = start_response
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        begun = False
        try:
            for piece in self._body:
                begun = begun or bool(piece)
                yield piece
        except Exception as exc:
            if begun:
                raise
            yield from _answer_wsgi(exc, self._environ, self._start_response, True)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            close = getattr(self._body, "close", None)
            if close is not None:
                close()


def _innermost(application: Any) -> Any:
    """The application in all its middleware; also in what `Middleware.install` has put around it."""
    for _ in range(100):
        inner = application.app if isinstance(application, Middleware) else getattr(application, "wsgi_app", None)
        if inner is None or hasattr(application, "debug"):
            break
        application = getattr(inner, "__self__", inner)
    return application


def _noted_context(exc: BaseException) -> AppContext | None:
    """What `_note_context` has noted."""
    noted: dict[str, Any] = BaseException.__dict__["__dict__"].__get__(exc)
    ctx: AppContext | None = noted.pop(_NOTED, None)
    return ctx


def _note_context(sender: Any, exception: Any = None, **_: Any) -> None:
    """Note the request's context on the exception, past whatever its class makes of attributes."""
    ctx = _cv_app.get(None)
    if ctx is not None and isinstance(exception, BaseException):
        BaseException.__setattr__(exception, _NOTED, ctx)


def _answer_wsgi(exc: Exception, environ: Any, start_response: Any, begun: bool) -> list[bytes]:
    head, body = _answer(exc, environ)
    # With exc_info the server raises by itself if a head has left already (PEP 3333).
    more = [(type(exc), exc, exc.__traceback__)] if begun else []
    start_response("500 INTERNAL SERVER ERROR", head, *more)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _answer(exc: Exception, source: Any) -> tuple[list[tuple[str, str]], bytes]:
    # Three values: a logger asks whether an exception is true, and one of a class of its own may be false.
    _logger.error("exception on %s", escape_log(target_of(source)), exc_info=(type(exc), exc, exc.__traceback__))
    return dump_answer(_report_in_time(exc, source, _noted_context(exc)), chosen_form(headers_of(source)))


def _report_in_time(exc: Exception, source: Any, ctx: AppContext | None) -> Report:
    """The report; the little that is always known if making it fails, or a `repr` never returns."""
    made: list[Report] = []

    def make() -> None:
        try:
            made.append(build_report(exc, source, ctx))
        except Exception:
            _logger.exception("the error page could not be made; report it to duoflask")

    thread = threading.Thread(target=make, name="duoflask-error-page", daemon=True)
    thread.start()
    thread.join(REPORT_SECONDS)
    if made:
        return made[0]
    advice = "No more can be shown: a value's repr() has not returned, or raised. The server's log has the traceback."
    return Report(Failure(type(exc).__qualname__, advice), Masker().clean(target_of(source).partition("?")[0][:500]))


def chosen_form(headers: Any) -> str:
    """The form that suits a client: "html" for browsers, "json" for those of APIs, else "text"."""
    accept: MIMEAccept = parse_accept_header(headers.get("Accept"), MIMEAccept)
    named = {item.partition(";")[0].lower() for item, quality in accept if quality > 0}
    if named & {"text/html", "application/xhtml+xml"}:
        best = accept.best_match(["text/html", "application/json"])
        return "json" if best == "application/json" else "html"
    wants_json = any(item == "application/json" or item.endswith("+json") for item in named)
    sent = str(headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    if wants_json or ("text/plain" not in named and (sent == "application/json" or sent.endswith("+json"))):
        return "json"
    return "text"


def dump_answer(report: Report, form: str) -> tuple[list[tuple[str, str]], bytes]:
    """The header fields and the body that tell a report.

    Args:
        report: The report.
        form: "html", "json" or "text".
    """
    more: list[tuple[str, str]] = []
    if form == "html":
        text, nonce = dump_page(report)
        kind = "text/html; charset=utf-8"
        more.append(("Content-Security-Policy", policy(nonce)))
    elif form == "json":
        text, kind = dump_json(report), "application/json"
    else:
        text, kind = dump_text(report), "text/plain; charset=utf-8"
    body = text.encode("utf-8", "backslashreplace")
    head = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        *more,
    ]
    return head, body
