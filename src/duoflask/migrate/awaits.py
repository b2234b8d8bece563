"""What is awaited in Quart and is plain here."""

from __future__ import annotations

import ast
import keyword
import tokenize
from typing import Final

from .facts import Facts
from .imports import Imports
from .names import AWAITED_CALLS, VERBS
from .scopes import Scopes
from .source import Source

__all__ = ["Awaits"]

_BODY: Final = frozenset({"data", "files", "form", "json", "values"})
_READ: Final = frozenset({"get_data", "get_json"})
_RESPONSE_CALLS: Final = _READ | {"add_etag", "freeze", "make_conditional", "make_sequence"}
_OURS: Final = frozenset({"duoflask", "flask", "quart"})
_OF_THE_APP: Final = frozenset({"make_response", "open_instance_resource", "open_resource", "send_static_file"})
_PLAIN: Final = (
    "await of {!r}: it is plain here if the object is the app, a request, a response or an upload; drop the await then"
)


class Awaits:
    """Takes the `await` from what is known to be plain, and reports what may be."""

    def __init__(self, source: Source, scopes: Scopes, imports: Imports, facts: Facts) -> None:
        self._source = source
        self._scopes = scopes
        self._imports = imports
        self._facts = facts

    def rewrite(self) -> None:
        """Change the file, if the project is one of Quart's or half one of ours."""
        if not self._facts.tops & {"duoflask", "quart"}:
            return
        for node in self._scopes.nodes:
            if isinstance(node, ast.Await):
                self._look_at_await(node)

    def _look_at_await(self, node: ast.Await) -> None:
        value = node.value
        called = value.func if isinstance(value, ast.Call) else value
        name = called.attr if isinstance(called, ast.Attribute) else ""
        top, _, path = self._imports.origin(called).partition(".")
        last = path.rpartition(".")[2]
        if isinstance(value, ast.Call):
            plain = self._is_plain_call(top, last, called)
            doubtful = name in _READ or (name == "save" and self._reads_files(node)) or name in _OF_THE_APP
        else:
            plain = isinstance(called, ast.Attribute) and name in _BODY and self._is_message(called.value)
            doubtful = name in _BODY
        if plain:
            self._strip(node)
        elif doubtful and "quart" in self._facts.tops:
            self._source.say(node, _PLAIN.format(f".{name}"))

    def _is_plain_call(self, top: str, last: str, called: ast.expr) -> bool:
        if top in _OURS and last in AWAITED_CALLS:
            # With async functions for templates the name has become that of the async twin.
            return not ("template" in last and self._facts.async_templates and top == "quart")
        if not isinstance(called, ast.Attribute):
            return False
        if called.attr in _READ and self._is_message(called.value):
            return True
        if called.attr == "make_response" and self._imports.origin(called.value).endswith(".current_app"):
            return True
        return called.attr in _RESPONSE_CALLS and self._is_response(called.value)

    def _is_message(self, node: ast.expr) -> bool:
        """Say whether an expression is the request or a response."""
        top, _, path = self._imports.origin(node).partition(".")
        return (top in _OURS and path.rpartition(".")[2] == "request") or self._is_response(node)

    def _is_response(self, node: ast.expr) -> bool:
        """Say whether a name is given nothing but responses: of make_response, or of a test client."""
        if isinstance(node, ast.Await):
            return self._makes_response(node)
        if not isinstance(node, ast.Name):
            return False
        bound = self._scopes.bindings(node)[1]
        return bool(bound) and all(self._makes_response(by) for by in bound)

    def _makes_response(self, node: ast.AST | None) -> bool:
        value = node.value if isinstance(node, ast.Await) else None
        if not isinstance(value, ast.Call):
            return False
        called = value.func
        if self._imports.origin(called).rpartition(".")[2] in ("make_response", "send_file", "send_from_directory"):
            return True
        # `await client.get(...)`: a client of HTTP has methods for these, but none whose reading is awaited so.
        return isinstance(called, ast.Attribute) and called.attr in VERBS and "quart" in self._facts.tops

    def _reads_files(self, node: ast.AST) -> bool:
        around: ast.AST | None = node
        while around is not None and not isinstance(around, ast.AsyncFunctionDef):
            around = self._scopes.parent.get(around)
        nodes = ast.walk(around) if around is not None else ()
        return any(isinstance(child, ast.Attribute) and child.attr == "files" for child in nodes)

    def _strip(self, node: ast.Await) -> None:
        """Take away `await `, and the parentheses that were there for it alone."""
        source = self._source
        start, end = source.span(node)
        inner = source.span(node.value)[0]
        number = source.first_token(start)
        if source.text[start + len("await") : inner].strip(" \t"):
            # `await (x)`: what follows is parenthesised, so nothing but the word and its blanks goes.
            inner = source.offset(*source.tokens[number + 1].start)
            if "\n" in source.text[start:inner]:
                source.say(node, "this await is of a plain value here; drop it")
                return
        source.change(start, inner, "")
        if number < 2:
            return
        before, opening = source.tokens[number - 2], source.tokens[number - 1]
        closing = source.tokens[source.first_token(end)]
        if opening.string != "(" or closing.string != ")" or opening.start[0] != closing.start[0]:
            return
        if _ends_operand(before):
            return  # the parentheses of a call
        # A blank where words would grow together, as in `return(await x)`.
        for place in (source.offset(*opening.start), source.offset(*closing.start)):
            joins = _is_word(source.text[place - 1 : place]) and _is_word(source.text[place + 1 : place + 2])
            source.change(place, place + 1, " " if joins else "")


def _is_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def _ends_operand(token: tokenize.TokenInfo) -> bool:
    if token.type == tokenize.NAME:
        return not keyword.iskeyword(token.string)
    return token.type in (tokenize.NUMBER, tokenize.STRING) or token.string in (")", "]", "}")
