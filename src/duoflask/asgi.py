"""The ASGI gateway: from `(scope, receive, send)` to the dispatcher and back (ASGI 3.0). Translation only."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from io import BytesIO
from sys import modules
from typing import TYPE_CHECKING, Any, Final

from .bridge import async_to_sync, drive, loop_is_running, to_loop, to_thread
from .ctx import AppContext, serving
from .dispatch import dispatch
from .file_body import FileBody
from .http.errors import ClientDisconnected, RequestEntityTooLarge
from .http.wire import RAW_LENGTHS
from .lazy import LazyModule
from .response import Response
from .sending import send_response
from .streamed import chunks_of_channel, drain_channel
from .typing import App, Receive, Scope, Send

if TYPE_CHECKING:
    import asyncio

    import anyio

    from . import websocket_serving
else:  # an app under WSGI needs none
    asyncio = LazyModule("asyncio")
    anyio = LazyModule("anyio")
    websocket_serving = LazyModule(f"{__package__}.websocket_serving")

__all__ = ["home_key", "serve_asgi", "serve_lifespan"]

# How long a look at the channel may take that finds nothing.
LOOK_SECONDS: Final = 0.001


async def serve_asgi(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one ASGI connection in the calling task, on asyncio or trio; replace it to wrap the app in ASGI middleware.

    Raises:
        RuntimeError: A kind of connection that this app does not serve.
    """
    if app._mounts is not None:
        served = app._mounts.serve_asgi(scope, receive, send)
        if served is not None:
            await served
            return None
    kind = scope["type"]
    if kind != "http":
        if kind == "lifespan":
            return await serve_lifespan(app, scope, receive, send)
        if kind == "websocket":
            channel = websocket_serving.ASGIChannel(scope, receive, send)
            return await websocket_serving.serve_websocket(app, scope, channel, _path(scope))
        raise RuntimeError(
            f"cannot serve an ASGI connection of type {kind!r}; expected 'http', 'websocket' or 'lifespan'"
        )
    method: str = scope["method"]
    ctx = serving(app, scope, _GATEWAY, method)  # type: ignore[arg-type]
    ctx.receive = receive
    ctx.send = send
    for name, value in scope["headers"]:
        if name == b"content-length":
            ctx.declare_length(value)
        elif name == b"transfer-encoding":
            ctx.has_body = ctx.transfer_coded = True
    path: str | None = scope["path"]
    if scope.get("root_path") or not path.isascii():  # type: ignore[union-attr]
        path = _path(scope)
    ctx.context = context = copy_context()
    ctx.on_loop = True
    coroutine = dispatch(ctx, method, path or "/" if path is not None else None)
    response: Any
    try:
        # PERF: CPython 3.11 asks the system for the process's id before it names the loop (140 ns).
        if "trio" in modules and asyncio._get_running_loop() is None:
            response = await _drive_on_trio(ctx, coroutine)
        else:
            # PERF: a request that suspends on nothing, which is most, does without the driver's generator (150 ns).
            try:
                wanted = context.run(coroutine.send, None)
            except StopIteration as stop:
                response = stop.value
            else:
                response = await _drive_on_asyncio(ctx, coroutine, wanted)
    finally:
        del ctx.context  # it holds the variable that holds the context object: a cycle
    if type(response) is tuple:
        body, kinds = response
        status, headers = 200, [kinds[1], RAW_LENGTHS[len(body)]]
        if method == "HEAD":
            body = b""
    elif ctx.sent or response is None:
        if ctx.watch is not None:
            ctx.watch.stop()
            ctx.watch = None
        return None
    else:
        status, headers = response._status_code, response.raw_headers()
        body = response._body if status == 200 and method != "HEAD" or response.has_body(method) else b""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return None


async def _drive_on_asyncio(ctx: AppContext, coroutine: Any, wanted: Any) -> Response | None:
    """Drive a request that waits for something; None if its client has left."""
    try:
        return await drive(ctx, coroutine, ctx.app._workers.leg, wanted)  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        if ctx.watch is None or not ctx.watch.forgive():
            raise
        return None  # the request has ended, teardown included
    finally:
        if ctx.watch is not None:
            ctx.watch.stop()
            ctx.watch = None  # it holds the context: a cycle


def _path(scope: Scope) -> str | None:
    """The path below the application; None if its bytes are no UTF-8."""
    path: str = scope["path"]
    root_path = scope.get("root_path", "")
    if root_path and path.startswith(root_path):  # servers differ in whether `path` includes it
        rest = path[len(root_path) :]
        if not rest or rest[0] == "/":
            path = rest
    if not path.isascii() and "\ufffd" in path and b"%ef%bf%bd" not in scope.get("raw_path", b"").lower():
        return None  # the server put U+FFFD for bytes that are no UTF-8
    return path


async def _drive_on_trio(ctx: AppContext, coroutine: Any) -> Response | None:
    """Drive a request on trio, which cancels scopes only, and those in the order of their nesting.

    So it is there first.
    """
    ctx.watchable = anyio.Event()
    response: Response | None = None
    error: BaseException | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_watch_on_trio, ctx, group.cancel_scope)
        try:
            response = await drive(ctx, coroutine, ctx.app._workers.leg)
        except Exception as exc:
            error = exc
        group.cancel_scope.cancel()
    if error is not None:
        raise error
    return response


async def _watch_on_trio(ctx: AppContext, scope: anyio.CancelScope) -> None:
    await ctx.watchable.wait()
    while (await ctx.receive())["type"] != "http.disconnect":
        pass
    ctx.disconnected = True
    if not ctx.complete and ctx.app.config["CANCEL_ON_DISCONNECT"]:
        scope.cancel()


class _Watch:
    """Waits for the client to leave, on asyncio, and then cancels the request's task.

    It starts at the first suspension, when a cancel scope of the view's may already be open; natively cancelling the
    task crosses no scope's nesting.
    """

    __slots__ = ("_ctx", "_fired", "_stopped", "_task", "_watcher")

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self._fired = False
        self._stopped = False
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        try:
            while (await self._ctx.receive())["type"] != "http.disconnect":
                pass
        except Exception:
            return
        ctx = self._ctx
        ctx.disconnected = True
        if not self._stopped and not ctx.complete and self._task is not None and ctx.app.config["CANCEL_ON_DISCONNECT"]:
            self._fired = True
            self._task.cancel()

    def forgive(self) -> bool:
        """Whether nobody but this watch has cancelled the task; takes its own cancellation back."""
        fired, self._fired = self._fired, False
        return fired and self._task is not None and self._task.uncancel() == 0

    def stop(self) -> None:
        """Stop watching: from now on the task belongs to the server again."""
        self._stopped = True
        if self._fired and self._task is not None:  # a view has swallowed the cancellation
            self._task.uncancel()
        watcher, self._watcher, self._task = self._watcher, None, None  # its cancellation holds frames that hold this
        if watcher is not None:
            watcher.cancel()


class _ASGIGateway:
    """What the dispatcher asks of this protocol."""

    __slots__ = ()
    serves_on_loop = True

    async def read_body(self, ctx: AppContext) -> None:
        """Read the body into memory, then to disk; what goes wrong is raised when somebody looks."""
        if not ctx.on_loop:  # an override of full_dispatch_request runs in a thread
            await to_loop()
        try:
            limits = ctx.check_length()
        except RequestEntityTooLarge:
            await drain_channel(ctx)
            raise
        rule = ctx.rule
        if rule is not None and rule.stream_body:
            ctx.body = chunks_of_channel(ctx)
            if ctx._request is not None:
                ctx._request._body = ctx.body
            return
        message = await ctx.receive()
        data, declared = message.get("body", b""), ctx.declared_length
        if data and not message.get("more_body") and len(data) == declared and declared <= limits.max_in_memory:
            # PERF: most bodies come in one piece: 1.5 us less than by collecting them (form, body; benchmarks/).
            ctx.body = BytesIO(data)
            if ctx._request is not None:
                ctx._request._body = ctx.body
            ctx.has_body = False
            return
        ctx.body = body = limits.new_body()
        if ctx._request is not None:  # a session store, or a receiver of appcontext_pushed, has asked for it already
            ctx._request._body = body
        while True:
            if message["type"] == "http.disconnect":
                body.fail(ClientDisconnected("the client left before it had sent the whole body"))
                ctx.disconnected = True
                return
            if not body.add(message.get("body", b"")):
                await drain_channel(ctx, message)
                return  # if a rest stays unread, the client cannot be watched
            last = not message.get("more_body", False)
            if body.needs_disk or (last and body.on_disk):
                if not body.on_disk:
                    body.watch = ctx.request._form_watch()
                await to_thread()
                body.spill()
                await to_loop()
            if last:
                break
            message = await ctx.receive()
        if declared is not None and body.size < declared and not ctx.transfer_coded:
            body.fail(ClientDisconnected(f"the body ended early; expected {declared} bytes; got {body.size}"))
        ctx.has_body = False

    async def stream(self, ctx: AppContext, response: Response) -> None:
        """Send a body piece by piece; a server that does not take more makes the iterator wait."""
        body = response._iterable
        if type(body) is FileBody and body.is_short and response.has_body(ctx.method):
            if ctx.on_loop:  # PERF: one hop where the pump takes two, and closing a third (10 KiB file)
                await to_thread()
            response._body, response._iterable = body.drain(), None
        if not ctx.on_loop:
            await to_loop()
        await send_response(ctx, response)

    def suspended(self, ctx: AppContext) -> bool:
        """Start to watch for the client's leaving, unless its body is still to be read."""
        if ctx.has_body or ctx.starting:
            return False
        if ctx.complete:
            return True
        if ctx.watchable is not None:
            ctx.watchable.set()
        elif ctx.watch is None:
            ctx.watch = _Watch(ctx)
        return True

    def client_has_left(self, ctx: AppContext) -> bool:
        """Whether the client has left; a thread that asks while nobody watches has a look at the channel."""
        watched = ctx.watch is not None or (ctx.watchable is not None and ctx.watchable.is_set())
        if not (ctx.disconnected or ctx.has_body or watched or loop_is_running()):
            async_to_sync(_look)(ctx)
        return ctx.disconnected

    def home_key(self) -> Any:
        """What stands for the loop that is running."""
        return home_key()


def home_key() -> Any:
    """The running asyncio loop, or trio's token."""
    loop = asyncio._get_running_loop()
    return loop if loop is not None else modules["trio"].lowlevel.current_trio_token()


async def _look(ctx: AppContext) -> None:
    with anyio.move_on_after(LOOK_SECONDS):
        ctx.disconnected = (await ctx.receive())["type"] == "http.disconnect"


async def serve_lifespan(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the start-up and shutdown functions when the server says so (ASGI lifespan 2.0)."""
    key = home_key()
    startup = partial(app._lifecycle.startup, state=scope.get("state"))
    for event, function in (("startup", startup), ("shutdown", app._lifecycle.shutdown)):
        message = await receive()
        while message["type"] != f"lifespan.{event}":
            message = await receive()
        try:
            await function(key)
        except Exception as exc:
            app.logger.exception("a function for the %s of the server failed", event)
            await send({"type": f"lifespan.{event}.failed", "message": f"{type(exc).__name__}: {exc}"})
            return
        await send({"type": f"lifespan.{event}.complete"})


_GATEWAY: Final = _ASGIGateway()
