"""Patterns: the text of a rule read into literal text and variables, and cut into the parts of a path.

Owns the rule language, the errors that point at a misspelt place, and the regular expressions for parts with
variables. Must not know rules (their methods, endpoints, redirects) or the tree that is made of the parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from .converters import (
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
    parse_converter_args,
)
from .errors import point_at

__all__ = ["Element", "PatternReader", "Placeholder", "Variable", "cut"]

_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_PLACEHOLDER_RE = re.compile(rf"<(?:(?P<converter>{_NAME})(?:\((?P<arguments>.*?)\))?:)?(?P<variable>{_NAME})>")
# Converters whose text never holds a slash.
_PLAIN_CONVERTERS = (UnicodeConverter, IntegerConverter, FloatConverter, UUIDConverter)


class Variable(NamedTuple):
    """A placeholder of a rule."""

    name: str
    converter: BaseConverter


Element = str | Variable


class PatternReader:
    """Reads the patterns of one rule (its domain's and its path's), which share their variables' names."""

    def __init__(
        self,
        get_converter: Callable[[str, str, tuple[Any, ...], Mapping[str, Any]], BaseConverter],
        converter_names: Collection[str],
    ) -> None:
        self.get_converter = get_converter
        self.converter_names = converter_names
        self.names: set[str] = set()

    def read(self, pattern: str) -> Iterator[Element]:
        """Return the literal texts and the variables of a pattern, in order.

        Raises:
            ValueError: it is malformed, or a variable's name appears twice.
            LookupError: there is no such converter.
            TypeError: the converter does not take these arguments.
        """
        position = 0
        while position < len(pattern):
            start = pattern.find("<", position)
            literal = pattern[position:] if start < 0 else pattern[position:start]
            if ">" in literal:
                place = position + literal.index(">")
                hint = "A placeholder is written <name> or <converter:name>."
                raise ValueError(point_at("malformed url rule: '>' without '<'", pattern, place, place + 1, hint))
            if literal:
                yield literal
            if start < 0:
                return
            match = _PLACEHOLDER_RE.match(pattern, start)
            if match is None:
                raise ValueError(_explain_placeholder(pattern, start))
            yield self._variable(pattern, match)
            position = match.end()

    def _variable(self, pattern: str, match: re.Match[str]) -> Variable:
        name = match["variable"]
        if name in self.names:
            problem = f"variable name {name!r} is used twice in url rule {pattern!r}"
            hint = "Give each placeholder of the rule a name of its own."
            raise ValueError(point_at(problem, pattern, *match.span("variable"), hint))
        self.names.add(name)
        kind = match["converter"] or "default"
        try:
            args, kwargs = parse_converter_args(match["arguments"] or "")
            return Variable(name, self.get_converter(name, kind, args, kwargs))
        except LookupError as exc:
            raise LookupError(self._explain_converter(pattern, match, exc)) from exc
        except (TypeError, ValueError) as exc:
            span = match.span("arguments") if match["arguments"] else match.span()
            problem = f"bad arguments for the converter {kind!r}: {exc}"
            error = TypeError if isinstance(exc, TypeError) else ValueError
            raise error(point_at(problem, pattern, *span)) from exc

    def _explain_converter(self, pattern: str, match: re.Match[str], exc: LookupError) -> str:
        known = sorted(self.converter_names)
        if match["variable"] in known:
            hint = f"Write <{match['variable']}:{match['converter']}> instead: the converter comes first."
        else:
            hint = f"Use one of {', '.join(known)}, or add your own to url_map.converters before the rule."
        start, end = match.span("converter" if match["converter"] else 0)
        return point_at(str(exc.args[0] if exc.args else exc), pattern, start, end, hint)


def _explain_placeholder(pattern: str, start: int) -> str:
    """Say what is wrong with the placeholder at `start`, and what to write instead."""
    end = pattern.find(">", start)
    message = f"malformed url rule: {pattern!r}"
    inside = pattern[start + 1 : end]
    if end < 0 or "<" in inside:
        stop = len(pattern) if end < 0 else start + 1 + inside.index("<")
        slash = pattern.find("/", start, stop)
        stop = stop if slash < 0 else slash
        fixed = pattern[start:stop] + ">"
        return point_at(message, pattern, start, stop, f"The placeholder is never closed: write {fixed} instead.")
    if not inside.strip():
        hint = "A placeholder needs a name: write <name> or <converter:name>."
    elif "(" in inside and ")" not in inside:
        hint = "The converter's arguments are never closed: write <converter(arguments):name>."
    elif inside.endswith(":") or inside.endswith(")"):
        hint = "The placeholder has a converter and no name: write <converter:name>."
    elif re.search(r"\s", inside):
        hint = f"A placeholder has no spaces: write <{re.sub(r'[ ]+', '', inside)}> instead."
    else:
        hint = "Converter and name consist of letters, digits and underscores, and do not start with a digit."
    return point_at(message, pattern, start, end + 1, hint)


class Placeholder:
    """A part of a rule with at least one variable.

    Attributes:
        content: the pattern as the rule says it; equal patterns share a node.
        final: it runs to the end of the path.
        suffixed: it is final, and its rule ends with a slash, which the pattern leaves to the slash redirect.
        weight: the order among the placeholders of a node.
    """

    def __init__(self, elements: list[Element], final: bool, last: bool) -> None:
        self.elements = elements
        self.final = final
        end = elements[-1]
        self.suffixed = final and last and isinstance(end, str) and end.endswith("/")
        texts = [piece for text in elements if isinstance(text, str) for piece in text.split("/") if piece]
        variables = [item for item in elements if isinstance(item, Variable)]
        self.variables = variables
        statics = tuple((number, -len(text)) for number, text in enumerate(texts))
        weights = tuple(variable.converter.weight for variable in variables)
        self.weight = (-len(statics), statics, -len(weights), weights)
        self.content = "".join(
            [
                re.escape(item) if isinstance(item, str) else f"(?P<_duoflask_{number}>{item.converter.regex})"
                for number, item in enumerate(elements)
            ]
        )
        self.key = (self.content, final, self.suffixed, self.weight)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern: a named group for each variable; if suffixed, a last one for the slash."""
        elements, tail = self.elements, r"\Z"
        if self.suffixed:
            elements = [*elements[:-1], str(elements[-1])[:-1]]
            tail = r"(?<!/)(/?)\Z"
        return re.compile("".join(_element_patterns(elements)) + tail)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the pattern's groups, one per variable."""
        return tuple(f"_duoflask_{number}" for number, item in enumerate(self.elements) if isinstance(item, Variable))

    def match(self, text: str) -> re.Match[str] | None:
        """Match a whole segment, or the rest of the path if final."""
        return self.pattern.match(text)

    def test(self) -> Callable[[str], Any] | None:
        """Return the cheapest test for a segment that is one variable; None if it takes more than a test."""
        if self.final or len(self.elements) != 1:
            return None
        converter = self.variables[0].converter
        if type(converter) is IntegerConverter and not converter.signed:
            return str.isdecimal
        if type(converter) is UnicodeConverter and converter.regex == "[^/]{1,}":
            return bool
        return self.match

    @property
    def is_rest(self) -> bool:
        """Whether it is one `path` variable and nothing else."""
        return self.final and len(self.elements) == 1 and type(self.variables[0].converter) is PathConverter


def _element_patterns(elements: Sequence[Element]) -> Iterator[str]:
    for number, item in enumerate(elements):
        if isinstance(item, str):
            yield re.escape(item)
            continue
        body = item.converter.regex
        if type(item.converter) is PathConverter:
            between = _between_paths(elements, number)
            if between is not None:
                # The first place where the next `path` can start is final: whatever a later one would leave
                # to this variable, the next can take as well. Only a line feed, which `.` does not cross,
                # must be tried on its own. Without this, n `path` variables cost the n-th power of the path's
                # length.
                body = rf"(?>[^/].*?(?={between}[^/]))|[^/].*(?={between}\n)"
        yield f"(?P<_duoflask_{number}>{body})"


def _between_paths(elements: Sequence[Element], number: int) -> str | None:
    """Return the pattern of what stands between this `path` variable and the next, if it is certain where."""
    between: list[Element] = []
    for item in elements[number + 1 :]:
        if isinstance(item, Variable) and type(item.converter) is PathConverter:
            break
        between.append(item)
    else:
        return None
    if len(between) > 1 or not all(isinstance(item, str) for item in between):
        first, last = between[0], between[-1]
        if not (isinstance(first, str) and first.startswith("/") and isinstance(last, str) and last.endswith("/")):
            return None
    patterns = []
    for item in between:
        if isinstance(item, str):
            patterns.append(re.escape(item))
        elif type(item.converter) in _PLAIN_CONVERTERS:
            patterns.append(f"(?:{item.converter.regex})")
        else:
            return None
    return "".join(patterns)


def cut(
    tokens: Sequence[Element], make: Callable[[list[Element], bool, bool], Placeholder]
) -> Iterator[str | Placeholder]:
    """Cut a pattern at its slashes into parts; `make` makes the placeholders."""
    elements: list[Element] = []
    dynamic = final = False
    for token in tokens:
        if isinstance(token, Variable):
            elements.append(token)
            dynamic = True
            final = final or not token.converter.part_isolating
            continue
        if final:
            elements.append(token)
            continue
        head, *others = token.split("/")
        if head:
            elements.append(head)
        for piece in others:
            yield make(elements, False, False) if dynamic else "".join(map(str, elements))
            elements, dynamic = [piece] if piece else [], False
    if not dynamic:
        yield "".join(map(str, elements))
        return
    placeholder = make(elements, final, True)
    yield placeholder
    if placeholder.suffixed:
        yield ""
