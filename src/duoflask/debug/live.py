"""Pages that reload by themselves: a script in the HTML of debug mode, and the stream of events that it listens to.

Owns the paths below `/__duoflask__/`, which pages get the script, and that a page's policy is never broken. Knows a
restart only as another key.

Theory of operation. Each start of the server has a key. A page carries the key of the server that made it, its script
keeps a stream of events open, and the first event says the server's own key. When the server ends, the browser
connects again by itself, waits in the backlog until the next server accepts, and hears another key: then the page
reloads. A page that is not visible holds no connection: a browser has six for each host. Under WSGI a stream holds a
thread: there are a few of them, and whoever comes later is told the key and comes again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import anyio
from markupsafe import Markup

from ..http.csp import parse_csp_header
from ..http.headers import Headers
from ..middleware.around import Middleware, headers_of, is_scope, path_of
from ..middleware.filtering import ResponseFilter
from .page import asset

__all__ = ["EVENTS_PATH", "LiveReload", "SCRIPT_PATH", "script_nonce"]

EVENTS_PATH: Final = "/__duoflask__/live"
SCRIPT_PATH: Final = "/__duoflask__/live.js"

TURN_SECONDS: Final = 0.2  # between two looks at whether the server stops, on a loop
BEAT_SECONDS: Final = 15.0  # between two comments that keep proxies from closing the stream
THREAD_BEAT_SECONDS: Final = 2.0  # the same in a thread, which only notices when it writes that its page has gone

DEFAULT_MAX_THREADS: Final = 4

_UNSET: Any = object()
_WITHOUT_BODY: Final = frozenset({204, 205, 206, 304})


class LiveReload(Middleware):
    """An application around another one, whose pages reload after the server was started again.

    Args:
        app: The application.
        key: Differs from one start to the next.
        stopping: Set when the server is about to stop.
        max_threads: How many streams may hold a thread under WSGI.
    """

    def __init__(
        self, app: Any, key: str, stopping: threading.Event | None = None, max_threads: int = DEFAULT_MAX_THREADS
    ) -> None:
        super().__init__(app)
        self._threads = threading.Semaphore(max_threads)
        self.key = key
        self.stopping = stopping or threading.Event()

    def prepare(self, source: Any) -> tuple[Any, Any, ResponseFilter | None]:
        """Answer for the script and its events, and put the script into pages."""
        if source.get("type") == "websocket":
            return self.app, source, None
        path = path_of(source)
        if path == EVENTS_PATH:
            return self._events, source, None
        if path == SCRIPT_PATH:
            return partial(_whole, "text/javascript; charset=utf-8", asset("live.js").encode()), source, None
        headers = headers_of(source)
        destination = headers.get("Sec-Fetch-Dest")
        if destination not in (None, "document") or headers.get("X-Requested-With") or headers.get("HX-Request"):
            return self.app, source, None  # a script has asked for it: it is no page, or part of one
        method = source["method"] if is_scope(source) else source["REQUEST_METHOD"]
        root = source.get("root_path" if is_scope(source) else "SCRIPT_NAME") or ""
        return self.app, source, _Injection(self.key, root.rstrip("/"), method, is_page=destination is not None)

    def _events(self, source: Any, second: Any, third: Any = _UNSET) -> Any:
        if third is not _UNSET:
            return self._events_asgi(second, third)
        head = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        second("200 OK", head)
        return self._beats()

    def _greeting(self, again: int = 200) -> bytes:
        """The first event, with the milliseconds after which one asks again."""
        return f"retry: {again}\ndata: {self.key}\n\n".encode()

    def _beats(self) -> Iterator[bytes]:
        if not self._threads.acquire(blocking=False):
            yield self._greeting(1_000)
            return
        try:
            yield self._greeting()
            while not self.stopping.wait(THREAD_BEAT_SECONDS):
                yield b":\n\n"
        finally:
            self._threads.release()

    async def _events_asgi(self, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            data = self._greeting()
            while not self.stopping.is_set():
                await send({"type": "http.response.body", "body": data, "more_body": True})
                data = b":\n\n"
                for _ in range(int(BEAT_SECONDS / TURN_SECONDS)):
                    await anyio.sleep(TURN_SECONDS)  # a look costs less than a wait that every kind of loop offers
                    if self.stopping.is_set():
                        break
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            tasks.cancel_scope.cancel()


def _whole(kind: str, body: bytes, source: Any, second: Any, third: Any = _UNSET) -> Any:
    """Answer with a complete body."""
    head = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-cache")]
    if third is _UNSET:
        second("200 OK", head)
        return [body]

    async def answer() -> None:
        fields = [(name.lower().encode(), value.encode()) for name, value in head]
        await third({"type": "http.response.start", "status": 200, "headers": fields})
        await third({"type": "http.response.body", "body": body})

    return answer()


class _Injection(ResponseFilter):
    """Puts the script into one response, if that is a page that may have it."""

    sees_body = True

    def __init__(self, key: str, root: str, method: str, *, is_page: bool) -> None:
        self._key = key
        self._root = root
        self._method = method
        self._is_page = is_page
        self._tag = b""

    def whole(self, status: int, headers: Headers, body: bytes) -> bytes:
        if not body or not self._suits(status, headers):
            return body
        start = body[:1_024].lstrip().lower()
        if not self._is_page and not start.startswith((b"<!doctype html", b"<html")):
            return body  # a browser that says nothing of what it wants it for: it may be a piece of a page
        tag = self._change(headers)
        end = body[-2_048:].lower().rfind(b"</body>")
        at = len(body) if end < 0 else max(0, len(body) - 2_048) + end
        if "Content-Length" in headers:
            headers["Content-Length"] = str(len(body) + len(tag))
        return body[:at] + tag + body[at:]

    def begin(self, status: int, headers: Headers) -> bool:
        if not self._is_page or not self._suits(status, headers):
            return False
        self._tag = self._change(headers)
        length = headers.get("Content-Length", "")
        if length.isascii() and length.isdecimal():
            headers["Content-Length"] = str(int(length) + len(self._tag))
        return True

    def piece(self, data: bytes, more: bool) -> bytes:
        return data if more else data + self._tag

    def _suits(self, status: int, headers: Headers) -> bool:
        kind, _, options = headers.get("Content-Type", "").lower().partition(";")
        coded = headers.get("Content-Encoding", "identity").lower() != "identity"
        download = headers.get("Content-Disposition", "").lower().startswith("attachment")
        coded = coded or "utf-16" in options or "utf-32" in options  # where the script's bytes would be other letters
        if kind.strip() != "text/html" or coded or download or status in _WITHOUT_BODY or status < 200:
            return False
        return script_nonce(headers) is not None

    def _change(self, headers: Headers) -> bytes:
        for name in ("ETag", "Last-Modified", "Accept-Ranges", "Content-MD5", "Digest"):
            headers.pop(name, None)  # they speak of the body without the script, and a later server has another key
        nonce = script_nonce(headers)
        ask = "" if self._method in ("GET", "HEAD") else " data-ask"  # a reload would send the form again
        tag = Markup('\n<script{} src="{}" data-events="{}" data-key="{}"{} defer></script>\n').format(
            Markup(' nonce="{}"').format(nonce) if nonce else "",
            self._root + SCRIPT_PATH,
            self._root + EVENTS_PATH,
            self._key,
            ask,
        )
        return tag.encode("utf-8", "xmlcharrefreplace")


def script_nonce(headers: Headers) -> str | None:
    """The nonce that a page's policies (CSP) ask of a script of its own server, or ""; None if they forbid it."""
    nonces: set[str] = set()
    for value in headers.getlist("Content-Security-Policy"):
        for text in value.split(","):
            policy = parse_csp_header(text)
            sandbox = policy.get("sandbox")
            if sandbox is not None and "allow-scripts" not in sandbox.lower().split():
                return None
            if not _has_own(policy.get("connect-src", policy.get("default-src"))):
                return None
            script = policy.get("script-src-elem", policy.get("script-src", policy.get("default-src")))
            own = [item[7:-1] for item in (script or "").split() if item.lower().startswith("'nonce-")]
            if own:
                nonces.add(own[0])
            elif not _has_own(script) or "'strict-dynamic'" in (script or "").lower():
                return None
    return None if len(nonces) > 1 else next(iter(nonces), "")


def _has_own(sources: str | None) -> bool:
    """Whether a list of sources has the page's own server in it; no list lets everything through."""
    return sources is None or bool({"'self'", "*"} & set(sources.lower().split()))
