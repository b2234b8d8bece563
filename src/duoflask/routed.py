"""What a request or a WebSocket knows of its route; set from above once a rule has matched.

Knows no app and no map of rules.
"""

from __future__ import annotations

from typing import Any

from .http.errors import HTTPException

__all__ = ["Routed"]


class Routed:
    """The URL rule that a connection matched, and what follows from it."""

    url_rule: Any = None
    view_args: dict[str, Any] | None = None
    routing_exception: HTTPException | None = None

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched; None if none did."""
        return None if self.url_rule is None else self.url_rule.endpoint

    @property
    def blueprint(self) -> str | None:
        """The registered name of the blueprint that the endpoint belongs to."""
        endpoint = self.endpoint
        return endpoint.rpartition(".")[0] if endpoint is not None and "." in endpoint else None

    @property
    def blueprints(self) -> list[str]:
        """The names of the blueprint and of those it is nested in, innermost first."""
        name = self.blueprint
        names = []
        while name:
            names.append(name)
            name = name.rpartition(".")[0]
        return names
