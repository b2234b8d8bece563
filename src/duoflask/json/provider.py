"""JSON providers: how an app writes and reads JSON.

Owns the interface, the standard library's implementation and what it does with dates, decimals, UUIDs,
dataclasses and markup. Knows the app only as something with `response_class` and `debug`.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable
from datetime import date
from json import encoder as _encoder
from typing import IO, TYPE_CHECKING, Any, AnyStr, Final

from ..http.dates import http_date
from ..lazy import LazyModule

if TYPE_CHECKING:
    import dataclasses
    import decimal
    import uuid
else:  # 10 ms of `import duoflask` for values that few answers hold
    dataclasses = LazyModule("dataclasses")
    decimal = LazyModule("decimal")
    uuid = LazyModule("uuid")


__all__ = ["DefaultJSONProvider", "JSONProvider"]

_scan: Final[Any] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
# PERF: one kind of character is skipped in half the time of four (body, benchmarks/).
_BLANK: Final = re.compile(r" *+[ \t\n\r]*+").fullmatch

_SPACED: Final = (", ", ": ")
_COMPACT: Final = (",", ":")


class JSONProvider:
    """What an app needs of a JSON library; a subclass overrides at least `dumps` and `loads`.

    Args:
        app: The app; it is referenced weakly.
    """

    def __init__(self, app: Any) -> None:
        self._app_ref: Callable[[], Any] = weakref.ref(app)

    @property
    def _app(self) -> Any:
        """The app, which is referenced weakly because it holds the provider."""
        return self._app_ref()

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialize `obj` to text."""
        raise NotImplementedError(f"{type(self).__name__} has no dumps(); write one")

    def dump(self, obj: Any, fp: IO[str], **kwargs: Any) -> None:
        """Serialize `obj` to a text file."""
        fp.write(self.dumps(obj, **kwargs))

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON from text or UTF-8 bytes."""
        raise NotImplementedError(f"{type(self).__name__} has no loads(); write one")

    def load(self, fp: IO[AnyStr], **kwargs: Any) -> Any:
        """Read JSON from a file of text or UTF-8 bytes."""
        return self.loads(fp.read(), **kwargs)

    def _prepare_response_obj(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not args:
            return kwargs or None
        if kwargs:
            raise TypeError("app.json.response() takes either args or kwargs (one value, or a dict's items); got both")
        return args[0] if len(args) == 1 else args

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """Make a response.

        One argument is serialized as it is, several as a list, keyword arguments as an object, none as null.

        Raises:
            TypeError: Both positional and keyword arguments.
        """
        text = self.dumps(self._prepare_response_obj(args, kwargs))
        return self._app.response_class(text, mimetype="application/json")


def _default(obj: Any) -> Any:
    """Convert what `json` cannot write."""
    if isinstance(obj, date):
        return http_date(obj)
    if isinstance(obj, (decimal.Decimal, uuid.UUID)):
        return str(obj)
    if dataclasses.is_dataclass(obj):
        return dataclasses.asdict(obj)  # type: ignore[arg-type]
    if hasattr(obj, "__html__"):
        return str(obj.__html__())
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


class DefaultJSONProvider(JSONProvider):
    """JSON by the standard library.

    The attributes may be changed at any time, on a class or on an instance.
    """

    default: Callable[[Any], Any] = staticmethod(_default)
    """Convert an object that `json` cannot write to one that it can, or raise `TypeError`."""

    ensure_ascii = True
    """Whether non-ASCII characters are escaped."""

    sort_keys = True
    """Whether the keys of objects are sorted; they must all be of one type then."""

    compact: bool | None = None
    """Whether `response` leaves out indentation and spaces; None means unless the app is in debug mode."""

    mimetype = "application/json"
    """The media type of `response`."""

    # For exactly this class, what `response` does is known: a view's dict or list becomes a body without a response.
    # A subclass does not inherit it.
    _writes_bodies = True

    # The kept encoders, each with the settings that it was made for.
    _spaced: tuple[bool, bool, Callable[[Any], str]] | None = None
    _tight: tuple[bool, bool, Callable[[Any], str]] | None = None

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialize `obj` to text.

        Args:
            obj: What to write.
            **kwargs: As for `json.dumps`; `default`, `ensure_ascii` and `sort_keys` come from the attributes.
        """
        if kwargs:
            kwargs.setdefault("default", self.default)
            kwargs.setdefault("ensure_ascii", self.ensure_ascii)
            kwargs.setdefault("sort_keys", self.sort_keys)
            return json.dumps(obj, **kwargs)
        kept = self._spaced
        if kept is None or kept[0] is not self.ensure_ascii or kept[1] is not self.sort_keys:
            self._spaced = kept = self._keep(_SPACED)
        return kept[2](obj)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON from text or UTF-8 bytes.

        Raises:
            ValueError: Not JSON, or nested deeper than Python's recursion limit.
        """
        try:
            if not kwargs and type(s) is bytes:
                # PERF: what `json.loads` does with UTF-8 once it has found out that it is that: 1 us less. In any other
                # encoding there are NULs, which are not JSON in UTF-8, or a byte order mark.
                try:
                    text = s.decode()
                    value, end = _scan(text, 0)
                    if end == len(text) or _BLANK(text, end):
                        return value
                except (ValueError, StopIteration):
                    pass  # let it be said what is wrong, and where
            return json.loads(s, **kwargs)
        except RecursionError:
            # A thousand brackets are a peer's mistake, not the server's: this way they become a 400.
            raise ValueError("invalid JSON; expected at most some hundred levels; got more") from None

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """Make a response.

        One argument is serialized as it is, several as a list, keyword arguments as an object, none as null.

        Raises:
            TypeError: Both positional and keyword arguments.
        """
        obj = args[0] if len(args) == 1 and not kwargs else self._prepare_response_obj(args, kwargs)
        app = self._app_ref()
        # PERF: 220 ns where the constructor takes 670; the app has it only for a class that sees no difference.
        quick = getattr(app, "_quick_response", None)
        if quick is not None:
            return quick(self.body(obj), self.mimetype)
        return app.response_class(self._text(obj), mimetype=self.mimetype)

    def body(self, obj: Any) -> bytes:
        """Serialize `obj` as a response's body: compact, or indented in debug mode, with a line feed at the end."""
        return self._text(obj).encode()

    def _text(self, obj: Any) -> str:
        compact = self.compact
        if compact is False or (compact is None and self._app_ref().debug):
            text = self.dumps(obj, indent=2)
        elif type(self).dumps is DefaultJSONProvider.dumps:
            kept = self._tight
            if kept is None or kept[0] is not self.ensure_ascii or kept[1] is not self.sort_keys:
                self._tight = kept = self._keep(_COMPACT)
            text = kept[2](obj)
        else:
            text = self.dumps(obj, separators=_COMPACT)
        return f"{text}\n"

    def _keep(self, separators: tuple[str, str]) -> tuple[bool, bool, Callable[[Any], str]]:
        ensure_ascii, sort_keys = self.ensure_ascii, self.sort_keys
        return ensure_ascii, sort_keys, _make_encode(weakref.ref(self), ensure_ascii, sort_keys, separators)


def _make_encode(
    provider: weakref.ref[DefaultJSONProvider],
    ensure_ascii: bool,
    sort_keys: bool,
    separators: tuple[str, str],
) -> Callable[[Any], str]:
    """Make a function that serializes with fixed settings and the provider's current `default`."""

    def default(obj: Any) -> Any:
        current = provider()
        assert current is not None  # it is the caller's caller
        return current.default(obj)

    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys, separators=separators, default=default)
    make_c_encoder: Any = getattr(_encoder, "c_make_encoder", None)
    if make_c_encoder is None:  # another Python
        return encoder.encode

    # PERF: `JSONEncoder.encode` makes this object anew for each call. Kept, {"message": ...} costs 470 ns
    # instead of 1,290 (CPython 3.11). Markers would be shared by threads: without them (None) a circle
    # ends as a RecursionError.
    escape = _encoder.encode_basestring_ascii if ensure_ascii else _encoder.encode_basestring
    item, key = separators
    c_encoder = make_c_encoder(None, default, escape, None, key, item, sort_keys, False, True)
    join = "".join

    def encode(obj: Any) -> str:
        try:
            return join(c_encoder(obj, 0))
        except RecursionError:
            return encoder.encode(obj)  # names the circle, if it is one

    return encode
