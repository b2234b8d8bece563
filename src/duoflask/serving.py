"""The built-in server under the names of Werkzeug's: `run_simple`, and `make_server` for a server in a thread.

Owns the translation of arguments. What serves is `server`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

import anyio

from .development import run_development
from .lazy import LazyModule
from .reloader import current_child, is_running_from_reloader, supervise
from .server import Server, ServerConfig, bind, serve
from .server.listen import unix_paths, unlink
from .server.logs import configure_logging
from .server.tls import (
    generate_adhoc_ssl_context,
    generate_adhoc_ssl_pair,
    is_ssl_error,
    load_ssl_context,
    make_ssl_devcert,
    ssl_context_of,
)

__all__ = [
    "BaseWSGIServer",
    "LISTEN_QUEUE",
    "ThreadedWSGIServer",
    "WSGIRequestHandler",
    "connection_dropped_errors",
    "generate_adhoc_ssl_context",
    "generate_adhoc_ssl_pair",
    "get_interface_ip",
    "get_sockaddr",
    "is_running_from_reloader",
    "is_ssl_error",
    "load_ssl_context",
    "make_server",
    "make_ssl_devcert",
    "run_simple",
    "run_with_reloader",
    "select_address_family",
    "serve_task",
]

middleware: Any = LazyModule(f"{__package__}.middleware")  # for `static_files` only

# Arguments of Werkzeug's server that mean nothing to this one.
_WERKZEUG_ONLY: Final = frozenset({"processes", "passthrough_errors", "request_handler", "threaded", "use_evalex"})

LISTEN_QUEUE: Final = 128
connection_dropped_errors: Final = (ConnectionError, TimeoutError, ssl.SSLEOFError)


class WSGIRequestHandler:
    """The base of request handlers that were written for Werkzeug's server, which is built on `http.server`.

    This one is not: a handler class is accepted where Werkzeug takes it, and none of its methods is called.
    """


class BaseWSGIServer:
    """A server that is bound to its address, and serves from `serve_forever()` to `shutdown()`.

    Args:
        host: The address to listen on; `unix://` and a path for a unix socket.
        port: 0 takes a free port.
        app: A WSGI application; a duoflask one is served as ASGI.
        handler: See `WSGIRequestHandler`.
        passthrough_errors: Accepted for Werkzeug's sake; what an application raises is logged and answered by a 500.
        ssl_context: For HTTPS: an `ssl.SSLContext`, a pair of paths (certificate, key), or "adhoc" for a certificate
            that is made up, with the package `cryptography`.
        fd: The descriptor of a listening socket to use instead.

    Raises:
        OSError: The address cannot be had, or a file not be read.
        RuntimeError: "adhoc" without `cryptography`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        app: Any,
        handler: type[WSGIRequestHandler] | None = None,
        passthrough_errors: bool = False,
        ssl_context: Any = None,
        fd: int | None = None,
    ) -> None:
        uds = host[len("unix://") :] if host.startswith("unix://") else None
        self.app = app
        self.ssl_context = ssl_context_of(ssl_context)
        self._config = ServerConfig(
            host=host, port=port, uds=uds, fd=fd, interface=_interface(app), ssl=self.ssl_context
        )
        self.sockets = bind(self._config)
        address = self.sockets[0].getsockname()
        self.server_address = address
        self.host = host
        self.port = self.server_port = port if uds is not None else address[1]
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve in the calling thread until `shutdown()` is called, or, in the main thread, until SIGINT or SIGTERM."""
        if not self._stopped:
            anyio.run(self._serve)

    async def _serve(self) -> None:
        self._server = Server(self.app, self._config, sockets=self.sockets)
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            self._server.stop()
        await self._server.serve()

    def shutdown(self) -> None:
        """Stop gracefully; from any thread, also before `serve_forever()`."""
        self._stopped = True
        server, loop = self._server, self._loop
        if server is not None and loop is not None:
            try:
                loop.call_soon_threadsafe(server.stop)  # not waited for: the loop may end meanwhile
            except RuntimeError:  # it has ended already
                pass

    def server_close(self) -> None:
        """Close the listening sockets."""
        for sock in self.sockets:
            sock.close()
        unlink(unix_paths(self._config))


class ThreadedWSGIServer(BaseWSGIServer):
    """The same under the name that Werkzeug has for one with a thread a request; WSGI applications run in threads."""

    multithread = True
    daemon_threads = True


def make_server(
    host: str,
    port: int,
    app: Any,
    threaded: bool = False,
    processes: int = 1,
    request_handler: type[WSGIRequestHandler] | None = None,
    passthrough_errors: bool = False,
    ssl_context: Any = None,
    fd: int | None = None,
) -> BaseWSGIServer:
    """Make a server that is bound to its address; it always serves many requests at a time, in one process.

    Args:
        host: See `BaseWSGIServer`, as for all that follow but two.
        port: 0 takes a free port.
        app: The application.
        threaded: Accepted for Werkzeug's sake.
        processes: 1.
        request_handler: See `WSGIRequestHandler`.
        passthrough_errors: See there.
        ssl_context: See there.
        fd: A listening socket's descriptor.

    Raises:
        ValueError: More than one process is wanted.
    """
    if processes != 1:
        raise ValueError(
            f"invalid processes; expected 1; got {processes}. Take gunicorn to serve by several processes."
        )
    return BaseWSGIServer(host, port, app, request_handler, passthrough_errors, ssl_context, fd)


def run_simple(
    hostname: str,
    port: int,
    application: Any,
    *,
    static_files: Mapping[str, str | tuple[str, str]] | None = None,
    ssl_context: Any = None,
    **options: Any,
) -> None:
    """Serve an application, blocking, until SIGINT or SIGTERM.

    Args:
        hostname: The address to listen on; `unix://` and a path for a unix socket.
        port: 0 takes a free port.
        application: A WSGI application; a duoflask one is served as ASGI.
        static_files: Paths and the folders served there; see `SharedDataMiddleware`.
        ssl_context: See `BaseWSGIServer`.
        options: Those of `development.run_development` (`use_reloader`, `use_debugger`, `extra_files`, ...) and of
            `duoflask.server.run`; Werkzeug's further ones are accepted for its sake.

    Raises:
        OSError: A file cannot be read.
        SystemExit: The address cannot be had, which stderr says in one line; as Werkzeug's does.
        RuntimeError: "adhoc" without `cryptography`.
    """
    if ssl_context is not None:
        options["ssl_context"] = ssl_context
    for name in _WERKZEUG_ONLY & options.keys():
        del options[name]
    if static_files:
        options["prepare"] = lambda inner: middleware.SharedDataMiddleware(inner, static_files)
    if hostname.startswith("unix://"):
        options["uds"] = hostname[len("unix://") :]
    options.setdefault("interface", _interface(application))
    try:
        run_development(lambda: application, hostname, port, **options)
    except OSError as exc:
        told = _told(exc, port)
        if told is None:
            raise
        sys.stderr.write(f"Error: {told}\n")
        raise SystemExit(1) from None


def _told(exc: OSError, port: int) -> str | None:
    """What to say of an address that cannot be had; None for any other error."""
    text = str(exc.strerror)
    if not text.startswith("cannot listen on "):
        return None
    if exc.errno == errno.EADDRINUSE and 0 < port < 65535:
        return f"{text}. Stop what listens there, or choose another port: app.run(port={port + 1})"
    return text


def serve_task(
    app: Any,
    host: str,
    port: int,
    ca_certs: str | None,
    certfile: str | None,
    keyfile: str | None,
    shutdown_trigger: Callable[[], Awaitable[object]] | None,
) -> Coroutine[Any, Any, None]:
    """Return what serves an app on the loop that awaits it; arguments as for `DuoFlask.run_task`.

    Raises:
        OSError: A file cannot be read.
        TypeError: `keyfile` or `ca_certs` without `certfile`.
    """
    context = None
    if certfile is not None:
        context = load_ssl_context(certfile, keyfile)
        if ca_certs is not None:
            context.load_verify_locations(ca_certs)
            context.verify_mode = ssl.CERT_REQUIRED
    elif keyfile is not None or ca_certs is not None:
        raise TypeError("keyfile and ca_certs are for HTTPS, which takes a certificate, too; pass certfile='...'")
    return serve(app, host=host, port=port, ssl=context, shutdown_trigger=shutdown_trigger)


def _interface(app: Any) -> Any:
    return "asgi" if hasattr(app, "asgi_app") else "wsgi"


def run_with_reloader(
    main_func: Callable[[], None],
    extra_files: Iterable[str] | None = None,
    exclude_patterns: Iterable[str] | None = None,
    interval: float = 1,
    reloader_type: str = "auto",
) -> None:
    """Call a function in a child of this process that is started again after each change of its code.

    Args:
        main_func: The function; it is called in the child.
        extra_files: See `reloader.supervise`, as for all that follow.
        exclude_patterns: See there.
        interval: See there.
        reloader_type: See there.

    Raises:
        SystemExit: In the parent, when the child has ended for good.
    """
    if not is_running_from_reloader():
        configure_logging()
        sys.exit(
            supervise(
                extra_files=extra_files,
                exclude_patterns=exclude_patterns,
                interval=interval,
                reloader_type=reloader_type,
            )
        )
    child = current_child()
    if child is not None:
        child.start()
    main_func()


def select_address_family(host: str, port: int) -> socket.AddressFamily:
    """Return the family of sockets for an address: unix for `unix://`, IPv6 for one with a colon, else IPv4."""
    if host.startswith("unix://"):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def get_sockaddr(host: str, port: int, family: socket.AddressFamily) -> tuple[str, int] | str:
    """Return what `socket.bind()` takes for an address; a host's name is looked up."""
    if host.startswith("unix://"):
        return os.path.abspath(host[len("unix://") :])
    try:
        addresses = socket.getaddrinfo(host, port, family, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return host, port
    return next(address for *_, address in addresses)  # type: ignore[return-value]


def get_interface_ip(family: socket.AddressFamily) -> str:
    """Return the address by which others reach this machine, or the loopback one; nothing is sent."""
    ipv6 = family == socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(("2001:db8::1" if ipv6 else "192.0.2.1", 9))  # addresses of RFC 3849 and 5737: nobody's
            return str(sock.getsockname()[0])
    except OSError:
        return "::1" if ipv6 else "127.0.0.1"


def _log(type: str, message: str, *args: Any, **kwargs: Any) -> None:
    """Log a line as `werkzeug`, which some extensions write to.

    Args:
        type: The level: `info`, `error`, ...
        message: The line.
        args: For its placeholders.
        kwargs: For the logger's method.
    """
    logger = logging.getLogger("werkzeug")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    getattr(logger, type)(message.rstrip(), *args, **kwargs)
