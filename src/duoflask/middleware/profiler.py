"""`ProfilerMiddleware`: what each request spends its time on, by `cProfile`. For development."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Generator, Iterable
from cProfile import Profile
from os import PathLike, path as paths
from pstats import Stats
from typing import IO, Any, Final

from .around import Middleware, is_scope, path_of

__all__ = ["Profile", "ProfilerMiddleware"]

_RULE: Final = "-" * 80
# What a peer may put into the name of a file, and how much of it.
_UNUSUAL_RE = re.compile(r"[^A-Za-z0-9._~-]")
_MAX_PATH: Final = 100


class ProfilerMiddleware(Middleware):
    """Profile each request; write a table of it to a stream, or the whole profile to a file, or both.

    Under WSGI the body is collected first, so that making it is measured, too; what runs on the portal loop, as `async
    def` views do, is not. Under ASGI only what runs on the event loop is measured, not what runs in a worker thread, as
    `def` views do.

    Args:
        app: The application, of either protocol or of both.
        stream: Where the tables go; None for nowhere.
        sort_by: The columns to sort by; see `pstats.Stats.sort_stats`.
        restrictions: What is left out; see `pstats.Stats.print_stats`.
        profile_dir: The folder for files that `pstats` and viewers read; None for none.
        filename_format: The name of such a file, with the fields `method`, `path`, `elapsed` (ms) and `time` (s since
            1970); or a function that gets the environ or scope, in which the last two stand under `werkzeug.profiler`,
            and returns the name.
    """

    def __init__(
        self,
        app: Any,
        stream: IO[str] | None = sys.stdout,
        sort_by: Iterable[str] = ("time", "calls"),
        restrictions: Iterable[str | int | float] = (),
        profile_dir: str | PathLike[str] | None = None,
        filename_format: str | Callable[[Any], str] = "{method}.{path}.{elapsed:.0f}ms.{time:.0f}.prof",
    ) -> None:
        super().__init__(app)
        self._stream = stream
        self._sort_by = tuple(sort_by)
        self._restrictions = tuple(restrictions)
        self._profile_dir = profile_dir
        self._filename_format = filename_format

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Have the request run under the profiler; WebSockets are left alone."""
        if not is_scope(source):
            return self._run_wsgi, source, None
        return self._run_asgi if source["type"] == "http" else self.app, source, None

    def _run_wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        pieces: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            start_response(status, headers, *exc_info)
            return pieces.append

        def run() -> None:
            body = self.app(environ, start)
            try:
                pieces.extend(body)
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()

        profile, begin = Profile(), time.perf_counter()
        profile.runcall(run)
        self._report(profile, environ, environ["REQUEST_METHOD"], time.perf_counter() - begin)
        return [b"".join(pieces)]

    async def _run_asgi(self, scope: Any, receive: Any, send: Any) -> None:
        profile, begin = Profile(), time.perf_counter()
        await _Profiled(profile, self.app(scope, receive, send))
        self._report(profile, scope, scope["method"], time.perf_counter() - begin)

    def _report(self, profile: Profile, source: Any, method: str, elapsed: float) -> None:
        path = path_of(source)
        facts = {"elapsed": elapsed * 1000, "time": time.time()}
        if self._profile_dir is not None:
            if callable(self._filename_format):
                if is_scope(source):
                    source = {**source}
                source["werkzeug.profiler"] = facts
                name = self._filename_format(source)
            else:
                words = {"method": method, "path": path.strip("/").replace("/", ".") or "root"}
                words = {key: _UNUSUAL_RE.sub("_", word)[:_MAX_PATH] for key, word in words.items()}
                name = self._filename_format.format(**words, **facts)
            profile.dump_stats(paths.join(self._profile_dir, name))
        if self._stream is not None:
            stats = Stats(profile, stream=self._stream)
            stats.sort_stats(*self._sort_by)
            self._stream.write(f"{_RULE}\nPATH: {path!r}\n")
            stats.print_stats(*self._restrictions)
            self._stream.write(f"{_RULE}\n\n")


class _Profiled:
    """An awaitable with the profiler switched on while it runs, and off while it waits."""

    def __init__(self, profile: Profile, awaitable: Any) -> None:
        self._profile = profile
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable.__await__()
        go_on, value = steps.send, None
        while True:
            self._profile.enable()
            try:
                waited = go_on(value)
            except StopIteration as stop:
                return stop.value
            finally:
                self._profile.disable()
            try:
                value = yield waited
                go_on = steps.send
            except BaseException as exc:
                go_on, value = steps.throw, exc
