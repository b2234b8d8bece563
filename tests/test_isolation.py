"""No request ever sees a value of another one: in tasks, threads and greenlets, in both colours."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import duoflask
from duoflask import DuoFlask, g, request
from duoflask.local import Local

REQUESTS = 1000
COLOURS = ["def", "async def"]

number: ContextVar[str] = ContextVar("number", default="unset")


def app_that_mixes(colour: str) -> DuoFlask:
    """An app that keeps the request's number in four places, and answers with what it finds there later."""
    app = DuoFlask(__name__)
    local = Local()
    places: list[str] = []

    def read() -> str:
        return f"{g.get('number')} {number.get()} {request.args['n']} {getattr(local, 'number', None)}"

    def write() -> None:
        if "number" in g or number.get() != "unset" or hasattr(local, "number"):
            places.append(f"{request.args['n']} has found {g.get('number')} {number.get()}")
        g.number = request.args["n"]
        number.set(request.args["n"])
        local.number = request.args["n"]

    async def write_on_loop() -> None:
        await anyio.lowlevel.checkpoint()
        write()

    async def view_on_loop() -> str:
        before = read()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return f"{before} {read()}"

    def view() -> str:
        return f"{read()} {read()}"

    def last(error: BaseException | None) -> None:
        if read() != " ".join([request.args["n"]] * 4):
            places.append(f"teardown of {request.args['n']} has found {read()}")

    app.before_request(write if colour == "def" else write_on_loop)
    app.add_url_rule("/", "view", view if colour == "def" else view_on_loop)
    app.add_url_rule("/mixed", "mixed", view_on_loop if colour == "def" else view)
    app.teardown_request(last)
    app.config["mixed up"] = places
    return app


def expected(which: int) -> str:
    return " ".join([str(which)] * 8)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/mixed"])
@pytest.mark.parametrize("colour", COLOURS)
async def test_a_thousand_concurrent_tasks(channel, colour, path):
    app = app_that_mixes(colour)
    exchanges = [channel(path, b"n=%d" % which) for which in range(REQUESTS)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == [expected(which) for which in range(REQUESTS)]
    assert app.config["mixed up"] == []


@pytest.mark.anyio
async def test_a_thousand_requests_that_are_in_their_view_at_the_same_time(channel):
    app = DuoFlask(__name__)
    inside = 0
    all_inside = anyio.Event()

    @app.route("/")
    async def view():
        nonlocal inside
        g.number = request.args["n"]
        number.set(request.args["n"])
        inside += 1
        if inside == REQUESTS:
            all_inside.set()
        await all_inside.wait()
        return f"{g.number} {number.get()} {request.args['n']}"

    exchanges = [channel("/", b"n=%d" % which) for which in range(REQUESTS)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == [f"{n} {n} {n}" for n in range(REQUESTS)]


@pytest.mark.parametrize("path", ["/", "/mixed"])
@pytest.mark.parametrize("colour", COLOURS)
def test_sixty_four_threads(wsgi_call, colour, path):
    app = app_that_mixes(colour)
    threads = 64
    together = threading.Barrier(threads)

    def serve(which: int) -> str:
        if which < threads:
            together.wait(20)
        return wsgi_call(app, path, query_string=f"n={which}").read()

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(serve, range(REQUESTS)))
    assert answers == [expected(which) for which in range(REQUESTS)]
    assert app.config["mixed up"] == []


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import json, sys
import gevent, gevent.event
import warnings; warnings.simplefilter("error")
from contextvars import ContextVar
import asyncio
from duoflask import DuoFlask, g, request
from duoflask.local import Local
from duoflask.testing import create_environ

app = DuoFlask("greenlets")
number = ContextVar("number", default="unset")
local = Local()
wrong = []
inside = 0
all_inside = gevent.event.Event()

def read():
    return f"{g.get('number')} {number.get()} {request.args['n']} {getattr(local, 'number', None)}"

def write():
    if "number" in g or number.get() != "unset" or hasattr(local, "number"):
        wrong.append(read())
    g.number = local.number = request.args["n"]
    number.set(request.args["n"])

def meet():
    global inside
    inside += 1
    if inside == 1000:
        all_inside.set()
    if not all_inside.wait(15):
        raise RuntimeError("the greenlets do not run concurrently")

@app.route("/def")
def in_greenlet():
    write()
    meet()
    return read()

@app.route("/async")
async def on_loop():
    write()
    await asyncio.sleep(0)
    return read()

@app.route("/mixed")
async def mixed():
    await asyncio.sleep(0)
    return read()

@app.before_request
def hook():
    if request.path == "/mixed":
        write()
        meet()

@app.teardown_request
def last(error):
    if g.number != request.args["n"]:
        wrong.append(request.args["n"])

def serve(path, n):
    status = []
    body = app(create_environ(path, query_string=f"n={n}"), lambda text, headers: status.append(text))
    return b"".join(body).decode()

answers = {}
for path in sys.argv[1:]:
    inside = 0
    all_inside.clear()
    jobs = [gevent.spawn(serve, path, n) for n in range(1000)]
    gevent.joinall(jobs, timeout=30)
    answers[path] = [job.value for job in jobs]
json.dump({"answers": answers, "wrong": wrong}, sys.stdout)
"""


def test_a_thousand_greenlets() -> None:
    paths = ["/def", "/async", "/mixed"]
    source = Path(duoflask.__file__).parents[1]
    done: Any = subprocess.run(
        [sys.executable, "-c", GREENLETS, *paths],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(source), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    for path in paths:
        assert result["answers"][path] == [f"{n} {n} {n} {n}" for n in range(1000)]
    assert result["wrong"] == []
