"""Serving while one develops: under the reloader, with the error page, with pages that reload by themselves.

Owns how these go around the built-in server. What they do stands in `reloader` and `debug`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from .banner import found_path, show_start
from .lazy import LazyModule
from .reloader import Child, current_child, is_running_from_reloader, supervise
from .server import ServerConfig, bind, run
from .server.config import DEFAULT_THREADS
from .server.listen import unix_paths, unlink
from .server.logs import configure_logging
from .server.tls import make_ssl_devcert, ssl_context_of

if TYPE_CHECKING:
    from . import debug, doctor
else:  # what production has no use for
    debug = LazyModule(f"{__package__}.debug")
    doctor = LazyModule(f"{__package__}.doctor")

__all__ = ["run_development", "serve_failure"]

RELOADED_GRACE: Final = 2.0  # seconds for requests in flight when the code has changed

_FIELDS: Final = frozenset(field.name for field in dataclasses.fields(ServerConfig))


def run_development(
    load: Callable[[], Any],
    hostname: str,
    port: int,
    *,
    use_reloader: bool = False,
    use_debugger: bool = False,
    live_reload: bool | None = None,
    extra_files: Iterable[str] | None = None,
    exclude_patterns: Iterable[str] | None = None,
    reloader_interval: float = 1,
    reloader_type: str = "auto",
    import_path: str | None = None,
    prepare: Callable[[Any], Any] = lambda application: application,
    **options: Any,
) -> None:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        load: Returns the application; called in the process that serves.
        hostname: See `server.run`, as for port.
        port: See there.
        use_reloader: Serve in a child that is started again after each change; this process ends with it.
        use_debugger: Answer what the application raises by a page that explains it.
        live_reload: Have pages reload by themselves; by default with the reloader, in debug mode, unless the
            application's setting LIVE_RELOAD is False.
        extra_files: See `reloader.supervise`, as for the three that follow.
        exclude_patterns: See there.
        reloader_interval: See there.
        reloader_type: See there.
        import_path: By which other servers find the application; printed with their commands.
        prepare: What is put around the application besides.
        options: Those of `server.run`.

    Raises:
        OSError: The address cannot be had.
        LifespanError: The application's start-up failed; without the reloader, which shows it.
    """
    if use_reloader and not is_running_from_reloader():
        watching = {
            "extra_files": extra_files,
            "exclude_patterns": exclude_patterns,
            "interval": reloader_interval,
            "reloader_type": reloader_type,
        }
        sys.exit(_supervised(hostname, port, watching, options))
    child = current_child() if use_reloader else None
    if child is None:
        application = load()
        _advise(application, hostname, import_path)
        run(_wrapped(application, prepare, use_debugger), hostname, port, **_secured(options))
    else:
        _serve_child(child, load, hostname, port, use_debugger, live_reload, import_path, prepare, options)


def _supervised(hostname: str, port: int, watching: dict[str, Any], options: dict[str, Any]) -> int:
    """Bind the sockets and run children over them; the exit code."""
    configure_logging()
    config = ServerConfig(
        host=hostname, port=port, **{name: value for name, value in options.items() if name in _FIELDS}
    )
    cert = options.get("ssl_context")
    sockets = (
        [] if sys.platform == "win32" else bind(config)
    )  # Windows' processes inherit none: each child binds its own
    try:
        with TemporaryDirectory() as folder:
            if cert == "adhoc":  # one for all children: a browser is asked about each
                cert = make_ssl_devcert(os.path.join(folder, "duoflask"))
            return supervise(sockets, cert=cert if isinstance(cert, tuple) and len(cert) == 2 else None, **watching)
    finally:
        for sock in sockets:
            sock.close()
        unlink(unix_paths(config))


def _secured(options: dict[str, Any], cert: tuple[str, str] | None = None) -> dict[str, Any]:
    """The options with a context for TLS in the place of what stands for one."""
    wanted = options.pop("ssl_context", None)
    if cert is not None:
        wanted = cert
    return options if wanted is None else {**options, "ssl": ssl_context_of(wanted)}


def _wrapped(application: Any, prepare: Callable[[Any], Any], use_debugger: bool) -> Any:
    application = prepare(application)
    return debug.ErrorPages(application, watches_loop=True) if use_debugger else application


def _serve_child(
    child: Child,
    load: Callable[[], Any],
    hostname: str,
    port: int,
    use_debugger: bool,
    live_reload: bool | None,
    import_path: str | None,
    prepare: Callable[[Any], Any],
    options: dict[str, Any],
) -> None:
    options.setdefault("graceful_timeout", RELOADED_GRACE)
    heading = "The application cannot be loaded"
    try:
        application = load()
        if child.number == 0:
            _advise(application, hostname, import_path)
        child.watch(trees=_folders(application, "template_folder"), static=_folders(application, "static_folder"))
        heading = "The application cannot be started"
        served = _wrapped(application, prepare, use_debugger)
        if _is_live(application, live_reload):
            # A page that is open must never have the last thread of `--interface wsgi`.
            served = debug.LiveReload(
                served, child.key, child.stopping, max_threads=int(options.get("threads", DEFAULT_THREADS)) // 4
            )
        child.start()
        run(served, hostname, port, sockets=child.lend_sockets(), **_secured({**options}, child.cert))
    except Exception as exc:
        # Flask's command line wraps what an import raises, and refuses what names no application.
        ends = getattr(exc, "ends_reloader", None)
        if not use_debugger or (ends and child.number == 0):
            raise
        cause = exc.__cause__ if ends is False and exc.__cause__ is not None else exc
        traceback.print_exception(cause)
        options.pop("ssl", None)
        serve_failure(cause, heading, hostname, port, **options)


def _advise(application: Any, hostname: str, import_path: str | None) -> None:
    """Print how to serve the application in production, and what is wrong with it already."""
    is_development = bool(getattr(application, "debug", False))
    show_start(found_path(application, import_path), is_development=is_development)
    if is_development and isinstance(getattr(application, "config", None), dict):
        for finding in doctor.examine(doctor.Case(application, production=False, host=hostname)):
            click.secho(f" * {finding}", fg="red" if finding.severity == "error" else "yellow", err=True)


def _is_live(application: Any, live_reload: bool | None) -> bool:
    """Whether pages reload by themselves: never outside of debug mode."""
    if live_reload is None:
        config = getattr(application, "config", None)
        live_reload = isinstance(config, dict) and bool(config.get("LIVE_RELOAD", True))
        return live_reload and bool(getattr(application, "debug", False))
    return live_reload and bool(getattr(application, "debug", True))


def serve_failure(exc: BaseException, heading: str, hostname: str = "", port: int = 0, **options: Any) -> None:
    """Show an exception to whoever asks, until the reloader ends this process.

    Args:
        exc: The exception.
        heading: What was going on.
        hostname: See `server.run`, as for what follows.
        port: See there.
        options: See there.
    """
    child = current_child()
    if child is None:
        raise exc
    child.start()
    application = debug.LiveReload(debug.BrokenApp(exc, heading), child.key, child.stopping)
    options = {**options, "interface": "asgi", "lifespan": "off", "graceful_timeout": RELOADED_GRACE}
    run(application, hostname, port, sockets=child.lend_sockets(), **_secured(options, child.cert))


def _folders(application: Any, name: str) -> list[str]:
    """The folders of one kind of an application and of its blueprints."""
    found = []
    blueprints = getattr(application, "blueprints", None)
    for place in [application, *(blueprints.values() if isinstance(blueprints, dict) else ())]:
        folder, root = getattr(place, name, None), getattr(place, "root_path", None)
        if isinstance(folder, (str, os.PathLike)) and isinstance(root, str):
            path = os.path.join(root, folder)
            if os.path.isdir(path):
                found.append(path)
    return found
