"""What is looked at in an application: its settings, its functions, its templates, how it is served.

Owns each check and its words. Runs nothing of the application but its template environment.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from types import FunctionType
from typing import Any, Final

from ..asgi import serve_asgi
from ..plans import side_of
from ..wsgi import serve_wsgi
from .code import app_functions, blocking_call, described, reads_bodies, unwrapped, uses_session
from .findings import SEVERITIES, Finding

__all__ = ["Case", "examine", "is_loopback"]

MIN_KEY: Final = 16  # bytes; 128 bits, as NIST SP 800-107 asks of an HMAC key
MIN_DIFFERENT: Final = 6  # characters of a key that are not all alike
_TEMPLATES: Final = (".html", ".htm", ".xml", ".xhtml", ".svg", ".txt", ".j2", ".jinja", ".jinja2")
_SEPARATORS: Final = str.maketrans("", "", " -_.")
_RANDOM: Final = "python -c 'import secrets; print(secrets.token_hex(32))'"
_GUESSED_STARTS: Final = (
    "dev",
    "secret",
    "change",
    "password",
    "default",
    "qwerty",
    "your-",
    "your_",
    "your ",
    "replace",
)
# In lower case, without what separates words; what else a key has must do without them.
_GUESSED_WORDS: Final = (
    "onlyfordevelopment",
    "randombytes",
    "secretkey",
    "mysecret",
    "password",
    "placeholder",
    "changeme",
)


@dataclass(slots=True)
class Case:
    """What is examined.

    Args:
        app: The application.
        production: Look at what matters in production, too.
        host: The address it is to listen on, if that is known.
        workers: How many processes will serve it, if that is known.
    """

    app: Any
    production: bool = True
    host: str | None = None
    workers: int = 1
    _functions: list[FunctionType] | None = field(default=None, init=False, repr=False)

    @property
    def functions(self) -> list[FunctionType]:
        """The application's functions; read at the first use, within a check, which may fail."""
        if self._functions is None:
            self._functions = app_functions(self.app)
        return self._functions

    @property
    def session_users(self) -> list[FunctionType]:
        """The functions that use the session."""
        return [function for function in self.functions if uses_session(function)]


def examine(case: Case) -> list[Finding]:
    """Everything that is found, the worst first."""
    found: list[Finding] = []
    for check in _CHECKS if case.production else _ALWAYS:
        try:
            found += check(case)
        except Exception as exc:  # an app may be of any shape; one check less is better than none
            problem = f"{check.__name__.strip('_')} could not be checked: {type(exc).__name__}: {exc}"
            found.append(Finding("note", "unchecked", problem, "Report it if the application works."))
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    return host in ("localhost", "::1") or host.startswith(("127.", "unix:")) or host.endswith(".localhost")


def _secret_key(case: Case) -> Iterator[Finding]:
    key = case.app.config.get("SECRET_KEY")
    users = case.session_users
    if not key:
        if users and not case.app.config.get("SESSION_STORE"):
            yield Finding(
                "error",
                "no-secret-key",
                "the session is used, and SECRET_KEY is not set: every use of it raises",
                f"Set it to a random value, from the environment: {_RANDOM}",
                described(users[0]),
            )
        return
    if not case.production:
        return
    text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if _is_guessed(text):
        stored = bool(case.app.config.get("SESSION_STORE"))
        risk = (
            "sessions are in SESSION_STORE and do not rest on it, what extensions sign with it does"
            if stored
            else "whoever knows it signs sessions of any user"
        )
        yield Finding(
            "warning" if stored else "error",
            "weak-secret-key",
            f"SECRET_KEY can be guessed ({len(text)} characters): {risk}",
            f"Take a random one from the environment: {_RANDOM}",
        )


def _is_guessed(key: str) -> bool:
    """Whether a key is short, made of few characters or of runs such as `abcdef`, or known from documentation."""
    pieces = 1 + sum(abs(ord(one) - ord(other)) > 1 for one, other in pairwise(key))
    lower = key.lower()
    rest = joined = lower.translate(_SEPARATORS)
    for word in _GUESSED_WORDS:
        rest = rest.replace(word, "")
    return (
        len(key) < MIN_KEY
        or len(set(key)) < MIN_DIFFERENT
        or pieces < MIN_DIFFERENT
        or lower.startswith(_GUESSED_STARTS)
        or (rest != joined and len(rest) < MIN_KEY)
    )


def _middleware(case: Case) -> Iterator[Finding]:
    own, of_class = vars(case.app), type(case.app)
    wsgi = "wsgi_app" in own or of_class.wsgi_app is not serve_wsgi
    asgi = "asgi_app" in own or of_class.asgi_app is not serve_asgi
    if wsgi and not asgi:
        outer = own.get("wsgi_app", of_class.wsgi_app)
        name = getattr(outer, "__qualname__", type(outer).__name__)
        write = (
            f"Write {name}.install(app, ...)"
            if hasattr(outer, "install")  # one of duoflask.middleware
            else "Write it as a duoflask.middleware.Middleware and install() it, or wrap app.asgi_app as well"
        )
        yield Finding(
            "warning",
            "wsgi-only",
            f"{name} is around app.wsgi_app and nothing around app.asgi_app: under ASGI, as 'duoflask run' serves, it "
            "does not run",
            f"{write}; or serve by WSGI only.",
        )


def _debug(case: Case) -> Iterator[Finding]:
    config = case.app.config
    if case.app.debug and case.host is not None and not is_loopback(case.host):
        yield Finding(
            "error",
            "debug-open",
            f"debug mode is on and {case.host} is open to others: they see its source and values",
            "Listen on 127.0.0.1, or switch debug mode off.",
        )
    elif case.app.debug and case.production:
        yield Finding("warning", "debug", "debug mode is on", "Production runs without --debug and DUOFLASK_DEBUG.")
    if case.production:
        for name in ("TESTING", "PROPAGATE_EXCEPTIONS"):
            if config.get(name):
                yield Finding(
                    "warning", name.lower(), f"{name} is set: what a view raises is answered by the server", "Unset it."
                )


def _cookies(case: Case) -> Iterator[Finding]:
    config = case.app.config
    if not case.session_users:
        return
    https = config.get("PREFERRED_URL_SCHEME") == "https"
    secure, same_site = config.get("SESSION_COOKIE_SECURE"), config.get("SESSION_COOKIE_SAMESITE")
    if secure and not https:
        yield Finding(
            "warning",
            "secure-without-https",
            "SESSION_COOKIE_SECURE is set and PREFERRED_URL_SCHEME is 'http': over http no browser sends the session",
            "Serve it by https and set PREFERRED_URL_SCHEME='https', or unset it.",
        )
    if not secure:
        yield Finding(
            "warning" if https else "note",
            "session-over-http",
            "SESSION_COOKIE_SECURE is not set: the session is sent over plain http too",
            "Set SESSION_COOKIE_SECURE=True where the site has https.",
        )
    if same_site is None:
        yield Finding(
            "note",
            "session-samesite",
            "SESSION_COOKIE_SAMESITE is not set: browsers decide whether other sites' forms come with the session",
            "Set SESSION_COOKIE_SAMESITE='Lax'.",
        )
    elif str(same_site).lower() == "none" and not secure:
        yield Finding(
            "error",
            "samesite-none",
            "SESSION_COOKIE_SAMESITE='None' without SESSION_COOKIE_SECURE: browsers refuse the cookie",
            "Set SESSION_COOKIE_SECURE=True.",
        )
    if not config.get("SESSION_COOKIE_HTTPONLY", True):
        yield Finding(
            "warning", "session-httponly", "scripts of a page can read the session", "Set SESSION_COOKIE_HTTPONLY=True."
        )


def _hosts(case: Case) -> Iterator[Finding]:
    if not case.app.config.get("TRUSTED_HOSTS"):
        yield Finding(
            "warning",
            "any-host",
            "TRUSTED_HOSTS is not set: a client's Host field decides what absolute URLs point to (in mails, redirects)",
            "Set TRUSTED_HOSTS=['example.org', '.example.org'], or have the proxy in front check it.",
        )


def _limits(case: Case) -> Iterator[Finding]:
    if case.app.config.get("MAX_CONTENT_LENGTH") is not None:
        return
    readers = [function for function in case.functions if reads_bodies(function)]
    if readers:
        more = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
        yield Finding(
            "warning",
            "no-body-limit",
            "bodies are read and MAX_CONTENT_LENGTH is not set: a client may fill memory and disk",
            "Set MAX_CONTENT_LENGTH = 16 * 1024 * 1024, and max_content_length= on the routes that need more.",
            described(readers[0]) + more,
        )


def _processes(case: Case) -> Iterator[Finding]:
    in_memory = []
    store = case.app.config.get("SESSION_STORE")
    if store == "memory" or type(store).__name__ == "MemoryStore":
        in_memory.append("SESSION_STORE is 'memory'")
    for name, extension in case.app.extensions.items():
        try:
            backend = getattr(extension, "backend", None) or getattr(extension, "_backend", None)
        except Exception:  # anybody's object, which may want a request
            continue
        if type(backend).__name__ == "MemoryBackend" and type(backend).__module__.startswith("duoflask."):
            in_memory.append(f"the broadcast {name!r} is in memory")
    for what in in_memory:
        yield Finding(
            "error" if case.workers > 1 else "note",
            "one-process",
            f"{what}: each process has its own" + (f", and {case.workers} are to serve" if case.workers > 1 else ""),
            "Serve with one process, or take 'redis://...'.",
        )


def _blocking(case: Case) -> Iterator[Finding]:
    inline = case.app._inline
    for endpoint, view in case.app.view_functions.items():
        function = unwrapped(view)
        call = None if function is None else blocking_call(function)
        if function is None or call is None:
            continue
        if inspect.iscoroutinefunction(function):
            problem = f"the async view {endpoint!r} calls {call}: under ASGI every other request waits for it"
            yield Finding(
                "warning",
                "blocks-loop",
                problem,
                "Write it as plain 'def', or await what it waits for.",
                described(function),
            )
        elif side_of(view, inline) is None:
            problem = (
                f"the view {endpoint!r} is marked inline=True and calls {call}: under ASGI every other request waits"
            )
            yield Finding(
                "warning",
                "blocks-loop",
                problem,
                "Leave inline=True out: it runs in a worker thread then.",
                described(function),
            )


def _rules(case: Case) -> Iterator[Finding]:
    for rule in case.app.url_map.iter_rules():
        if rule.endpoint not in case.app.view_functions and not rule.build_only and rule.redirect_to is None:
            problem = f"the URL rule {str(rule)!r} leads to the endpoint {rule.endpoint!r}, which has no view"
            yield Finding("error", "no-view", problem, f"Write @app.endpoint({rule.endpoint!r}) above it.")


def _templates(case: Case) -> Iterator[Finding]:
    environment = case.app.jinja_env
    try:
        names = sorted(environment.list_templates())
    except TypeError:  # a loader that cannot say what it has
        return
    for name in names:
        if os.path.splitext(name)[1].lower() not in _TEMPLATES:
            continue
        try:
            environment.parse(environment.loader.get_source(environment, name)[0], name)
        except UnicodeDecodeError:
            yield Finding("error", "template", f"the template {name!r} is not UTF-8", "Save it as UTF-8.", name)
        except Exception as exc:
            line = getattr(exc, "lineno", None)
            where = f"{name}:{line}" if line else name
            yield Finding("error", "template", f"the template {name!r} cannot be read: {exc}", "Correct it.", where)


Check = Callable[[Case], Iterator[Finding]]
_ALWAYS: Final[tuple[Check, ...]] = (_secret_key, _debug, _middleware, _rules, _blocking)
_CHECKS: Final[tuple[Check, ...]] = (*_ALWAYS, _cookies, _hosts, _limits, _processes, _templates)
