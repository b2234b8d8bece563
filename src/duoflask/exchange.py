"""A request as gateways and drivers see it: its source, its body's limits, and how far the answer has got.

Owns no context and no order; `ctx.AppContext` is one of these. Knows the app only as what has limits.
"""

from __future__ import annotations

from contextvars import Context
from typing import Any

from .http.body import parse_content_length, too_large
from .http.errors import BadRequest, HTTPException
from .limits import Limits

__all__ = ["Exchange"]


class Exchange:
    """One request and its answer. `AppContext` sets the slots that every request needs."""

    # PERF: read on every request, so slots: a slot is read in 5 ns, a class attribute in 19 (CPython 3.11). The rest
    # are class attributes until somebody writes them.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "app",
        "body",
        "context",
        "gateway",
        "has_body",
        "method",
        "on_loop",
        "plan",
        "receive",
        "rule",
        "send",
        "source",
    )
    app: Any
    source: dict[str, Any] | None  # WSGI environ or ASGI scope
    gateway: Any
    method: str
    context: Context
    on_loop: bool  # which side of the crossing the request's coroutine is on
    plan: Any
    rule: Any
    has_body: bool  # a body is announced and has not been read by the gateway
    body: Any  # what the gateway has collected of it, under ASGI or with stream_body
    receive: Any  # ASGI's channel
    send: Any

    declared_length: int | None = None
    transfer_coded: bool = False  # under ASGI: then its end is where the server says, not at that length (RFC 9112 6.3)
    length_error: HTTPException | None = None
    limits: Limits | None = None  # known once the declared length has been checked
    sent: bool = False  # the response has been started
    complete: bool = False  # its last piece is on its way
    watch: Any = None
    watchable: Any = None
    disconnected: bool = False
    after_response: tuple[Any, ...] = ()  # functions that run when this response has been sent
    deadline: float | None = None  # of the rule's time-out, on time.monotonic()
    starting: bool = False  # start-up functions run for it: its client's leaving must not cancel them
    interrupted: bool = False  # a cancellation, or the like, has ended its work
    stream_error: BaseException | None = None
    send_error: BaseException | None = None  # what the server's `send` raised: the client has left
    pieces: Any = None  # the iterator that the response's body is taken from

    def leaves_thread(self) -> None:
        """Told by the WSGI driver, in the server's thread, before the request first goes to the portal."""
        if self.has_body and self.body is None and self.rule is not None and self.gateway is not None:
            self.gateway.collect_body(self)

    def declare_length(self, value: bytes) -> None:
        """Take note of a Content-Length field of the request; a second one is an error."""
        self.has_body = True
        try:
            length = parse_content_length(value)
        except HTTPException as exc:
            self.length_error = exc
            return
        if self.declared_length is not None:  # even an equal one: servers and proxies differ in which they believe
            self.length_error = BadRequest("several Content-Length fields; expected one")
        self.declared_length = length

    def check_length(self) -> Limits:
        """Refuse a declared length that is invalid or over the limit.

        Returns:
            How much of the body may be read: of the rule, else of the app.

        Raises:
            BadRequest: Not digits, or several of them (RFC 9112 6.3).
            RequestEntityTooLarge: More than MAX_CONTENT_LENGTH, or the rule's own limit.
        """
        if self.length_error is not None:
            raise self.length_error
        limits: Limits = self.app._limits_of(self.rule)
        self.limits = limits
        limit = limits.max_content_length
        if limit is not None and self.declared_length is not None and self.declared_length > limit:
            raise too_large(limit, "MAX_CONTENT_LENGTH", self.declared_length)
        return limits

    def belongs_to_portal(self) -> bool:
        """Whether a WSGI server called: then it has nothing to do with a loop that may be running in its thread."""
        return self.gateway is not None and not self.gateway.serves_on_loop

    def client_has_left(self) -> bool:
        """Whether the client has left, as far as the gateway can tell."""
        return self.gateway is not None and self.gateway.client_has_left(self)

    def suspended(self) -> bool:
        """Told by the driver when the request waits on a loop, until it answers True."""
        return self.gateway is None or self.gateway.suspended(self)
