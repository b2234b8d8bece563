"""The table that `duoflask routes` prints: each rule, and on which side of the crossing its functions run.

Knows an app's rules and plans; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from .plans import Plan, Step
from .typing import App

__all__ = ["SORT_KEYS", "route_table"]

SORT_KEYS: Final = ("endpoint", "methods", "domain", "rule", "match")

# Where a function runs under WSGI and under ASGI, by the side that it starts on (design.md, "Where a function runs").
_PLACES: Final = {False: "inline / worker", True: "portal / loop", None: "inline / inline"}


def route_table(app: App, sort: str = "endpoint", all_methods: bool = False) -> list[str]:
    """The lines of the table: a head, a rule under it, and a line for each URL rule.

    Args:
        app: The application.
        sort: One of `SORT_KEYS`; `match` is the order in which rules are tried.
        all_methods: Show HEAD and OPTIONS as well.
    """
    rules = list(app.url_map.iter_rules())
    if not rules:
        return ["No routes were registered."]
    hidden = set() if all_methods else {"HEAD", "OPTIONS"}
    host_matching = app.url_map.host_matching
    has_domain = any(rule.host if host_matching else rule.subdomain for rule in rules)
    rows = []
    for rule in rules:
        methods = ", ".join(sorted((rule.methods or set()) - hidden))
        domain = (rule.host if host_matching else rule.subdomain) or ""
        rows.append((str(rule.endpoint), methods, domain, rule.rule, _places(app._plan(rule.endpoint))))
    if sort != "match" and (sort != "domain" or has_domain):
        rows.sort(key=lambda row: (row[SORT_KEYS.index(sort)], row[0]))
    names = ["Endpoint", "Methods", "Host" if host_matching else "Subdomain", "Rule", "WSGI / ASGI"]
    columns = [0, 1, 2, 3, 4] if has_domain else [0, 1, 3, 4]
    table = [[row[index] for index in columns] for row in [tuple(names), *rows]]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip() for row in table]
    lines.insert(1, "  ".join(["-" * width for width in widths]))
    return lines


def _places(plan: Plan) -> str:
    """What the plan runs, neighbours of one side together: `2 before: inline / worker; view: portal / loop`."""
    view: list[Step] = [] if plan.view is None else [(plan.view, plan.view_on_loop)]
    stages: list[tuple[str, Iterable[Step]]] = [
        ("before", (*plan.preprocessors, *plan.before)),
        ("view", view),
        ("after", plan.after),
        ("teardown", (*plan.teardown_request, *plan.teardown_app)),
    ]
    parts: list[tuple[str, Any]] = []
    for name, steps in stages:
        for on_loop, group in groupby(steps, key=lambda step: step[1]):
            count = len(list(group))
            parts.append((name if name == "view" else f"{count} {name}", on_loop))
    merged = groupby(parts, key=lambda part: part[1])
    return "; ".join([f"{', '.join([name for name, _ in group])}: {_PLACES[on_loop]}" for on_loop, group in merged])
