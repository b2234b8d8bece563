"""Sessions in a signed cookie: the default, in Flask's format to the byte.

Owns the interface, and the limit of what it opens. What the cookie is made of stands in `signing`. Knows no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..json.tag import TaggedJSONSerializer
from ..lazy import LazyModule
from ..request import Request
from ..response import Response
from ..typing import App
from .interface import SessionInterface, vary_on_cookie
from .session import SecureCookieSession, SessionMixin, note_unwritable

if TYPE_CHECKING:
    import hashlib

    from itsdangerous import URLSafeTimedSerializer

    from . import signing
else:  # an app without a session in a signed cookie needs neither
    hashlib = LazyModule("hashlib")
    signing = LazyModule(f"{__package__}.signing")

__all__ = ["SecureCookieSessionInterface", "session_json_serializer"]

# Browsers keep 4096 bytes (RFC 6265 6.1), so a longer cookie is none of ours; servers take fields of 8 to 64 KiB.
DEFAULT_MAX_SESSION_COOKIE: Final = 16_384

session_json_serializer = TaggedJSONSerializer()


def _lazy_sha1(string: bytes = b"") -> Any:
    """SHA-1, looked up when it is called: a FIPS build may lack it although another digest is configured."""
    return hashlib.sha1(string)


class SecureCookieSessionInterface(SessionInterface):
    """Sessions in a signed cookie."""

    salt: str | bytes = "cookie-session"
    """What distinguishes these signatures from others that are made with the same secret key."""

    digest_method: Any = staticmethod(_lazy_sha1)
    """The hash function of the signature."""

    key_derivation = "hmac"
    """How `itsdangerous` derives the signing key from secret key and salt."""

    serializer: Any = session_json_serializer
    """What writes and reads the payload."""

    session_class: ClassVar[type[Any]] = SecureCookieSession
    does_io = False

    def get_signing_serializer(self, app: App) -> URLSafeTimedSerializer | None:
        """What signs with SECRET_KEY and opens what that or one of SECRET_KEY_FALLBACKS signed; None without a key."""
        secret = app.secret_key  # not the key of config: a subclass may have it as a constant
        if not secret:
            return None
        fallbacks = app.config["SECRET_KEY_FALLBACKS"]
        made_of = (
            secret,
            list(fallbacks) if fallbacks else None,
            self.salt,
            self.key_derivation,
            self.digest_method,
            self.serializer,
        )
        kept = app._signing
        if kept is None or kept[0] != made_of:
            kept = app._signing = (made_of, self._make_serializer(*made_of))
        return kept[1]

    @staticmethod
    def _make_serializer(
        secret: Any, fallbacks: Any, salt: Any, key_derivation: str, digest_method: Any, serializer: Any
    ) -> URLSafeTimedSerializer:
        keys = [*(fallbacks or ()), secret]  # itsdangerous signs with the last
        try:
            return signing.KeptSerializer(
                keys, salt, serializer, key_derivation=key_derivation, digest_method=digest_method
            )
        except TypeError as exc:
            for name, key in (("SECRET_KEY", secret), *(("SECRET_KEY_FALLBACKS", key) for key in fallbacks or ())):
                if not isinstance(key, (str, bytes, bytearray)):
                    raise _wrong_key(name, key) from exc
            raise

    def open_session(self, app: App, request: Request) -> Any:
        """Open the session that the request's cookie holds.

        A cookie that is missing, tampered, expired, from the future, longer than 16 KiB or unreadable gives an empty
        one. None without a secret key.
        """
        return self.open_value(app, request.cookies.get(self.get_cookie_name(app)))

    def open_value(self, app: App, value: str | None) -> Any:
        """Open the session of a cookie's value, as `open_session` does."""
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        if value and len(value) <= DEFAULT_MAX_SESSION_COOKIE:
            max_age = int(app.permanent_session_lifetime.total_seconds())
            try:
                return self.session_class(_checked(serializer.loads(value, max_age=max_age)))
            except Exception:  # whatever the browser keeps, it must not be an error at each of its requests
                pass
        session = self.session_class()
        session.new = True
        return session

    def save_session(self, app: App, session: SessionMixin, response: Response) -> None:
        """Set the cookie of a session that was modified, delete that of one that was emptied."""
        changed = session.modified if not session else self.should_set_cookie(app, session)
        if changed or session.accessed:
            vary_on_cookie(response)
        if not changed:
            return
        if not session:
            self._delete_cookie(app, response)
            return
        serializer = self.get_signing_serializer(app)
        assert serializer is not None  # or there would be a null session
        try:
            text = serializer.dumps(dict(session))
        except Exception as exc:
            note_unwritable(exc, self.serializer, session)
            raise
        self._set_cookie(app, session, response, text)


def _wrong_key(name: str, key: Any) -> TypeError:
    """The error for a key that signs nothing; the key itself stays a secret."""
    beside = "" if name == "SECRET_KEY" else " in its list"
    return TypeError(
        f"invalid {name}; expected str or bytes{beside}; got the type {type(key).__name__!r}, which signs no session. "
        f"Set app.config[{name!r}] to text or bytes, as secrets.token_hex() makes them."
    )


def _checked(content: Any) -> dict[str, Any]:
    """The content of a session, which has to be an object."""
    if not isinstance(content, dict):
        raise ValueError(f"invalid session; expected an object; got {type(content).__name__}")
    return content
