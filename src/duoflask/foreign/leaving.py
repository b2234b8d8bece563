"""What an application raises because its client has left, told from what it raises of itself.

Owns that judgement. A server whose `send` raises (HTTP & WebSocket specification 2.4) knows its own error again, and
logs nothing; frameworks raise another one because of it, which no server knows.
"""

from __future__ import annotations

from ..typing import ASGIApplication, Message, Receive, Scope, Send

__all__ = ["comes_of", "serve_asgi_quietly"]


def comes_of(error: BaseException | None, origin: type[BaseException] | BaseException) -> bool:
    """Whether an error is the origin (or of that class), was raised because of it, or is a group of such errors."""
    while error is not None and not (error is origin or (isinstance(origin, type) and isinstance(error, origin))):
        if isinstance(error, BaseExceptionGroup):
            return all(comes_of(each, origin) for each in error.exceptions)
        error = error.__cause__ or error.__context__
    return error is not None


async def serve_asgi_quietly(app: ASGIApplication, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a connection with an application; what it makes of the error of `send` is raised as that error.

    Raises:
        OSError: What `send` raised: the client has left.
        BaseException: What the application raised.
    """
    left: list[OSError] = []

    async def noting_send(message: Message) -> None:
        try:
            await send(message)
        except OSError as exc:
            left.append(exc)
            raise

    try:
        await app(scope, receive, noting_send)
    except Exception as exc:
        if not left or exc is left[0] or not comes_of(exc, left[0]):
            raise
        raise left[0] from None
    finally:
        left.clear()  # it holds frames that hold it: a cycle
