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
    AnyConverter,
    BaseConverter,
    IntegerConverter,
    PathConverter,
    parse_converter_args,
    regex_of_words,
)
from .errors import point_at
from .spans import Spans

__all__ = ["MAX_STEPS", "Element", "PatternReader", "Placeholder", "Variable", "cut"]

_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_PLACEHOLDER_RE = re.compile(rf"<(?:(?P<converter>{_NAME})(?:\((?P<arguments>.*?)\))?:)?(?P<variable>{_NAME})>")
# A pattern of n variables tries at most the n-th power of the text's length. Beyond this, about 2 ms, another way is
# taken.
MAX_STEPS = 200_000


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
        make_variable: Callable[[str, BaseConverter], Variable],
        converter_names: Collection[str],
    ) -> None:
        self.get_converter = get_converter
        self.make_variable = make_variable
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
            converter = self.get_converter(name, kind, args, kwargs)
            re.compile(f"(?P<_duoflask_0>{converter.regex})")  # as it stands in a `Placeholder`
            return self.make_variable(name, converter)
        except re.error as exc:
            problem = f"the converter {kind!r} has a malformed regex: {exc}"
            raise ValueError(point_at(problem, pattern, *match.span())) from exc
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
        final: it runs to the end of the path.
        suffixed: it is final, and its rule ends with a slash, which it leaves to the slash redirect.
        weight: the order among the placeholders of a node.
        key: what it is; equal ones share a node.
    """

    def __init__(self, elements: list[Element], final: bool, last: bool) -> None:
        self.final = final
        end = elements[-1]
        self.suffixed = final and last and isinstance(end, str) and end.endswith("/")
        texts = [piece for text in elements if isinstance(text, str) for piece in text.split("/") if piece]
        variables = [item for item in elements if isinstance(item, Variable)]
        self.variables = variables
        statics = tuple((number, -len(text)) for number, text in enumerate(texts))
        weights = tuple(variable.converter.weight for variable in variables)
        self.weight = (-len(statics), statics, -len(weights), weights)
        self.elements = [*elements[:-1], str(end)[:-1]] if self.suffixed else elements
        self.regex = "".join(
            [
                re.escape(item) if isinstance(item, str) else f"(?P<_duoflask_{number}>{item.converter.regex})"
                for number, item in enumerate(self.elements)
            ]
        )
        self.key = (self.regex, final, self.suffixed, self.weight)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern, with a named group for each variable."""
        return re.compile(self.regex + r"\Z")

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the pattern's groups, one per variable."""
        return tuple(f"_duoflask_{number}" for number, item in enumerate(self.elements) if isinstance(item, Variable))

    @cached_property
    def spans(self) -> Spans | None:
        """The linear way to match; None for one variable, and where a variable has a regular expression of its own."""
        if len(self.variables) == 1:
            return None
        return Spans.of(
            [
                item if isinstance(item, str) else (item.converter.regex, _words(item.converter))
                for item in self.elements
            ]
        )

    def values(self, text: str) -> Sequence[str] | None:
        """Return the variables' texts in a whole segment, or in the rest of the path if final; None: no match."""
        # PERF: the pattern on short texts, 1 us; the spans take 17, but are linear.
        if len(text) ** len(self.variables) > MAX_STEPS and self.spans is not None:
            return self.spans.cut(text)
        match = self.pattern.match(text)
        return None if match is None else [match[name] for name in self.groups]

    @property
    def is_variable(self) -> bool:
        """Whether it is one variable and nothing else, whose text is a segment."""
        return not self.final and len(self.elements) == 1

    @property
    def quick_test(self) -> Callable[[str], Any]:
        """The cheapest test of a segment that is one variable."""
        regex = self.variables[0].converter.regex
        if regex == IntegerConverter.regex:
            return str.isdecimal
        return bool if regex in ("[^/]+", "[^/]{1,}") else self.pattern.match

    @property
    def is_rest(self) -> bool:
        """Whether it is one `path` variable and nothing else."""
        return self.final and len(self.elements) == 1 and self.variables[0].converter.regex == PathConverter.regex


def _words(converter: BaseConverter) -> Sequence[str] | None:
    """Return the words of `any`; None where a subclass has a regex of its own."""
    words: Sequence[str] | None = getattr(converter, "words", None) if isinstance(converter, AnyConverter) else None
    return words if words and converter.regex == regex_of_words(words) else None


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
