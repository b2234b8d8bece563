"""What may be shown of a value: no secret that its name tells, never too much, whatever its `repr` does.

Owns which names are secret, and how values become short text. Knows no request and no page.
"""

from __future__ import annotations

import re
import time
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final
from urllib.parse import quote_plus

__all__ = ["MASK", "Masker", "is_secret", "one_line"]

MASK: Final = "••••••"

_TEXTS: Final[tuple[Any, ...]] = (str, bytes, bytearray, array)
_BRACKETS: Final[dict[type, tuple[str, str]]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}

MAX_TEXT: Final = 1_000  # characters of one value
MAX_ITEMS: Final = 40  # of one container
MAX_DEPTH: Final = 4
MAX_PARTS: Final = 500  # of one value, over all its depths; 40 lists of 40 lists of 40 would take seconds
MAX_SHOWN: Final = 400_000  # characters of all values of a page
MAX_SECONDS: Final = 2.0  # for all of them
MAX_SECRETS: Final = 400  # values that are looked for in other values
MIN_SECRET: Final = 8  # characters; a shorter value stands in many texts by chance

# A part of a name that makes what it names a secret, which is then looked for elsewhere too.
_STRONG: Final = (
    r"passw|passphrase|pwd|secret|token|authoriz|credential|signature|csrf|xsrf|sess(?:ion)?_?-?id|"
    r"(?:api|access|signing|encryption|private)[_-]?key|(?:^|[_\W])(?:pin|otp|pw)(?:$|[_\W])"
)
# One that names other things as well (the key of a dictionary, of a cache): hidden where it stands, and no more.
_WEAK: Final = r"authentic|cookie|private|(?-i:[a-z]Keys?(?![a-z]))|(?:^|[_\W])(?:keys?|auth|sid|dsn|salt)(?:$|[_\W])"
_STRONG_RE: Final = re.compile(_STRONG, re.IGNORECASE)
_SECRET_RE: Final = re.compile(f"{_STRONG}|{_WEAK}", re.IGNORECASE)
# The end of a name that says something about a secret: its field's name, how it is made, how long it lasts.
_ABOUT_RE: Final = re.compile(
    r"(?:name|prefix|path|domain|location|algorithm|field|header|length|size|age|lifetime|expires|timeout|url)s?$",
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
        "PWD",
        "OLDPWD",
    }
)
# Everything that a terminal or a browser could take for more than text: controls, separators, directions, surrogates.
_CONTROL_RE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_USERINFO_RE: Final = re.compile(r"(?<=://)([^\s/@:]{0,200}):[^\s/]{1,200}@")  # postgresql://user:p@ssword@host
# password="...", "token": '...'; each starts at the start of a name and none goes back, so that both are linear.
_NAME: Final = r"(?<![\w.-])(?P<name>[\w.-]{1,100})(?![\w.-])"
_LITERAL_RE: Final = re.compile(
    _NAME + r"""(?P<sign>["']?\]?[ ]{0,3}[:=][ ]{0,3}[bBrRuU]{0,2}(?P<quote>["']))"""
    r"""(?:\\.|(?!(?P=quote))[^\\\n])+(?P<end>(?P=quote)?)"""
)
_ASSIGNED_RE: Final = re.compile(_NAME + r"""(?P<sign>=)(?P<value>[^\s&;,'"()\[\]{}<>]+)""")
_PLAIN_WORDS: Final = frozenset({"None", "True", "False", MASK})
_CODE: Final = (ModuleType, FunctionType, BuiltinFunctionType, type)  # `import secrets` is none


def is_secret(name: object) -> bool:
    """Whether what has this name (a variable, a key, a header field) is not to be shown."""
    if isinstance(name, bytes):
        name = name[:200].decode("latin-1")
    return isinstance(name, str) and name not in _HARMLESS and _SECRET_RE.search(name[:200]) is not None


def is_looked_for(name: object) -> bool:
    """Whether what has this name is a secret wherever else it stands."""
    if isinstance(name, bytes):
        name = name[:200].decode("latin-1")
    if not is_secret(name) or not isinstance(name, str):
        return False
    return _STRONG_RE.search(name[:200]) is not None and _ABOUT_RE.search(name[-20:]) is None


def one_line(text: str) -> str:
    """The text without anything that a terminal takes for a command; line ends and tabs stay.

    It is a `str` itself, so that no class of its own (`Markup`) says that it needs no escaping.
    """
    if type(text) is not str:
        text = "".join(str.__iter__(text))
    return _CONTROL_RE.sub(lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else "\ufffd", text)


def _without_literal(match: re.Match[str]) -> str:
    if not is_looked_for(match["name"]):
        return match[0]
    return f"{match['name']}{match['sign']}{MASK}{match['end']}"


def _without_value(match: re.Match[str]) -> str:
    if match["value"] in _PLAIN_WORDS or not is_looked_for(match["name"]):
        return match[0]
    return f"{match['name']}={MASK}"


class Masker:
    """Turns values into short text, without the secrets that it has been told or has met.

    It shows a page's worth of values and stops after some time, and asks each value once for its representation.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._longest_first: list[str] | None = None  # one secret may stand in another
        self._reprs: dict[int, tuple[Any, str]] = {}  # with the value, so that its id stays its own
        self._shown = 0
        self._parts = 0
        self._deadline: float | None = None

    def learn(self, value: object) -> None:
        """Have a secret value masked wherever it stands."""
        if isinstance(value, bytes):
            value = value[:MAX_TEXT].decode("utf-8", "replace")
        if isinstance(value, str):
            value = one_line(str.__getitem__(value, slice(MAX_TEXT)))
            if len(value) >= MIN_SECRET and MASK not in value and len(self._known) < MAX_SECRETS:
                self._known |= {value, repr(value)[1:-1], quote_plus(value, errors="replace")}
                self._longest_first = None
        elif isinstance(value, (list, tuple)):
            for item in value[:MAX_ITEMS]:
                self.learn(item)

    def learn_from(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Learn the values of the names that are secret."""
        for name, value in pairs:
            if is_looked_for(name):
                self.learn(value)

    def clean(self, text: str) -> str:
        """The text without known secrets, literals under a secret name, passwords in URLs, and control characters."""
        text = one_line(text)
        if self._longest_first is None:
            self._longest_first = sorted(self._known, key=len, reverse=True)
        for secret in self._longest_first:
            if secret in text:
                text = text.replace(secret, MASK)
        return _LITERAL_RE.sub(_without_literal, _USERINFO_RE.sub(rf"\1:{MASK}@", text))

    def message(self, text: str, limit: int) -> str:
        """The start of a text that is no source, without what `clean` takes away and without `password=word`."""
        # Cut a second time: a secret over the first cut would not be known by its beginning.
        return _ASSIGNED_RE.sub(_without_value, self.clean(text[: limit + MAX_TEXT]))[:limit]

    def named(self, name: object, value: Any) -> str:
        """What is shown as the value of a name."""
        if is_secret(name) and value is not None and type(value) is not bool and not isinstance(value, _CODE):
            if is_looked_for(name):
                self.learn(value)
            return MASK
        return self.show(value)

    def show(self, value: Any) -> str:
        """The representation of a value, short, and clean."""
        known = self._reprs.get(id(value))
        if known is None:
            if self._shown >= MAX_SHOWN:
                return "<not shown: there is too much on this page>"
            if self._deadline is None:
                self._deadline = time.monotonic() + MAX_SECONDS
            self._parts = 0
            known = self._reprs[id(value)] = value, self._repr(value, MAX_DEPTH)
        text = known[1]
        shown = self.message(text, MAX_TEXT)
        self._shown += len(shown)
        return shown if len(text) <= MAX_TEXT else f"{shown}… ({len(text)} characters)"

    def start_over(self) -> None:
        """Show everything again, with what was learnt meanwhile."""
        self._shown = 0

    def _repr(self, value: Any, depth: int) -> str:
        kind = type(value)
        self._parts += 1
        if self._parts > MAX_PARTS:
            return "…"
        if self._deadline is not None and time.monotonic() > self._deadline:
            return "<not shown: the others have taken too long>"
        try:
            cut = _cut(value)
            if cut is not None:
                return cut
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
            if text is MASK and is_looked_for(name):
                self.learn(item)
            shown.append(f"{self._repr(name, depth - 1)}: {text}")
        body = "{" + ", ".join(shown) + "}"
        return body if kind is dict else f"<{_name(kind)} {body}>"

    def _sequence(self, value: Any, kind: type, depth: int) -> str:
        if not depth:
            return f"<{_name(kind)} of {len(value)}>"
        if kind is tuple and len(value) == 2 and isinstance(value[0], (str, bytes)) and is_secret(value[0]):
            if is_looked_for(value[0]):  # a header field of an ASGI scope, an item of a dictionary
                self.learn(value[1])
            return f"({value[0]!r}, {MASK})"
        shown = []
        for number, item in enumerate(value):
            if number == MAX_ITEMS:
                shown.append("…")
                break
            shown.append(self._repr(item, depth - 1))
        opening, closing = _BRACKETS.get(kind, (f"{_name(kind)}([", "])"))
        return opening + ", ".join(shown) + ("," if kind is tuple and len(shown) == 1 else "") + closing


def _cut(value: Any) -> str | None:
    """The representation of what is too big for its own; None for what is not, or what holds other values."""
    for kind in _TEXTS:
        if isinstance(value, kind) and kind.__len__(value) > MAX_TEXT:
            return f"{kind.__getitem__(value, slice(MAX_TEXT))!r}… ({kind.__len__(value)} in all)"
    if isinstance(value, int) and int.bit_length(value) > 3_000:
        return f"<int of {int.bit_length(value)} bits>"
    return None


def _is_fields(value: Any) -> bool:
    """Whether something holds pairs without being a mapping: header fields, `g`."""
    return type(value).__module__.startswith("duoflask.") and callable(getattr(type(value), "items", None))


def _name(kind: type) -> str:
    name = type.__dict__["__name__"].__get__(kind)  # a metaclass may have a name of its own
    return str(name)
