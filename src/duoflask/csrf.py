"""Protection against cross-site request forgery: requests that another site makes a user's browser send.

Owns the check and the token. Knows the app by its hooks, the request by its fields, the session as a mapping.

Theory of operation: a browser says where a request comes from. `Sec-Fetch-Site` (W3C Fetch Metadata) is sent to every
HTTPS site, `Origin` (Fetch, WHATWG) with every request of another origin and with every POST; neither can be set by a
page. So most requests are judged by a look at two fields, whatever their body: forms, JSON and uploads alike. Only a
request that has neither, or an opaque origin, needs the token, and only if it carries what a browser adds by itself.
The handshake of a WebSocket is a GET that any page may make, with cookies, and whose answer it may read: it is judged,
too. Browsers always name its origin (RFC 6455 4.1); it has nowhere to put a token.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Container
from typing import Any, Final, TypeVar

from .exceptions import Forbidden
from .globals import current_app, request, session
from .typing import App

__all__ = ["CSRFError", "CSRFProtect", "csrf_token"]

_F = TypeVar("_F")

# Methods that must not change anything (RFC 9110 9.2.1).
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# What a browser sends to a site without being told by its page, besides cookies (RFC 7617, 7616, 4559).
_AMBIENT_SCHEMES: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})

_ORIGIN_RE: Final = re.compile(r"(https?)://([^/?#@\s]{1,300})", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

_SESSION_KEY: Final = "_csrf_token"
_FIELD: Final = "csrf_token"
_HEADERS: Final = ("X-CSRF-Token", "X-CSRFToken")
_TOKEN_BYTES: Final = 32


class CSRFError(Forbidden):
    """403: the request seems to be made by another site, or lacks the token that it needs."""

    description = "This request was not made by a page of this site."


class CSRFProtect:
    """Refuse requests of other sites that would change something.

    It applies to WebSockets, and to all methods but GET, HEAD, OPTIONS and TRACE. CSRF_TRUSTED_ORIGINS names other
    origins whose requests are welcome, such as `https://app.example.com`.

    Args:
        app: The application; or call `init_app` later.
    """

    def __init__(self, app: App | None = None) -> None:
        self._exempt_views: set[Any] = set()
        self._exempt_blueprints: list[Any] = []
        if app is not None:
            self.init_app(app)

    def init_app(self, app: App) -> None:
        """Protect an application; templates get the function `csrf_token`."""
        app.extensions["csrf"] = self
        app.config.setdefault("CSRF_TRUSTED_ORIGINS", ())
        app.before_request(self.protect, inline=True)
        app.context_processor(_for_templates, inline=True)

    def exempt(self, view: _F) -> _F:
        """Leave a view function, or a blueprint, unprotected: for what other sites are to call, such as webhooks.

        Raises:
            TypeError: Neither of them.
        """
        if callable(view):
            self._exempt_views.add(view)
        elif isinstance(getattr(view, "name", None), str):
            self._exempt_blueprints.append(view)
        else:
            raise TypeError(f"invalid exemption; expected a view function or a blueprint; got {type(view).__name__}")
        return view

    def protect(self) -> None:
        """Check the current request, unless its method is safe or its view is exempt.

        Raises:
            CSRFError: It is another site's (403).
        """
        rule = request.url_rule
        if rule is None or (request.method in _SAFE_METHODS and not rule.websocket):
            return
        if current_app.view_functions.get(request.endpoint or "") in self._exempt_views or self._in_exempt_blueprint():
            return
        origin = request.headers.get("Origin")
        if origin is not None and origin in _trusted_origins():
            return
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            if site not in ("same-origin", "none"):
                raise CSRFError()
        elif origin is not None and origin != "null":
            if not _is_own(origin):
                raise CSRFError()
        elif rule.websocket:
            if origin is not None:
                raise CSRFError()
        elif (origin is not None or _is_ambient()) and not _has_token():
            raise CSRFError("This request has neither an Origin nor a valid token. Reload the form and send it again.")

    def _in_exempt_blueprint(self) -> bool:
        # By what they are: a blueprint has another name where it is nested, and two may have the same one.
        return bool(self._exempt_blueprints) and any(
            current_app.blueprints.get(name) in self._exempt_blueprints for name in request.blueprints
        )


def _trusted_origins() -> Container[str]:
    origins: Any = current_app.config["CSRF_TRUSTED_ORIGINS"]
    if isinstance(origins, str):  # 'in' would find each part of it, such as https://app.example.co
        raise TypeError(
            "invalid CSRF_TRUSTED_ORIGINS; expected a list of origins; got text. Write "
            f"[{origins!r}], in an environment variable as JSON."
        )
    return origins  # type: ignore[no-any-return]


def _is_own(origin: str) -> bool:
    """Whether an origin is the host of the request; an https page behind a proxy may ask what is http to us."""
    match = _ORIGIN_RE.fullmatch(origin)
    if match is None:
        return False
    scheme = match[1].lower()
    if scheme == "http" and request.is_secure:  # whoever sits on the wire can make such a page
        return False
    port = _DEFAULT_PORTS[scheme]
    return match[2].lower().removesuffix(port) == request.host.lower().removesuffix(port)


def _is_ambient() -> bool:
    """Whether the request carries what a browser adds by itself: without it there is nobody to impersonate."""
    if "Cookie" in request.headers:
        return True
    scheme = request.headers.get("Authorization", "").partition(" ")[0]
    return scheme.lower() in _AMBIENT_SCHEMES


def _has_token() -> bool:
    """Whether the request repeats the session's token, in a field of its head or of its form."""
    for name in _HEADERS:
        token = request.headers.get(name)
        if token:
            return _is_token(token)
    if request.url_rule is not None and request.url_rule.stream_body:
        return False  # the form is the view's to read
    return _is_token(request.form.get(_FIELD, ""))


def _is_token(token: str) -> bool:
    secret = session.get(_SESSION_KEY)
    if not isinstance(secret, str) or not secret or len(token) > 200:
        return False
    try:
        both = urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        return False
    mask, masked = both[:_TOKEN_BYTES], both[_TOKEN_BYTES:]
    return len(masked) == _TOKEN_BYTES and hmac.compare_digest(_masked(mask, masked).hex(), secret)


def _masked(mask: bytes, value: bytes) -> bytes:
    return (int.from_bytes(mask, "big") ^ int.from_bytes(value, "big")).to_bytes(_TOKEN_BYTES, "big")


def csrf_token() -> str:
    """The token of the session, for the form field `csrf_token` or the field `X-CSRF-Token`.

    It reads differently each time, so that compressed pages do not give it away (BREACH).
    """
    secret = session.get(_SESSION_KEY)
    if not isinstance(secret, str) or len(secret) != 2 * _TOKEN_BYTES or not set(secret) <= set("0123456789abcdef"):
        secret = session[_SESSION_KEY] = os.urandom(_TOKEN_BYTES).hex()
    mask = os.urandom(_TOKEN_BYTES)
    return urlsafe_b64encode(mask + _masked(mask, bytes.fromhex(secret))).decode()


def _for_templates() -> dict[str, Any]:
    return {"csrf_token": csrf_token}
