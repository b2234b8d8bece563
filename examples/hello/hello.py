"""The module that servers are pointed at (`hello:app`), and a program: `python hello.py`."""

from __future__ import annotations

import os

from app import app

__all__ = ["app"]

if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
