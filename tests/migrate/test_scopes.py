from __future__ import annotations

import ast

import pytest

from duoflask.migrate.scopes import Scopes


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import n; n", [True]),
        ("import n\ndef f(): n", [True]),
        ("import n\ndef f(n): n", [False]),
        ("import n\ndef f(*n): n", [False]),
        ("import n\ndef f(a: n = n): pass", [True, True]),
        ("import n\n@n\ndef f(): n = 1; n", [True, False]),
        ("import n\nlambda n: n", [False]),
        ("import n\nclass C:\n  n = 1\n  n\n  def f(self): n", [False, True]),
        ("import n\nclass C(n): pass", [True]),
        ("def f():\n  import n\n  n\n  def g(): n", [True, True]),
        ("def f():\n  global n\n  import n\ndef g(): n", [True]),
        ("import n\ndef f():\n  global n\n  n = 1\nn", [False]),
        ("import n\ndef f():\n  n = 1\n  def g():\n    nonlocal n\n    n", [False]),
        ("import n\ntry: pass\nexcept E as n: n", [False]),
        ("import n\nmatch n:\n  case {'a': 1, **n}: n", [False, False]),
        ("import n\nmatch 1:\n  case [*n]: n", [False]),
        ("import n\ndef n(): n", [False]),
        ("import n\ndel n\nn", [False]),
        ("n", [False]),
    ],
)
def test_name_means_the_import(text: str, imported: list[bool]) -> None:
    tree = ast.parse(text)
    scopes = Scopes(tree)
    found = []
    for node in scopes.nodes:
        if isinstance(node, ast.Name) and node.id == "n" and isinstance(node.ctx, ast.Load):
            bound = scopes.bindings(node)[1]
            found.append(bool(bound) and all(isinstance(by, ast.alias) for by in bound))
    assert found == imported


def test_deep_trees_are_walked() -> None:
    assert len(Scopes(ast.parse("+".join("1" for _ in range(2_000)))).nodes) > 4_000
