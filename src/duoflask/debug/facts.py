"""What is known of a request that failed: the request itself, its session, the configuration, its endpoint's plan.

Owns what is looked at, and when: nothing is parsed, opened or read that the request has not parsed, opened or read
before. Knows a context as what its slots say.
"""

from __future__ import annotations

import base64
import inspect
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final

from ..ctx import AppContext
from ..http.header_views import EnvironHeaders, ScopeHeaders
from ..http.uri import parse_query
from ..plans import Plan, Step
from .frames import Failure
from .masking import MASK, Masker, is_secret, one_line

__all__ = ["Planned", "Section", "context_sections", "plan_of", "request_section", "target_of"]

MAX_ROWS: Final = 200
# Where a function runs under WSGI and under ASGI, by the side that it starts on.
_PLACES: Final = {
    "wsgi": {False: "server's thread", True: "portal", None: "server's thread"},
    "asgi": {False: "worker thread", True: "server's loop", None: "inline, on the loop"},
}


@dataclass(slots=True)
class Section:
    """A table of names and values."""

    title: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    empty: str = "nothing"


@dataclass(slots=True)
class Planned:
    """One step of the plan: "ran", "failed here", "not reached" or "runs in any case"."""

    stage: str
    name: str
    place: str
    state: str = ""
    code: CodeType | None = None


def target_of(source: Any) -> str:
    """The method and the path of a request, escaped by nobody."""
    if "type" in source:
        query = source.get("query_string", b"").decode("latin-1")
        path = source.get("path", "")
        return f"{source.get('method', '')} {path}{'?' if query else ''}{query}"
    query = environ_text(source.get("QUERY_STRING"))
    path = environ_text(source.get("SCRIPT_NAME")) + environ_text(source.get("PATH_INFO"))
    return f"{source.get('REQUEST_METHOD', '')} {path}{'?' if query else ''}{query}"


def environ_text(raw: Any) -> str:
    """A path of an environ as text: PEP 3333 has its bytes as latin-1."""
    return str(raw or "").encode("latin-1", "replace").decode("utf-8", "replace")


def request_section(source: Any, masker: Masker) -> Section:
    """What the server knows of a request: method, URL, fields.

    Args:
        source: The environ, or the http scope.
        masker: Turns values into text.
    """
    is_scope = "type" in source
    headers: Any = ScopeHeaders(source.get("headers", ())) if is_scope else EnvironHeaders(source)
    pairs = [(str(name), str(value)) for name, value in list(headers.items())[:MAX_ROWS]]
    _learn_from_fields(pairs, masker)
    masker.learn_from(os.environ.items())
    method, _, url = target_of(source).partition(" ")
    client = source.get("client") if is_scope else (source.get("REMOTE_ADDR"), source.get("REMOTE_PORT"))
    rows = [
        ("method", masker.clean(method)),
        ("URL", masker.clean(_masked_query(url, masker)[:5_000])),
        ("protocol", f"{'ASGI' if is_scope else 'WSGI'}, HTTP/{_version(source)}"),
        ("client", masker.clean(" ".join(str(part) for part in client or () if part))),
    ]
    for name, value in pairs:
        shown = _cookie_names(value) if name.lower() == "cookie" else MASK if is_secret(name) else value[:2_000]
        rows.append((masker.clean(name), masker.clean(shown)))
    return Section("Request", rows)


def _learn_from_fields(pairs: list[tuple[str, str]], masker: Masker) -> None:
    """Learn what a client has sent as its own: each cookie's value, a token, a password."""
    for name, value in pairs:
        lowered = name.lower()
        if lowered == "cookie":
            for piece in value.replace("=", ";").split(";")[:MAX_ROWS]:
                masker.learn(piece.strip().strip('"'))
        elif lowered in ("authorization", "proxy-authorization"):
            scheme, _, credentials = value.partition(" ")
            masker.learn(credentials.strip())
            if scheme.lower() == "basic":
                try:
                    _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
                except ValueError:
                    continue
                masker.learn(password)
        elif is_secret(name):
            masker.learn(value)


def _version(source: Any) -> str:
    return str(source.get("http_version") or str(source.get("SERVER_PROTOCOL", "")).removeprefix("HTTP/"))


def _masked_query(url: str, masker: Masker) -> str:
    path, mark, query = url.partition("?")
    masker.learn_from(parse_query(query[:20_000].encode("utf-8", "replace"))[:MAX_ROWS])
    shown = []
    for item in query.split("&") if mark else ():
        name, equals, _ = item.partition("=")
        shown.append(f"{name}={MASK}" if equals and is_secret(name) else item)
    return path + mark + "&".join(shown)


def _cookie_names(value: str) -> str:
    names = [item.partition("=")[0].strip() for item in value.split(";")[:MAX_ROWS]]
    return "; ".join([f"{name}={MASK}" for name in names if name])


def context_sections(ctx: AppContext, masker: Masker) -> list[Section]:
    """What the application knows of the request: endpoint, arguments, form, session, g, configuration."""
    masker.learn_from(ctx.app.config.items())
    sections = [_matched(ctx, masker)]
    attributes = {} if ctx._request is None else ctx._request.__dict__
    for name in ("form", "files"):
        fields = attributes.get(name)
        if fields:  # the keys alone: what people type is theirs
            if name == "form":
                masker.learn_from(list(fields.items())[:MAX_ROWS])
            keys = list(fields)[:MAX_ROWS]
            sections.append(
                Section(f"{name.capitalize()} fields", [(masker.clean(str(key)[:200]), "") for key in keys])
            )
    body = attributes.get("_json_results", {})  # what `get_json()` has returned
    for parsed in body.values() if isinstance(body, dict) else ():
        if isinstance(parsed, dict):
            masker.learn_from(list(parsed.items())[:MAX_ROWS])
    if ctx._session is not None:
        sections.append(_table("Session", _items(ctx._session), masker, "The session is empty."))
    if ctx._g is not None:
        sections.append(_table("g", vars(ctx._g).items(), masker))
    sections.append(_table("Configuration", sorted(ctx.app.config.items(), key=lambda item: str(item[0])), masker))
    return sections


def _items(mapping: Any) -> Iterable[tuple[Any, Any]]:
    # Below the look that counts as an access of the session, and would add Vary to a response.
    return dict.items(mapping) if isinstance(mapping, dict) else mapping.items()


def _table(title: str, pairs: Iterable[tuple[Any, Any]], masker: Masker, empty: str = "nothing") -> Section:
    try:
        rows = [(masker.clean(str(name)[:200]), masker.named(name, value)) for name, value in list(pairs)[:MAX_ROWS]]
    except Exception as exc:  # a session of anybody's
        rows = [("", f"cannot be shown: {type(exc).__name__}")]
    return Section(title, rows, empty)


def _matched(ctx: AppContext, masker: Masker) -> Section:
    rule = ctx.rule
    rows = [("application", masker.clean(repr(ctx.app)))]
    if rule is None:
        rows.append(("URL rule", "none matched"))
    else:
        rows += [("URL rule", masker.clean(str(rule))), ("endpoint", masker.clean(str(rule.endpoint)))]
    if ctx.view_args:
        rows.append(("view arguments", masker.show(ctx.view_args)))
    return Section("Matched", rows)


def plan_of(plan: Plan, protocol: str, failure: Failure) -> list[Planned]:
    """The steps of a plan, and how far the request got: the one whose code is in the traceback is where it failed."""
    places = _PLACES[protocol]
    stages: list[tuple[str, Iterable[Step]]] = [
        ("url value preprocessor", plan.preprocessors),
        ("before request", plan.before),
        ("view", [] if plan.view is None else [(plan.view, plan.view_on_loop)]),
        ("after request", plan.after),
        ("teardown request", plan.teardown_request),
        ("teardown appcontext", plan.teardown_app),
    ]
    steps = [
        Planned(stage, _name(function), places[on_loop], code=_code(function))
        for stage, functions in stages
        for function, on_loop in functions
    ]
    codes = {frame.code for part in failure.walk() for frame in part.frames}
    failed = next((number for number, step in enumerate(steps) if step.code in codes and step.code is not None), None)
    for number, step in enumerate(steps):
        if step.stage.startswith("teardown"):
            step.state = "runs in any case" if number != failed else "failed here"
        elif failed is not None:
            step.state = "ran" if number < failed else "failed here" if number == failed else "not reached"
    return steps


def _code(function: Any) -> CodeType | None:
    try:
        function = inspect.unwrap(getattr(function, "__func__", function))
    except ValueError:  # it wraps itself
        return None
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _name(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or repr(function)
    return one_line(f"{getattr(function, '__module__', None) or ''}.{name}"[:300].lstrip("."))
