"""Requests that no rule matches: which blueprint below whose prefix they are answers them, if it asked for it.

Owns the map of those prefixes (`Blueprint(handles_unmatched=True)`). An app without such a blueprint has none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .ctx import AppContext
from .exceptions import HTTPException
from .plans import Plan, blueprint_chain
from .routing import Map, RedirectRequired, Rule
from .typing import App

__all__ = ["plan_of_unmatched", "prefix_map"]

_SLASHES_RE: Final = re.compile("/+")
_REST: Final = "duoflask_rest"  # the variable for what stands behind a prefix


def prefix_map(app: App) -> Map | None:
    """The map of the prefixes whose blueprints answer what no rule matches; None if there are none."""
    if not app._unmatched_prefixes:
        return None
    known = app.url_map
    rules: list[Any] = []
    for name, prefix, subdomain in app._unmatched_prefixes:
        prefix = prefix.rstrip("/")
        for text in (prefix or "/", f"{prefix}/<path:{_REST}>"):
            rules.append(Rule(text, endpoint=name, subdomain=subdomain))
    return Map(
        rules,
        default_subdomain=known.default_subdomain,
        strict_slashes=False,
        merge_slashes=False,
        converters=known.converters,
    )


def plan_of_unmatched(app: App, prefixes: Map, ctx: AppContext, path: str) -> Plan:
    """The plan of a request that no rule matches: with the error handlers of the blueprint below whose prefix it is.

    Args:
        app: The application.
        prefixes: Its `prefix_map`.
        ctx: The request's context.
        path: The path below the application.
    """
    plans = app._plans  # a change meanwhile replaces it
    domain = ""
    if app._find is None and not app.url_map.host_matching and ctx.url_adapter is not None:
        domain = ctx.url_adapter.subdomain or ""
    try:
        found = prefixes.find(_SLASHES_RE.sub("/", f"/{path}").rstrip("/") or "/", "GET", domain)
    except (HTTPException, RedirectRequired):
        found = None
    if found is None:
        return app._plan(None)
    rule = found[0]
    key = (prefixes, rule.endpoint)  # no endpoint has this name
    plan = plans.get(key)
    if plan is None:
        plan = Plan(app, None, blueprint_chain(f"{rule.endpoint}."))
        plans[key] = plan
    return plan
