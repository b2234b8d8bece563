"""The Cache-Control field (RFC 9111 5.2): `RequestCacheControl` to read, `ResponseCacheControl` to write.

Both are dicts of directives, in lower case; an attribute gives a directive its type. A directive without an
argument has the value None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from .age import parse_delta_seconds
from .callback_dict import CallbackDict
from .immutable import ImmutableDictMixin
from .options import dump_header, parse_dict_header

__all__ = ["CacheControl", "RequestCacheControl", "ResponseCacheControl", "parse_cache_control_header"]

Kind = Literal["flag", "seconds", "seconds or flag", "text or flag"]


class _Directive:
    """An attribute that stands for a directive.

    Args:
        name: The directive.
        kind: `flag` is True or False. `seconds` is a number, None if missing or invalid; `seconds or flag` may
            also be True, a directive without an argument. `text or flag` is text, True or None.
    """

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.__doc__ = f"The directive `{name}`, {kind}."

    def __get__(self, instance: CacheControl | None, owner: type) -> Any:
        if instance is None:
            return self
        name, kind = self.name, self.kind
        if kind == "flag":
            return name in instance
        if name not in instance:
            return None
        value = instance[name]
        if value is None:
            return True if kind.endswith("or flag") else None
        return value if kind == "text or flag" else parse_delta_seconds(str(value))

    def __set__(self, instance: CacheControl, value: Any) -> None:
        name, kind = self.name, self.kind
        if value is None or value is False or (kind == "flag" and not value):
            instance.pop(name, None)
        elif value is True or kind == "flag":
            instance[name] = None
        elif kind == "text or flag":
            instance[name] = str(value)
        elif int(value) >= 0:
            instance[name] = str(int(value))
        else:
            raise ValueError(f"invalid {name} of Cache-Control; expected seconds, not negative; got {value!r}")

    def __delete__(self, instance: CacheControl) -> None:
        instance.pop(self.name, None)


class CacheControl(CallbackDict[str, Any]):
    """What both kinds share: the directives that requests and responses have."""

    max_age = _Directive("max-age", "seconds")
    no_store = _Directive("no-store", "flag")
    no_transform = _Directive("no-transform", "flag")
    stale_if_error = _Directive("stale-if-error", "seconds")

    def to_header(self) -> str:
        """Return the header's value."""
        return dump_header(self)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        directives = " ".join([f"{name}={value!r}" for name, value in sorted(self.items())])
        return f"<{type(self).__name__} {directives}>"


class RequestCacheControl(ImmutableDictMixin, CacheControl):  # type: ignore[misc]
    """What a request wants of caches; read-only."""

    max_stale = _Directive("max-stale", "seconds or flag")
    min_fresh = _Directive("min-fresh", "seconds")
    no_cache = _Directive("no-cache", "flag")
    only_if_cached = _Directive("only-if-cached", "flag")


class ResponseCacheControl(CacheControl):
    """What caches may do with a response."""

    no_cache = _Directive("no-cache", "text or flag")
    immutable = _Directive("immutable", "flag")
    must_revalidate = _Directive("must-revalidate", "flag")
    must_understand = _Directive("must-understand", "flag")
    private = _Directive("private", "text or flag")
    proxy_revalidate = _Directive("proxy-revalidate", "flag")
    public = _Directive("public", "flag")
    s_maxage = _Directive("s-maxage", "seconds")
    stale_while_revalidate = _Directive("stale-while-revalidate", "seconds")


def parse_cache_control_header(
    value: str | None, on_update: Callable[[Any], None] | None = None, cls: type[Any] | None = None
) -> Any:
    """Read a Cache-Control field.

    Args:
        value: The field; None is an empty one.
        on_update: Called with the result after each change.
        cls: The class to make, `RequestCacheControl` if None.
    """
    directives = {name.lower(): text for name, text in parse_dict_header(value or "").items()}
    return (RequestCacheControl if cls is None else cls)(directives, on_update)
