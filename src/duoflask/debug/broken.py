"""What stands in for an application that cannot be loaded or started: it tells why, until the next change.

Owns that answer. Knows no reloader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..http.uri import host_is_trusted
from ..middleware.around import Middleware, headers_of
from .pages import TRUSTED_HOSTS, chosen_form, dump_answer
from .report import build_report

__all__ = ["BrokenApp"]

_UNSET: Any = object()
_PLAIN = b"The application cannot be started; its log says why.\n"


class BrokenApp(Middleware):
    """An application of both protocols that answers every request with the page of one exception.

    Args:
        exc: The exception.
        heading: What was going on.
        trusted_hosts: Hosts that are shown the page, besides those of this machine.
    """

    def __init__(self, exc: BaseException, heading: str, trusted_hosts: Iterable[str] = ()) -> None:
        super().__init__(self._answer)
        self._report = build_report(exc, heading=heading)
        self._hosts = [*TRUSTED_HOSTS, *trusted_hosts]

    def _answer(self, source: Any, second: Any, third: Any = _UNSET) -> Any:
        headers = headers_of(source)
        hosts = headers.getlist("Host")
        if len(hosts) == 1 and host_is_trusted(hosts[0], self._hosts):
            head, body = dump_answer(self._report, chosen_form(headers))
        else:
            head, body = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(_PLAIN)))], _PLAIN
        if third is _UNSET:
            second("500 INTERNAL SERVER ERROR", head)
            return [b"" if source["REQUEST_METHOD"] == "HEAD" else body]
        return self._send(source, third, head, body)

    async def _send(self, scope: Any, send: Any, head: list[tuple[str, str]], body: bytes) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1011})
            return
        fields = [(name.lower().encode(), value.encode()) for name, value in head]
        await send({"type": "http.response.start", "status": 500, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
