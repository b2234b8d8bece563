"""What the modules of `flask` and `werkzeug` hold: the tables of `names_of_flask`."""

from __future__ import annotations

from ..names_of_flask import MODULES, VERSIONS, places

__all__ = ["MODULES", "VERSIONS", "places"]
