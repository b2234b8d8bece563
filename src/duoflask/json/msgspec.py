"""A JSON provider on the package `msgspec` (the extra `msgspec`): many times as fast as the standard library's.

    from duoflask.json.msgspec import MsgspecProvider

    app.json = MsgspecProvider(app)

Dates and times are written as RFC 3339 says (`2026-11-21T17:00:00Z`), where Flask's provider writes HTTP dates;
decimals as text; UUIDs, dataclasses, structs and enums as `msgspec` does.
"""

from __future__ import annotations

import weakref
from typing import Any

import msgspec

from .provider import DefaultJSONProvider

__all__ = ["MsgspecProvider"]


class MsgspecProvider(DefaultJSONProvider):
    """JSON by `msgspec`.

    `sort_keys` works as in `DefaultJSONProvider`; text is never escaped to ASCII (`ensure_ascii`). Arguments of `dumps`
    and `loads`, such as `indent`, and `response` in debug mode, go to the standard library.
    """

    _writes_bodies = True
    ensure_ascii = False
    sort_keys = False

    _encoder: tuple[bool, msgspec.json.Encoder] | None = None

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialize `obj` to text.

        Args:
            obj: What to write.
            **kwargs: As for `json.dumps`.

        Raises:
            TypeError: An object that neither `msgspec` nor `default` can write.
        """
        if kwargs:
            kwargs.setdefault("default", self._builtins)
            return super().dumps(obj, **kwargs)
        return self._encode(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON from text or UTF-8 bytes.

        Raises:
            ValueError: Not JSON, or nested deeper than Python's recursion limit.
        """
        if kwargs:
            return super().loads(s, **kwargs)
        try:
            return msgspec.json.decode(s)
        except RecursionError:
            raise ValueError("invalid JSON; expected at most some hundred levels; got more") from None

    def body(self, obj: Any) -> bytes:
        """Serialize `obj` as a response's body: compact, or indented in debug mode, with a line feed at the end."""
        compact = self.compact
        if compact is False or (compact is None and self._app.debug):
            return f"{self.dumps(self._builtins(obj), indent=2)}\n".encode()
        return self._encode(obj) + b"\n"

    def _text(self, obj: Any) -> str:
        return self.body(obj).decode()

    def _builtins(self, obj: Any) -> Any:
        """What the standard library can write of an object."""
        return msgspec.to_builtins(obj, enc_hook=self.default)

    def _encode(self, obj: Any) -> bytes:
        kept = self._encoder
        if kept is None or kept[0] is not self.sort_keys:
            order = "deterministic" if self.sort_keys else None
            this: Any = weakref.ref(self)  # and the `default` of now, which may be changed
            hook = lambda obj: this().default(obj)  # noqa: E731
            encoder = msgspec.json.Encoder(enc_hook=hook, decimal_format="string", order=order)  # type: ignore[arg-type]
            self._encoder = kept = self.sort_keys, encoder
        return kept[1].encode(obj)
