"""What may be shown of a value: never a secret, never too much, whatever its `repr` does.

Owns which names are secret, and how values become short text. Knows no request and no page.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["MASK", "Masker", "is_secret", "one_line"]

MASK: Final = "••••••"

_BRACKETS: Final[dict[type, tuple[str, str]]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}

MAX_TEXT: Final = 1_000  # characters of one value
MAX_ITEMS: Final = 40  # of one container
MAX_DEPTH: Final = 4
MAX_SECRETS: Final = 200  # values that are looked for in other values
MIN_SECRET: Final = 8  # characters; a shorter value stands in many texts by chance

# A part of a name that makes what it names a secret. "key", "auth", "pin" and "sid" only as a word of their own.
_SECRET_RE: Final = re.compile(
    r"passw|passphrase|pwd|secret|token|authoriz|authentic|cookie|credential|signature|private|csrf|xsrf|"
    r"(?:api|access|signing|encryption)key|sess(?:ion)?_?-?id|(?-i:[a-z]Keys?(?![a-z]))|"
    r"(?:^|[_\W])(?:keys?|auth|pin|sid|dsn|otp|salt)(?:$|[_\W])",
    re.IGNORECASE,
)
# Names that look like secrets and are settings about them.
_HARMLESS: Final = frozenset(
    {
        "SESSION_COOKIE_DOMAIN",
        "SESSION_COOKIE_HTTPONLY",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_PARTITIONED",
        "SESSION_COOKIE_PATH",
        "SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_SECURE",
        "MAX_COOKIE_SIZE",
        "SESSION_KEY_PREFIX",
    }
)
# Everything that a terminal or a browser could take for more than text: controls, separators, directions, surrogates.
_CONTROL_RE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_USERINFO_RE: Final = re.compile(r"(?<=://)([^\s/@:]{0,200}):[^\s/@]{1,200}@")  # postgresql://user:password@host


def is_secret(name: object) -> bool:
    """Whether what has this name (a variable, a key, a header field) is not to be shown."""
    if isinstance(name, bytes):
        name = name[:200].decode("latin-1")
    return isinstance(name, str) and name not in _HARMLESS and _SECRET_RE.search(name[:200]) is not None


def one_line(text: str) -> str:
    """The text without anything that a terminal takes for a command; line ends and tabs stay."""
    return _CONTROL_RE.sub(lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else "\ufffd", text)


class Masker:
    """Turns values into short text, without the secrets that it has been told or has met."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, value: object) -> None:
        """Have a secret value masked wherever it stands."""
        if isinstance(value, bytes):
            value = value[:MAX_TEXT].decode("utf-8", "replace")
        if isinstance(value, str) and MIN_SECRET <= len(value) <= MAX_TEXT and len(self._known) < MAX_SECRETS:
            self._known.add(value)
        elif isinstance(value, (list, tuple)):
            for item in value[:MAX_ITEMS]:
                self.learn(item)

    def learn_from(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Learn the values of the names that are secret."""
        for name, value in pairs:
            if is_secret(name):
                self.learn(value)

    def clean(self, text: str) -> str:
        """The text without known secrets, passwords in URLs, and control characters."""
        for secret in sorted(self._known, key=len, reverse=True):  # the longest first: one may stand in another
            if secret in text:
                text = text.replace(secret, MASK)
        return one_line(_USERINFO_RE.sub(rf"\1:{MASK}@", text))

    def named(self, name: object, value: Any) -> str:
        """What is shown as the value of a name."""
        if is_secret(name) and value is not None and type(value) is not bool:
            self.learn(value)
            return MASK
        return self.show(value)

    def show(self, value: Any) -> str:
        """The representation of a value, short, and clean."""
        text = self._repr(value, MAX_DEPTH)
        return self.clean(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)")

    def _repr(self, value: Any, depth: int) -> str:
        kind = type(value)
        try:
            if kind is str or kind is bytes:
                return repr(value) if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]!r}… ({len(value)} in all)"
            if kind is int and value.bit_length() > 3_000:
                return f"<int of {value.bit_length()} bits>"
            if isinstance(value, dict):
                return self._mapping(value, kind, dict.items(value), depth)
            if kind in (list, tuple, set, frozenset, deque):
                return self._sequence(value, kind, depth)
            if isinstance(value, Mapping) or _is_fields(value):
                return self._mapping(value, kind, value.items(), depth)
            text = repr(value)
            return text if type(text) is str else "".join(str.__iter__(text))
        except (Exception, SystemExit) as exc:
            return f"<{_name(kind)}: its repr raised {_name(type(exc))}>"

    def _mapping(self, value: Any, kind: type, pairs: Iterable[tuple[Any, Any]], depth: int) -> str:
        if not depth:
            return f"<{_name(kind)} …>"
        shown = []
        for number, (name, item) in enumerate(pairs):
            if number == MAX_ITEMS:
                shown.append("…")
                break
            text = MASK if is_secret(name) and item is not None else self._repr(item, depth - 1)
            if text is MASK:
                self.learn(item)
            shown.append(f"{self._repr(name, depth - 1)}: {text}")
        body = "{" + ", ".join(shown) + "}"
        return body if kind is dict else f"<{_name(kind)} {body}>"

    def _sequence(self, value: Any, kind: type, depth: int) -> str:
        if not depth:
            return f"<{_name(kind)} of {len(value)}>"
        if kind is tuple and len(value) == 2 and isinstance(value[0], (str, bytes)) and is_secret(value[0]):
            self.learn(value[1])  # a header field of an ASGI scope, an item of a dictionary
            return f"({value[0]!r}, {MASK})"
        shown = []
        for number, item in enumerate(value):
            if number == MAX_ITEMS:
                shown.append("…")
                break
            shown.append(self._repr(item, depth - 1))
        opening, closing = _BRACKETS.get(kind, (f"{_name(kind)}([", "])"))
        return opening + ", ".join(shown) + ("," if kind is tuple and len(shown) == 1 else "") + closing


def _is_fields(value: Any) -> bool:
    """Whether something holds pairs without being a mapping: header fields, `g`."""
    return type(value).__module__.startswith("duoflask.") and callable(getattr(type(value), "items", None))


def _name(kind: type) -> str:
    name = type.__dict__["__name__"].__get__(kind)  # a metaclass may have a name of its own
    return str(name)
