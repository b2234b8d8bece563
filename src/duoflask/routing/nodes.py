"""The nodes of the segment tree.

Owns what a place in the tree knows. Must not know how it is searched.
"""

from __future__ import annotations

from typing import Final

from .patterns import Placeholder
from .rules import Rule

__all__ = ["COMMON_METHODS", "Node"]

# A rule without methods answers to all; these are the ones that it answers at full speed.
COMMON_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Shared by the nodes that have none: a quarter of a kilobyte a rule.
_NO_NODES: dict[str, Node] = {}


class Node:
    """A place in the tree: the ways on, and the rules that end here.

    Attributes:
        static: where literal segments lead.
        edges: where placeholders lead, in the order in which they are tried.
        rules: what ends here, in the order of registration.
        depth: number of segments before it.
    """

    __slots__ = ("depth", "edges", "rules", "static")

    def __init__(self, depth: int) -> None:
        self.static: dict[str, Node] = _NO_NODES
        self.edges: tuple[tuple[Placeholder, Node], ...] = ()
        self.rules: tuple[Rule, ...] = ()
        self.depth = depth

    def endings(self) -> dict[str, Rule | None]:
        """Return by method which rule a path gets that ends at a node; None: `Search` must tell."""
        found: dict[str, Rule | None] = {}
        for rule in self.rules:
            if not rule.websocket:
                plain = not (rule.alias or rule._defaults_rules or rule.redirect_to is not None)
                for method in COMMON_METHODS if rule.methods is None else rule.methods:
                    found.setdefault(method, rule if plain else None)
                if rule.methods is None:
                    break  # no rule after it is reached, with a rare method neither
        return found
