"""What the tests of real servers serve: sessions in the store that the environment names."""

from __future__ import annotations

import os
from typing import Any

from duoflask import DuoFlask, session

app = DuoFlask(__name__)
app.config["SESSION_STORE"] = os.environ["SESSION_STORE"]
app.config["SESSION_STORE_TIMEOUT"] = float(os.environ.get("SESSION_STORE_TIMEOUT", "20"))


@app.route("/start")
def start() -> str:
    session["start"] = 1
    return "started"


@app.route("/add/<name>")
def add(name: str) -> Any:
    session[name] = name
    return "added", {"X-Pid": str(os.getpid())}


@app.route("/add/async/<name>")
async def add_async(name: str) -> Any:
    session[name] = name
    return "added", {"X-Pid": str(os.getpid())}


@app.route("/count")
def count() -> str:
    with session.lock(timeout=60):
        session["n"] = session.get("n", 0) + 1
    return str(session["n"])


@app.route("/count/async")
async def count_async() -> str:
    async with session.lock(timeout=60):
        session["n"] = session.get("n", 0) + 1
    return str(session["n"])


@app.route("/names")
def names() -> Any:
    return sorted(session)
