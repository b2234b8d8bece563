"""URL converters: what one placeholder of a rule accepts, and how its text becomes a Python value and back.

Owns the built-in converters and the syntax of their arguments. Must not know rules or how they are matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..http.immutable import ImmutableDict
from ..lazy import LazyModule
from .quoting import quote_path

if TYPE_CHECKING:
    import uuid
else:
    uuid = LazyModule("uuid")

__all__ = [
    "DEFAULT_CONVERTERS",
    "AnyConverter",
    "BaseConverter",
    "FloatConverter",
    "IntegerConverter",
    "NumberConverter",
    "PathConverter",
    "UUIDConverter",
    "UnicodeConverter",
    "ValidationError",
    "parse_converter_args",
    "regex_of_words",
]


class ValidationError(ValueError):
    """Raised by a converter's `to_python` (the rule does not match) or `to_url` (the rule does not build)."""


class BaseConverter:
    r"""Base of all converters.

    `regex` is what the text must match as a whole, `weight` orders the placeholders at one place (the lowest
    is tried first), and `part_isolating` says that the text never holds a slash. A subclass that sets a
    `regex` with a slash is not part-isolating unless it says so.
    """

    regex: str = "[^/]+"
    weight: int = 100
    part_isolating: bool = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "regex" in own and "part_isolating" not in own:
            cls.part_isolating = "/" not in cls.regex

    def __init__(self, map: Any, *args: Any, **kwargs: Any) -> None:
        self.map = map

    def to_python(self, value: str) -> Any:
        """Return the value for the view.

        Raises:
            ValidationError: the text is not a value after all; the rule does not match.
        """
        return value

    def quick_to_python(self) -> Callable[[str], Any] | None:
        """Return the cheapest function that does what `to_python` does with a text that matched; None leaves it."""
        return None if type(self).to_python is BaseConverter.to_python else self.to_python

    def to_url(self, value: Any) -> str:
        """Return the value as percent-encoded text for a URL."""
        return quote_path(value)


class UnicodeConverter(BaseConverter):
    """Text without a slash: `<x>`, `<string(length=2):x>`, `<string(minlength=2, maxlength=9):x>`."""

    def __init__(self, map: Any, minlength: int = 1, maxlength: int | None = None, length: int | None = None) -> None:
        super().__init__(map)
        least, most = int(minlength), None if maxlength is None else int(maxlength)
        if length is not None:
            least = most = int(length)
        if least < 0 or (most is not None and most < least):
            raise ValueError(f"no text has between {least} and {most} characters")
        self.regex = f"[^/]{{{least}}}" if length is not None else f"[^/]{{{least},{'' if most is None else most}}}"


def regex_of_words(words: Iterable[str]) -> str:
    """Return the pattern for one of some words; the first that fits."""
    return "(?:" + "|".join([re.escape(word) for word in words]) + ")"


class AnyConverter(BaseConverter):
    """One of the given words: `<any(about, help, "foo,bar"):page>`."""

    def __init__(self, map: Any, *items: str) -> None:
        super().__init__(map)
        if not items:
            raise ValueError("it needs at least one word, as in <any(about, help):page>")
        self.items = set(items)
        self.words = items
        self.regex = regex_of_words(items)

    def to_url(self, value: Any) -> str:
        """Return the value.

        Raises:
            ValueError: it is not one of the words.
        """
        if value in self.items:
            return str(value)
        words = ", ".join(f"'{item}'" for item in sorted(self.items))
        raise ValueError(f"'{value}' is not one of {words}")


class PathConverter(BaseConverter):
    """Text that may hold slashes, but does not start with one: `<path:name>`, `/<path:page>/edit`."""

    part_isolating = False
    regex = "[^/].*?"
    weight = 200


class NumberConverter(BaseConverter):
    """Base of `int` and `float`."""

    weight = 50
    num_convert: ClassVar[Any] = int

    def __init__(
        self,
        map: Any,
        fixed_digits: int = 0,
        min: float | None = None,
        max: float | None = None,
        signed: bool = False,
    ) -> None:
        if signed:
            self.regex = self.signed_regex
        super().__init__(map)
        self.fixed_digits = fixed_digits
        self.min = min
        self.max = max
        self.signed = signed

    def to_python(self, value: str) -> Any:
        """Return the number.

        Raises:
            ValidationError: it has the wrong number of digits, or is out of bounds.
        """
        if self.fixed_digits and len(value) != self.fixed_digits:
            raise ValidationError()
        try:
            number = self.num_convert(value)
        except ValueError as exc:  # more digits than sys.get_int_max_str_digits()
            raise ValidationError() from exc
        if (self.min is not None and number < self.min) or (self.max is not None and number > self.max):
            raise ValidationError()
        return number

    def quick_to_python(self) -> Callable[[str], Any] | None:
        """Return `int` or `float` itself where nothing else is to be checked."""
        plain = type(self).to_python is NumberConverter.to_python and self.num_convert in (int, float)
        if plain and not self.fixed_digits and self.min is None and self.max is None:
            return self.num_convert  # type: ignore[no-any-return]
        return self.to_python

    def to_url(self, value: Any) -> str:
        """Return the number's digits, filled up with zeros to `fixed_digits`."""
        text = str(self.num_convert(value))
        return text.zfill(self.fixed_digits) if self.fixed_digits else text

    @property
    def signed_regex(self) -> str:
        """The pattern with an optional minus sign."""
        return f"-?{self.regex}"


class IntegerConverter(NumberConverter):
    """A whole number: `<int:id>`, `<int(fixed_digits=4):year>`, `<int(min=1, max=9, signed=True):n>`."""

    regex = r"\d+"


class FloatConverter(NumberConverter):
    """A number with a decimal point: `<float:x>`, `<float(min=0.5, signed=True):x>`."""

    regex = r"\d+\.\d+"
    num_convert = float

    def __init__(self, map: Any, min: float | None = None, max: float | None = None, signed: bool = False) -> None:
        super().__init__(map, min=min, max=max, signed=signed)


class UUIDConverter(BaseConverter):
    """A UUID in its usual form (RFC 9562 section 4): `<uuid:id>`."""

    regex = r"[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}"

    def to_python(self, value: str) -> uuid.UUID:
        """Return the UUID."""
        return uuid.UUID(value)

    def to_url(self, value: uuid.UUID) -> str:
        """Return the UUID's text."""
        return str(value)


#: The converters every map starts with.
DEFAULT_CONVERTERS: Mapping[str, type[BaseConverter]] = ImmutableDict(
    {
        "default": UnicodeConverter,
        "string": UnicodeConverter,
        "any": AnyConverter,
        "path": PathConverter,
        "int": IntegerConverter,
        "float": FloatConverter,
        "uuid": UUIDConverter,
    }
)


_ARGUMENT_RE = re.compile(
    r"""\s* (?: (?P<name>\w+) \s*=\s* )?
        (?: [uUrR]? (?P<quoted> "[^"]*" | '[^']*' ) | (?P<bare> [+-]?[\w.]+ ) )
        \s* (?:,|\Z)""",
    re.VERBOSE,
)
_CONSTANTS = {"None": None, "True": True, "False": False}


def _python_value(text: str) -> None | bool | int | float | str:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def parse_converter_args(argstr: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named arguments of `<converter(arguments):name>`.

    Raises:
        ValueError: something in it is neither a word, a number nor a quoted text.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    position = 0
    while argstr[position:].strip():
        item = _ARGUMENT_RE.match(argstr, position)
        if item is None:
            raise ValueError(f"Cannot parse converter argument {argstr[position:].strip()!r}")
        quoted = item["quoted"]
        value = _python_value(item["bare"]) if quoted is None else quoted[1:-1]
        if item["name"]:
            kwargs[item["name"]] = value
        else:
            args.append(value)
        position = item.end()
    return tuple(args), kwargs
